#include "gateway/config/settings.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate {
namespace {

using ::testing::HasSubstr;

std::string Faults(const Settings& settings) {
  return std::string(Validate(settings).message());
}

TEST(SettingsTest, DefaultsAreValid) {
  EXPECT_EQ(Validate(Settings{}), absl::OkStatus());
}

TEST(SettingsTest, NamesTheFieldAndTheValue) {
  Settings settings;
  settings.limits.max_sessions = 0;
  EXPECT_EQ(Faults(settings), "limits.max_sessions: must be at least 1, is 0");
  settings = {};
  settings.timeouts.stall = absl::Milliseconds(5);
  EXPECT_EQ(Faults(settings), "timeouts.stall: must be at least 10ms, is 5ms");
  settings = {};
  settings.limits.max_header_bytes = 2 * 1024 * 1024;
  EXPECT_EQ(Faults(settings),
            "limits.max_header_bytes: must be at most 1048576, is 2097152");
  settings = {};
  settings.limits.max_metadata_bytes = 1000;
  EXPECT_EQ(Faults(settings),
            "limits.max_metadata_bytes: must be at least 2048, is 1000");
}

TEST(SettingsTest, TellsAllFaultsAtOnce) {
  Settings settings;
  settings.listeners[0].address = "nowhere";
  settings.upstreams[0].target = "";
  settings.threads = -1;
  const std::string faults = Faults(settings);
  EXPECT_THAT(faults, HasSubstr("listeners[0].address: must be HOST:PORT"));
  EXPECT_THAT(faults, HasSubstr("\nupstreams[0].target: must be host:port"));
  EXPECT_THAT(faults, HasSubstr("\nthreads: must be at least 0, is -1"));
}

// A log takes no more, and nobody reads more.
TEST(SettingsTest, TellsNoMoreThanAHundredFaults) {
  Settings settings;
  settings.listeners[0].allowed_origins.assign(150, "nowhere");
  const std::string faults = Faults(settings);
  EXPECT_THAT(faults, HasSubstr("allowed_origins[99]"));
  EXPECT_THAT(faults, testing::Not(HasSubstr("allowed_origins[100]")));
  EXPECT_THAT(faults, testing::EndsWith("\nand 50 more"));
}

TEST(SettingsTest, ChecksOriginsAndProxies) {
  Settings settings;
  settings.listeners[0].allowed_origins = {"https://example.com",
                                           "*",
                                           "null",
                                           "https://*.example.com:8443",
                                           "http://localhost:*",
                                           "http://[::1]:*"};
  settings.listeners[0].trusted_proxies = {"10.0.0.0/8", "::1"};
  EXPECT_EQ(Faults(settings), "");
  settings.listeners[0].allowed_origins = {"example.com"};
  EXPECT_THAT(Faults(settings),
              HasSubstr("listeners[0].allowed_origins[0]: must be an origin"));
  settings.listeners[0].allowed_origins = {"https://example.com/"};
  EXPECT_THAT(Faults(settings),
              HasSubstr("listeners[0].allowed_origins[0]: must be an origin"));
  for (const char* origin :
       {"http://localhost:", "http://localhost:x", "http://localhost:0",
        "http://localhost:65536", "http://localhost:80*", "http://:*",
        "http://a b", "http://a?b", "http://a@b", "http://*:*"}) {
    settings.listeners[0].allowed_origins = {origin};
    EXPECT_THAT(Faults(settings), HasSubstr("must be an origin")) << origin;
  }
  settings.listeners[0].allowed_origins = {};
  settings.listeners[0].trusted_proxies = {"::1", "lan"};
  EXPECT_THAT(Faults(settings),
              HasSubstr("listeners[0].trusted_proxies[1]: must be an IP"));
}

TEST(SettingsTest, ChecksAllowedHosts) {
  Settings settings;
  settings.listeners[0].allowed_hosts = {"app.example.com", "*.example.com",
                                         "[::1]", "10.0.0.1", "*"};
  EXPECT_EQ(Faults(settings), "");
  for (const char* host : {"", "app.example.com:80", "https://example.com",
                           "*.", "a.*.b", "a b", "::1"}) {
    settings.listeners[0].allowed_hosts = {"*", host};
    EXPECT_THAT(Faults(settings),
                HasSubstr("listeners[0].allowed_hosts[1]: must be a host"))
        << host;
  }
}

// Otherwise the second one would fail when it is bound, in fewer words.
TEST(SettingsTest, TwoListenersCannotHaveOneAddress) {
  Settings settings;
  settings.listeners.resize(2);
  settings.listeners[0].address = "*:80";
  settings.listeners[1].address = ":80";
  EXPECT_EQ(Faults(settings),
            "listeners[1].address: is that of listeners[0] too");
  settings.listeners[1].address = "127.0.0.1:81";
  EXPECT_EQ(Faults(settings), "");
  // Each takes a free port of its own.
  settings.listeners[0].address = settings.listeners[1].address = "*:0";
  EXPECT_EQ(Faults(settings), "");
}

TEST(SettingsTest, ThereMustBeListenersAndRoutes) {
  Settings settings;
  settings.listeners.clear();
  settings.routes.clear();
  EXPECT_EQ(Faults(settings),
            "listeners: there is none\nroutes: there is none");
}

// So that the maximum number of sessions fits, whatever the limits are.
TEST(SettingsTest, ConnectionsAreTwiceTheSessionsUnlessTheyAreSet) {
  LimitSettings limits;
  EXPECT_EQ(limits.connections(), 200'000);
  EXPECT_EQ(limits.connections_per_address(), 400);
  limits.max_sessions = 1;
  limits.max_sessions_per_address = 1;
  EXPECT_EQ(limits.connections(), 64) << "some are about to be closed";
  EXPECT_EQ(limits.connections_per_address(), 64);
  limits.max_sessions = std::numeric_limits<int>::max();
  limits.max_sessions_per_address = 0;
  EXPECT_EQ(limits.connections(), std::numeric_limits<int>::max() - 1);
  EXPECT_EQ(limits.connections_per_address(), 0);
  limits.max_connections_per_address = 7;
  EXPECT_EQ(limits.connections_per_address(), 7);
}

TEST(SettingsTest, ThereIsAtLeastOneConnection) {
  Settings settings;
  settings.limits.max_connections = 0;
  settings.limits.max_connections_per_address = -1;
  EXPECT_EQ(Faults(settings),
            "limits.max_connections: must be at least 1, is 0\n"
            "limits.max_connections_per_address: must be at least 0, is -1");
}

TEST(SettingsTest, SessionsOfAnIdentityAreLimitedByOneOfTwo) {
  Settings settings;
  LimitSettings& limits = settings.limits;
  limits.max_sessions_per_identity = 2;
  EXPECT_EQ(Faults(settings),
            "limits.max_sessions_per_identity: needs identity_claim or "
            "identity_header");
  limits.identity_claim = "sub";
  EXPECT_EQ(Faults(settings), "");
  limits.identity_header = "x-user";
  EXPECT_EQ(Faults(settings),
            "limits.identity_header: contradicts identity_claim, one of them "
            "is enough");
  limits.identity_claim.clear();
  EXPECT_EQ(Faults(settings), "");
  limits.identity_header = "x user";
  EXPECT_EQ(Faults(settings),
            "limits.identity_header: is not the name of a header");
}

TEST(SettingsTest, ASocketFilesModeIsOctal) {
  Settings settings;
  settings.listeners[0].address = "unix:/run/h.sock";
  for (const char* good : {"0660", "660", "0", "0777"}) {
    settings.listeners[0].file.mode = good;
    EXPECT_EQ(Faults(settings), "") << good;
  }
  EXPECT_EQ(settings.listeners[0].file.ModeBits(), 0777u);
  for (const char* bad : {"0888", "rw-rw----", "1777", "00660", "-1"}) {
    settings.listeners[0].file.mode = bad;
    EXPECT_THAT(Faults(settings),
                HasSubstr("listeners[0].mode: must be octal digits such as "
                          "0660, is \""))
        << bad;
  }
}

TEST(SettingsTest, ModeUserAndGroupAreForSocketFiles) {
  Settings settings;
  settings.listeners[0].file = {"0660", "hg", "hg"};
  EXPECT_EQ(Faults(settings),
            "listeners[0].mode: is for unix:/path only\n"
            "listeners[0].user: is for unix:/path only\n"
            "listeners[0].group: is for unix:/path only");
}

}  // namespace
}  // namespace headgate
