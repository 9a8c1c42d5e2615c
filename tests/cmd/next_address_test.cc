#include "cmd/headgate/next_address.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/config/address.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;

std::string Next(const std::string& address, int number) {
  const absl::StatusOr<std::string> next = NextAddress(address, number);
  return next.ok() ? *next : std::string(next.status().message());
}

TEST(NextAddressTest, EachHasTheNextPort) {
  EXPECT_EQ(Next("127.0.0.1:8080", 0), "127.0.0.1:8080");
  EXPECT_EQ(Next("127.0.0.1:8080", 1), "127.0.0.1:8081");
  EXPECT_EQ(Next("[::1]:8080", 2), "[::1]:8082");
  EXPECT_EQ(Next("localhost:65534", 1), "localhost:65535");
}

TEST(NextAddressTest, EveryAddressStaysEveryAddress) {
  const absl::StatusOr<ListenAddress> next =
      ParseListenAddress(Next("*:8080", 1));
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->tcp.host, "");
  EXPECT_EQ(next->tcp.port, 8081);
}

TEST(NextAddressTest, AFreePortIsAnotherOneForEach) {
  EXPECT_EQ(Next("127.0.0.1:0", 1), "127.0.0.1:0");
}

TEST(NextAddressTest, WhatIsNoAddressIsLeftToTheListener) {
  EXPECT_EQ(Next("nowhere", 1), "nowhere");
}

TEST(NextAddressTest, WithoutPortsThereIsNoNextOne) {
  EXPECT_THAT(Next("unix:/run/headgate", 1), HasSubstr("must be HOST:PORT"));
  EXPECT_THAT(Next("systemd:web", 1), HasSubstr("must be HOST:PORT"));
  EXPECT_THAT(Next("127.0.0.1:65535", 1), HasSubstr("too few ports"));
}

}  // namespace
}  // namespace headgate
