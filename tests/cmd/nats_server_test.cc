#include "cmd/headgate/nats_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;

// A folder with a shell script for a nats-server.
class Folder {
 public:
  explicit Folder(absl::string_view script) : script_(file()) {
    std::ofstream(script_) << "#!/bin/sh\n" << script;
    chmod(script_.c_str(), S_IRWXU);
  }
  ~Folder() {
    unlink(script_.c_str());
    rmdir(path_.c_str());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string file() {
    path_ = absl::StrCat(::testing::TempDir(), "/nats-server-XXXXXX");
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
    return path_ + "/nats-server";
  }

  std::string path_;
  const std::string script_;
};

TEST(NatsServerTest, OneThatIsNotInstalledIsReportedWithItsPackage) {
  const auto server = NatsServer::Start("/nonexistent:");
  EXPECT_TRUE(absl::IsNotFound(server.status())) << server.status();
  EXPECT_THAT(server.status().message(), HasSubstr("apt-get install"));
}

TEST(NatsServerTest, OneThatDoesNotStartIsReportedWithItsLastLine) {
  const Folder folder("echo first; echo 'no such flag' >&2; exit 1\n");
  const auto server =
      NatsServer::Start(absl::StrCat("/nonexistent:", folder.path()));
  EXPECT_TRUE(absl::IsUnavailable(server.status())) << server.status();
  EXPECT_THAT(server.status().message(), HasSubstr("no such flag"));
}

TEST(NatsServerTest, ItHasTheAddressThatItReportsAndEndsWithTheObject) {
  const Folder folder(
      "echo \"[1] Listening for client connections on 127.0.0.1:4711\"\n"
      "exec sleep 1000\n");
  const auto server = NatsServer::Start(folder.path());
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->url(), "nats://127.0.0.1:4711");
  EXPECT_FALSE((*server)->has_ended());
}

}  // namespace
}  // namespace headgate
