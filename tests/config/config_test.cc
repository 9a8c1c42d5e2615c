#include <gtest/gtest.h>

#include "gateway/config/address.h"
#include "gateway/config/units.h"

namespace headgate {
namespace {

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
  const std::string zero("10.0.0.1\0/8", 11);
  EXPECT_FALSE(Network::Parse(zero).ok());
  EXPECT_FALSE(Contains("0.0.0.0/0", zero.substr(0, 9)));
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

TEST(UnitsTest, ReadsNumbers) {
  EXPECT_EQ(ParseUint32("0"), 0u);
  EXPECT_EQ(ParseUint32("4294967295"), 0xFFFFFFFFu);
  EXPECT_EQ(ParseUint32("0xFFFFFFFE"), 0xFFFFFFFEu);
  for (const char* text : {"", "0x", "-1", "+1", " 1", "1.0", "1e3",
                           "4294967296", "0x100000000", "0x-1", "ten"}) {
    EXPECT_EQ(ParseUint32(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace headgate
