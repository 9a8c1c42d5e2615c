#include "gateway/base/file.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;

class ReadFileTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) {
    const std::string path =
        absl::StrCat(::testing::TempDir(), "/read_file_test_", name);
    unlink(path.c_str());
    return path;
  }
  static std::string FaultOf(const std::string& path) {
    const absl::Status status = ReadFile(path, 100).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    return std::string(status.message());
  }
};

TEST_F(ReadFileTest, GivesTheBytesOfAFileUpToALimit) {
  const std::string path = Path("plain");
  std::ofstream(path) << std::string(100, 'x');
  EXPECT_EQ(*ReadFile(path, 100), std::string(100, 'x'));
  EXPECT_TRUE(absl::IsResourceExhausted(ReadFile(path, 99).status()));
}

// As those of a Kubernetes volume: a link to a link to a file.
TEST_F(ReadFileTest, FollowsLinks) {
  const std::string file = Path("target"), link = Path("link"),
                    second = Path("second");
  std::ofstream(file) << "text";
  ASSERT_EQ(symlink(file.c_str(), link.c_str()), 0);
  ASSERT_EQ(symlink(link.c_str(), second.c_str()), 0);
  EXPECT_EQ(*ReadFile(second, 100), "text");
}

// Nobody writes to it: opening it for reading would wait.
TEST_F(ReadFileTest, AFifoIsRefusedAtOnce) {
  const std::string path = Path("fifo");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(FaultOf(path),
            "cannot be read: it is a FIFO, and a regular file is needed, or a "
            "symbolic link to one");
  const std::string link = Path("link_to_fifo");
  ASSERT_EQ(symlink(path.c_str(), link.c_str()), 0);
  EXPECT_THAT(FaultOf(link), HasSubstr("it is a FIFO"));
}

TEST_F(ReadFileTest, DevicesDirectoriesAndSocketsAreRefused) {
  EXPECT_THAT(FaultOf("/dev/zero"), HasSubstr("it is a device"));
  EXPECT_THAT(FaultOf(::testing::TempDir()), HasSubstr("it is a directory"));
  const std::string path = Path("socket");
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(
      bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
      0);
  EXPECT_THAT(FaultOf(path), HasSubstr("it is a socket"));
  close(fd);
}

TEST_F(ReadFileTest, WhatIsNotThereIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReadFile(Path("nothing"), 100).status()));
}

}  // namespace
}  // namespace headgate
