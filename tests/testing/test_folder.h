#ifndef TESTS_TESTING_TEST_FOLDER_H_
#define TESTS_TESTING_TEST_FOLDER_H_

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace headgate {

// A directory for the files of one test.
class TestFolder {
 public:
  TestFolder() : path_(::testing::TempDir() + "headgate-XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }

  std::string Path(const std::string& name) const { return path_ + "/" + name; }

  // Puts a new file in the place of the old one, as who cares does: there is
  // always a whole one, and its inode tells that it is another.
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name + ".new"), std::ios::binary) << bytes;
    std::filesystem::rename(Path(name + ".new"), Path(name));
    return Path(name);
  }
  void Remove(const std::string& name) const {
    std::filesystem::remove(Path(name));
  }

 private:
  std::string path_;
};

}  // namespace headgate

#endif  // TESTS_TESTING_TEST_FOLDER_H_
