#include "gateway/http/host.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

TEST(HostTest, LoopbackIsWhatNoNameServerCanTurnElsewhere) {
  for (const char* host :
       {"localhost", "localhost:8080", "LOCALHOST", "localhost.", "a.localhost",
        "a.b.localhost:80", "127.0.0.1", "127.0.0.1:8080", "127.255.1.2",
        "[::1]", "[::1]:8080", "[0:0::1]", "[::ffff:127.0.0.1]"}) {
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  }
  for (const char* host :
       {"", ":8080", "evil.test", "evil.test:8080", "localhost.evil.test",
        "evillocalhost", "127.0.0.1.evil.test", "127.evil.test", "127.1",
        "2130706433", "0.0.0.0", "10.0.0.1", "[::]", "[::2]", "[::1", "::1",
        "[127.0.0.1].evil.test"}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
}

TEST(HostTest, AllowedHostsAreExactOrOneWildcard) {
  const auto allowed = [](const char* pattern, const char* host) {
    return HostAllowed(host, {"first.test", pattern});
  };
  EXPECT_TRUE(allowed("app.test", "app.test"));
  EXPECT_TRUE(allowed("app.test", "App.test.:8443"));
  EXPECT_TRUE(allowed("*.app.test", "a.b.app.test:80"));
  EXPECT_TRUE(allowed("[2001:db8::1]", "[2001:DB8::1]:80"));
  EXPECT_TRUE(allowed("192.0.2.1", "192.0.2.1:80"));
  EXPECT_TRUE(allowed("*", "anything.test"));
  EXPECT_FALSE(allowed("app.test", "a.app.test"));
  EXPECT_FALSE(allowed("app.test", "app.test.evil.test"));
  EXPECT_FALSE(allowed("*.app.test", "app.test"));
  EXPECT_FALSE(allowed("*.app.test", ".app.test"));
  EXPECT_FALSE(allowed("*.app.test", "evilapp.test"));
  EXPECT_FALSE(HostAllowed("app.test", {}));
}

}  // namespace
}  // namespace headgate
