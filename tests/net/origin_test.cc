#include "gateway/net/origin.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

// RFC 6454 section 5: scheme, host and port make an origin; here the scheme is
// left out, for a proxy may have ended TLS.
TEST(OriginTest, SameHostAndPortIsTheSameOrigin) {
  struct Case {
    const char* origin;
    const char* host;
    bool allowed;
  };
  const Case cases[] = {
      {"http://example.com", "example.com", true},
      {"https://example.com", "example.com", true},
      {"http://example.com", "example.com:80", true},
      {"http://example.com:80", "example.com", true},
      {"https://example.com", "example.com:443", true},
      {"https://example.com:443", "example.com", true},
      {"HTTP://Example.COM", "eXample.com", true},
      {"http://localhost:8080", "localhost:8080", true},
      {"http://[::1]:8080", "[::1]:8080", true},
      {"http://[::1]", "[::1]:80", true},
      // The other scheme's port is a port like any other.
      {"http://example.com", "example.com:443", false},
      {"https://example.com", "example.com:80", false},
      {"http://localhost:3000", "localhost:8080", false},
      {"http://localhost", "localhost:8080", false},
      {"http://evil.com", "example.com", false},
      {"http://example.com.evil.com", "example.com", false},
      {"http://evilexample.com", "example.com", false},
      {"http://sub.example.com", "example.com", false},
      {"http://example.com", "", false},
      // Not origins at all.
      {"", "", false},
      {"", "example.com", false},
      {"null", "null", false},
      {"example.com", "example.com", false},
      {"http://", "", false},
      {"http://evil.com/http://example.com", "example.com", false},
      {"http://evil.com#example.com", "example.com", false},
      {"http://evil.com?example.com", "example.com", false},
      {"http://example.com@evil.com", "evil.com", false},
      {"http://evil.com\\.example.com", "evil.com\\.example.com", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(OriginAllowed(c.origin, c.host, {}), c.allowed)
        << c.origin << " at " << c.host;
  }
}

TEST(OriginTest, AllowedOriginsAreExactOrOneWildcard) {
  struct Case {
    const char* pattern;
    const char* origin;
    bool allowed;
  };
  const Case cases[] = {
      {"*", "http://anything", true},
      {"*", "null", true},
      {"*", "", true},
      {"null", "null", true},
      {"https://example.com", "https://example.com", true},
      {"https://Example.com:443", "https://example.com", true},
      {"https://example.com", "https://example.com:443", true},
      {"https://example.com", "http://example.com", false},
      {"https://example.com", "https://example.com:8443", false},
      {"https://example.com", "https://a.example.com", false},
      {"https://example.com", "null", false},
      {"https://example.com", "https://example.com/", false},
      {"https://*.example.com", "https://a.example.com", true},
      {"https://*.example.com", "https://a.b.example.com", true},
      {"https://*.example.com", "https://A.EXAMPLE.com:443", true},
      {"https://*.example.com", "https://example.com", false},
      {"https://*.example.com", "https://.example.com", false},
      {"https://*.example.com", "https://evilexample.com", false},
      {"https://*.example.com", "https://a.example.com.evil.com", false},
      {"https://*.example.com", "http://a.example.com", false},
      {"https://*.example.com", "https://a.example.com:8443", false},
      {"https://*.example.com:8443", "https://a.example.com:8443", true},
      {"https://*.example.com", "https://evil.com/a.example.com", false},
      {"https://*.example.com", "https://evil.com#.example.com", false},
      {"https://*.example.com", "https://a@.example.com", false},
      // Only a whole leading label is a wildcard.
      {"https://e*.com", "https://example.com", false},
      {"", "", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(
        OriginAllowed(c.origin, "other.test", {"http://first", c.pattern}),
        c.allowed)
        << c.origin << " by " << c.pattern;
  }
}

// "*" says nothing about whom to trust with a visitor's cookies.
TEST(OriginTest, AllowedByStarAloneIsAnyone) {
  EXPECT_EQ(JudgeOrigin("http://a", "h", {"*"}), OriginVerdict::kAnyone);
  EXPECT_EQ(JudgeOrigin("http://h", "h", {"*"}), OriginVerdict::kTrusted);
  EXPECT_EQ(JudgeOrigin("http://a", "h", {"*", "http://a"}),
            OriginVerdict::kTrusted);
  EXPECT_EQ(JudgeOrigin("http://a", "h", {"http://b"}),
            OriginVerdict::kRefused);
}

}  // namespace
}  // namespace headgate
