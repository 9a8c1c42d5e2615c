#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/config/address.h"
#include "gateway/config/settings.h"
#include "gateway/config/units.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;

// --- Addresses

TEST(AddressTest, ReadsHostAndPort) {
  struct Case {
    const char* text;
    const char* host;
    int port;
  };
  for (const Case& c :
       {Case{"127.0.0.1:8080", "127.0.0.1", 8080}, Case{"[::1]:0", "::1", 0},
        Case{"localhost:65535", "localhost", 65535}, Case{"*:80", "", 80},
        Case{":80", "", 80}, Case{"[]:80", "", 80}}) {
    const auto address = ParseAddress(c.text);
    ASSERT_TRUE(address.ok()) << c.text;
    EXPECT_EQ(address->host, c.host) << c.text;
    EXPECT_EQ(address->port, c.port) << c.text;
  }
}

TEST(AddressTest, RefusesWhatIsNone) {
  for (const char* text :
       {"", "8080", "host", "host:", "host:x", "host:-1", "host:+1", "host: 1",
        "host:65536", "host:080000", "::1:80", "[::1:80", "::1]:80"}) {
    EXPECT_FALSE(ParseAddress(text).ok()) << text;
  }
}

TEST(AddressTest, WritesBracketsAroundIPv6) {
  EXPECT_EQ(FormatAddress("::1", 80), "[::1]:80");
  EXPECT_EQ(FormatAddress("127.0.0.1", 80), "127.0.0.1:80");
}

// --- Networks

bool Contains(absl::string_view network, absl::string_view address) {
  return Network::Parse(network)->Contains(address);
}

TEST(NetworkTest, ContainsItsAddresses) {
  EXPECT_TRUE(Contains("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(Contains("10.0.0.0/8", "11.0.0.1"));
  EXPECT_TRUE(Contains("192.168.1.128/25", "192.168.1.200"));
  EXPECT_FALSE(Contains("192.168.1.128/25", "192.168.1.127"));
  EXPECT_TRUE(Contains("0.0.0.0/0", "203.0.113.9"));
  EXPECT_TRUE(Contains("127.0.0.1", "127.0.0.1"));
  EXPECT_FALSE(Contains("127.0.0.1", "127.0.0.2"));
  EXPECT_TRUE(Contains("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(Contains("2001:db8::/33", "2001:db8:8000::1"));
}

// A dual-stack listener sees IPv4 clients as mapped addresses.
TEST(NetworkTest, TakesAMappedAddressForIPv4) {
  EXPECT_TRUE(Contains("10.0.0.0/8", "::ffff:10.1.2.3"));
  EXPECT_FALSE(Contains("::/0", "10.1.2.3"));
}

TEST(NetworkTest, RefusesWhatIsNone) {
  for (const char* text : {"", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/x",
                           "10.0.0.0/", "host/8", "10.0.0/8", "::/129"}) {
    EXPECT_FALSE(Network::Parse(text).ok()) << text;
  }
  EXPECT_FALSE(Contains("0.0.0.0/0", "not an address"));
}

// --- Units

TEST(UnitsTest, ReadsSizes) {
  EXPECT_EQ(*ParseSize("0"), 0u);
  EXPECT_EQ(*ParseSize("512"), 512u);
  EXPECT_EQ(*ParseSize("64KiB"), 65536u);
  EXPECT_EQ(*ParseSize("2MiB"), 2u << 20);
  EXPECT_EQ(*ParseSize("3GiB"), std::size_t{3} << 30);
  for (const char* text : {"", "KiB", "1KB", "-1", "1.5MiB", "1 MiB", "1kib",
                           "18446744073709551616", "18014398509481984GiB"}) {
    EXPECT_FALSE(ParseSize(text).ok()) << text;
  }
}

TEST(UnitsTest, ReadsDurations) {
  EXPECT_EQ(*ParseDuration("500ms"), absl::Milliseconds(500));
  EXPECT_EQ(*ParseDuration("1m30s"), absl::Seconds(90));
  EXPECT_EQ(*ParseDuration("0"), absl::ZeroDuration());
  for (const char* text : {"", "5", "-1s", "inf", "1 s", "1day"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

// --- Settings

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
}

TEST(SettingsTest, TellsAllFaultsAtOnce) {
  Settings settings;
  settings.listeners[0].address = "nowhere";
  settings.upstream.target = "";
  settings.threads = -1;
  const std::string faults = Faults(settings);
  EXPECT_THAT(faults, HasSubstr("listeners[0].address: must be HOST:PORT"));
  EXPECT_THAT(faults, HasSubstr("\nupstream.target: must be host:port"));
  EXPECT_THAT(faults, HasSubstr("\nthreads: must be at least 0, is -1"));
}

TEST(SettingsTest, AnUpstreamIsAGrpcName) {
  Settings settings;
  for (const char* target :
       {"localhost:50051", "[::1]:50051", "dns:///chat:50051", "dns:chat:1",
        "unix:/run/chat.sock", "ipv4:10.0.0.1:1,10.0.0.2:1", "xds:///chat"}) {
    settings.upstream.target = target;
    EXPECT_EQ(Faults(settings), "") << target;
  }
  for (const char* target :
       {"", "http://127.0.0.1:50051", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0",
        "unix:", "dns:///", ":50051", ":::", "chat:50051/path"}) {
    settings.upstream.target = target;
    EXPECT_THAT(Faults(settings), HasSubstr("upstream.target: must be"))
        << target;
  }
}

TEST(SettingsTest, ChecksOriginsAndProxies) {
  Settings settings;
  settings.listeners[0].allowed_origins = {"https://example.com", "*", "null",
                                           "https://*.example.com:8443"};
  settings.listeners[0].trusted_proxies = {"10.0.0.0/8", "::1"};
  EXPECT_EQ(Faults(settings), "");
  settings.listeners[0].allowed_origins = {"example.com"};
  EXPECT_THAT(Faults(settings),
              HasSubstr("listeners[0].allowed_origins[0]: must be an origin"));
  settings.listeners[0].allowed_origins = {"https://example.com/"};
  EXPECT_THAT(Faults(settings),
              HasSubstr("listeners[0].allowed_origins[0]: must be an origin"));
  settings.listeners[0].allowed_origins = {};
  settings.listeners[0].trusted_proxies = {"::1", "lan"};
  EXPECT_THAT(Faults(settings),
              HasSubstr("listeners[0].trusted_proxies[1]: must be an IP"));
}

TEST(SettingsTest, ChecksRoutes) {
  Settings settings;
  Route& route = settings.routes[0];
  route.path = "chat";
  route.method = "chat.Chat.Join";
  route.forward_headers = {"x-team", "X-Team"};
  route.deadline = absl::ZeroDuration();
  route.packet.max_depth = 0;
  route.packet.container_types = {kEndPacket};
  const std::string faults = Faults(settings);
  EXPECT_THAT(faults, HasSubstr("routes[0].path: must begin with /"));
  EXPECT_THAT(faults,
              HasSubstr("routes[0].method: must be package.Service/Method, is "
                        "\"chat.Chat.Join\""));
  EXPECT_THAT(faults, HasSubstr("routes[0].forward_headers[1]: \"X-Team\""));
  EXPECT_THAT(faults, HasSubstr("routes[0].deadline: must be more than 0"));
  EXPECT_THAT(faults,
              HasSubstr("routes[0].packet.max_depth: must be at least"));
  EXPECT_THAT(faults, HasSubstr("routes[0].packet.container_types: "));
}

TEST(SettingsTest, ARouteWithAPathOfItsOwnNeedsAMethod) {
  Settings settings;
  settings.routes[0].path = "/chat";
  EXPECT_THAT(Faults(settings), HasSubstr("routes[0].method: is missing"));
  settings.routes[0].path = "/chat.Chat/Join";
  EXPECT_EQ(Faults(settings), "");
}

}  // namespace
}  // namespace headgate
