#include "cmd/headgate/bench/endpoints.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::StartsWith;

// A socket that listens on loopback.
class EndpointsTest : public testing::Test {
 protected:
  EndpointsTest() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = absl::StrCat(ntohs(address.sin_port));
  }
  ~EndpointsTest() override { close(listener_); }

  // The address that connection `number` comes from.
  std::string SourceOf(std::size_t number) {
    const auto endpoints = Resolve({"127.0.0.1", port_, "", ""});
    if (!endpoints.ok()) return std::string(endpoints.status().message());
    const auto fd = StartConnecting(endpoints->front(), number);
    if (!fd.ok()) return std::string(fd.status().message());
    sockaddr_in peer = {};
    socklen_t size = sizeof(peer);
    const int accepted =
        accept(listener_, reinterpret_cast<sockaddr*>(&peer), &size);
    char text[INET_ADDRSTRLEN] = {};
    inet_ntop(AF_INET, &peer.sin_addr, text, sizeof(text));
    close(accepted);
    close(*fd);
    return text;
  }

  int listener_;
  std::string port_;
};

// One address has 28,232 ports for each port that it connects to.
TEST_F(EndpointsTest, ManyConnectionsComeFromSeveralLoopbackAddresses) {
  EXPECT_EQ(SourceOf(0), "127.0.0.1");
  EXPECT_EQ(SourceOf(19'999), "127.0.0.1");
  EXPECT_EQ(SourceOf(20'000), "127.0.0.2");
  EXPECT_EQ(SourceOf(100'000), "127.0.0.6");
}

TEST(ResolveTest, AnAddressIsItself) {
  const auto endpoints = Resolve({"::1", "80", "", ""});
  ASSERT_TRUE(endpoints.ok()) << endpoints.status();
  EXPECT_EQ(endpoints->front().address.ss_family, AF_INET6);
}

TEST(ResolveTest, ASocketFileIsAnAddressOfItsOwn) {
  WsUrl url;
  url.socket = "/nowhere/a.sock";
  const auto endpoints = Resolve(url);
  ASSERT_TRUE(endpoints.ok()) << endpoints.status();
  EXPECT_EQ(endpoints->front().address.ss_family, AF_UNIX);
  EXPECT_EQ(StartConnecting(endpoints->front(), 0).status().message(),
            "No such file or directory");
}

TEST(ResolveTest, ANameThatIsNoneIsTold) {
  EXPECT_THAT(std::string(Resolve({"a b", "80", "", ""}).status().message()),
              StartsWith("cannot find a b: "));
}

}  // namespace
}  // namespace headgate
