#include "gateway/net/proxy_header.h"

#include <string>

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

const std::string kV2 = std::string("\r\n\r\n\0\r\nQUIT\n", 12);

std::string V2(int command, int family, const std::string& body) {
  return absl::StrCat(kV2, std::string(1, static_cast<char>(command)),
                      std::string(1, static_cast<char>(family)),
                      std::string(1, static_cast<char>(body.size() >> 8)),
                      std::string(1, static_cast<char>(body.size() & 0xFF)),
                      body);
}
const std::string kIpv4Body =
    "\xCB\x01\x71\x09\x0A\x01\x01\x01\x12\x34\x01\xBB";

// Feeds a header as a reader does, exactly what is missing each time, with
// something behind it.
absl::StatusOr<ProxyHeader> Read(const std::string& header,
                                 std::size_t* taken = nullptr) {
  const std::string stream = header + "GET / HTTP/1.1\r\n\r\n";
  std::size_t size = 0;
  while (true) {
    absl::StatusOr<ProxyHeader> parsed =
        ParseProxyHeader(absl::string_view(stream).substr(0, size));
    if (!parsed.ok() || parsed->missing == 0) {
      if (taken != nullptr) *taken = size;
      return parsed;
    }
    size += parsed->missing;
    if (size > stream.size()) return absl::OutOfRangeError("wants too much");
  }
}

// What follows the header is TLS's, or HTTP's.
TEST(ProxyHeaderTest, NothingBehindTheHeaderIsTaken) {
  for (const std::string& header :
       {std::string("PROXY TCP4 203.0.113.9 10.0.0.1 5678 443\r\n"),
        std::string("PROXY UNKNOWN\r\n"), V2(0x21, 0x11, kIpv4Body),
        V2(0x20, 0x00, ""),
        V2(0x21, 0x11, kIpv4Body + std::string(500, 'x'))}) {
    std::size_t taken = 0;
    ASSERT_TRUE(Read(header, &taken).ok()) << header;
    EXPECT_EQ(taken, header.size());
  }
}

TEST(ProxyHeaderTest, TheSourceIsTheClient) {
  EXPECT_EQ(Read("PROXY TCP4 203.0.113.9 10.0.0.1 5678 443\r\n")->source,
            "203.0.113.9");
  EXPECT_EQ(Read("PROXY TCP6 2001:db8::9 ::1 5678 443\r\n")->source,
            "2001:db8::9");
  EXPECT_EQ(Read(V2(0x21, 0x11, kIpv4Body))->source, "203.1.113.9");
  EXPECT_EQ(
      Read(V2(0x21, 0x21, std::string(15, '\0') + "\1" + std::string(20, '\0')))
          ->source,
      "::1");
}

// A health check of the balancer's own, or what it cannot tell.
TEST(ProxyHeaderTest, WhoSpeaksForItselfHasNoSource) {
  EXPECT_EQ(Read("PROXY UNKNOWN\r\n")->source, "");
  EXPECT_EQ(Read("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n")->source, "");
  EXPECT_EQ(Read(V2(0x20, 0x11, kIpv4Body))->source, "");
  EXPECT_EQ(Read(V2(0x21, 0x00, ""))->source, "");
}

TEST(ProxyHeaderTest, WhatIsNoHeaderIsAFaultAsSoonAsItShows) {
  std::size_t taken = 0;
  EXPECT_FALSE(Read("GET / HTTP/1.1\r\n\r\n", &taken).ok());
  EXPECT_LE(taken, 16u);
  for (const std::string& header :
       {std::string("PROXY TCP4 203.0.113.9 10.0.0.1 5678\r\n"),
        std::string("PROXY TCP4 203.0.113.9 10.0.0.1 5678 443 x\r\n"),
        std::string("PROXY TCP4 2001:db8::9 ::1 5678 443\r\n"),
        std::string("PROXY TCP4 203.0.113.9 10.0.0.1 -1 443\r\n"),
        std::string("PROXY TCP4 203.0.113.9\0/ 10.0.0.1 1 443\r\n", 41),
        std::string("PROXY TCP4 203.0.113.9 10.0.0.1 1 65536\r\n"),
        std::string("PROXY TCP4 203.0.113.9\n"),
        std::string("PROXY  UNKNOWN\r\n"), "PROXY " + std::string(200, 'x'),
        V2(0x11, 0x11, kIpv4Body), V2(0x22, 0x11, kIpv4Body),
        V2(0x21, 0x11, "short"), V2(0x21, 0x21, kIpv4Body),
        V2(0x21, 0xF1, kIpv4Body), V2(0x21, 0x11, std::string(4096, 'x'))}) {
    const auto parsed = Read(header);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument)
        << header;
    EXPECT_TRUE(absl::StartsWith(parsed.status().message(), "PROXY header: "));
  }
}

}  // namespace
}  // namespace headgate
