#include "gateway/http/origin.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

using Scheme = OwnOrigin::Scheme;

// RFC 6454 section 5: scheme, host and port make an origin.
TEST(OriginTest, SameSchemeHostAndPortAreTheSameOrigin) {
  struct Case {
    const char* origin;
    OwnOrigin own;
    bool allowed;
  };
  const Scheme http = Scheme::kHttp;
  const Scheme https = Scheme::kHttps;
  const Case cases[] = {
      {"http://example.com", {http, "example.com"}, true},
      {"https://example.com", {https, "example.com"}, true},
      {"http://example.com", {http, "example.com:80"}, true},
      {"http://example.com:80", {http, "example.com"}, true},
      {"https://example.com", {https, "example.com:443"}, true},
      {"https://example.com:443", {https, "example.com"}, true},
      {"HTTP://Example.COM", {http, "eXample.com"}, true},
      {"http://localhost:8080", {http, "localhost:8080"}, true},
      {"http://[::1]:8080", {http, "[::1]:8080"}, true},
      {"http://[::1]", {http, "[::1]:80"}, true},
      // No page has such an origin: its own scheme is http or https.
      {"ws://example.com", {http, "example.com"}, false},
      {"wss://example.com:443", {https, "example.com"}, false},
      {"wss://example.com", {http, "example.com"}, false},
      // The other scheme, and what is neither.
      {"https://example.com", {http, "example.com"}, false},
      {"http://example.com", {https, "example.com"}, false},
      {"http://example.com:443", {https, "example.com:443"}, false},
      {"https://localhost:8080", {http, "localhost:8080"}, false},
      {"ftp://example.com", {http, "example.com"}, false},
      {"ftp://example.com", {https, "example.com"}, false},
      {"file://example.com", {http, "example.com"}, false},
      {"://example.com", {http, "example.com"}, false},
      // The other scheme's port is a port like any other.
      {"http://example.com", {http, "example.com:443"}, false},
      {"https://example.com", {https, "example.com:80"}, false},
      {"http://localhost:3000", {http, "localhost:8080"}, false},
      {"http://localhost", {http, "localhost:8080"}, false},
      {"http://evil.com", {http, "example.com"}, false},
      {"http://example.com.evil.com", {http, "example.com"}, false},
      {"http://evilexample.com", {http, "example.com"}, false},
      {"http://sub.example.com", {http, "example.com"}, false},
      {"http://example.com", {http, ""}, false},
      // Not origins at all.
      {"", {http, ""}, false},
      {"", {http, "example.com"}, false},
      {"null", {http, "null"}, false},
      {"example.com", {http, "example.com"}, false},
      {"http://", {http, ""}, false},
      {"http://evil.com/http://example.com", {http, "example.com"}, false},
      {"http://evil.com#example.com", {http, "example.com"}, false},
      {"http://evil.com?example.com", {http, "example.com"}, false},
      {"http://example.com@evil.com", {http, "evil.com"}, false},
      {"http://evil.com\\.example.com",
       {http, "evil.com\\.example.com"},
       false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(OriginAllowed(c.origin, c.own, {}), c.allowed)
        << c.origin << " at " << c.own.host;
  }
}

// Where it is not known whether TLS was ended in front of the listener.
TEST(OriginTest, EitherSchemeIsHttpOrHttps) {
  const auto allowed = [](const char* origin, const char* host) {
    return OriginAllowed(origin, {Scheme::kEither, host}, {});
  };
  EXPECT_TRUE(allowed("http://example.com", "example.com"));
  EXPECT_TRUE(allowed("http://example.com", "example.com:80"));
  EXPECT_TRUE(allowed("https://example.com", "example.com"));
  EXPECT_TRUE(allowed("https://example.com", "example.com:443"));
  EXPECT_FALSE(allowed("https://example.com", "example.com:80"));
  EXPECT_FALSE(allowed("ftp://example.com", "example.com"));
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
      {"http://localhost:*", "http://localhost", true},
      {"http://localhost:*", "http://localhost:80", true},
      {"http://localhost:*", "http://localhost:5173", true},
      {"http://localhost:*", "https://localhost:5173", false},
      {"http://localhost:*", "http://localhost.evil.com:5173", false},
      {"http://localhost:*", "http://localhost:", false},
      {"http://localhost:*", "http://a.localhost:5173", false},
      {"http://*.localhost:*", "http://a.localhost:5173", true},
      {"http://[::1]:*", "http://[::1]:5173", true},
      {"http://[::1]:*", "http://[::1]", true},
      {"http://[::1]:*", "http://[::2]:5173", false},
      // Only a whole leading label is a wildcard.
      {"https://e*.com", "https://example.com", false},
      {"", "", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(OriginAllowed(c.origin, {Scheme::kHttp, "other.test"},
                            {"http://first", c.pattern}),
              c.allowed)
        << c.origin << " by " << c.pattern;
  }
}

// "*" says nothing about whom to trust with a visitor's cookies.
TEST(OriginTest, AllowedByStarAloneIsAnyone) {
  const OwnOrigin own = {Scheme::kHttp, "h"};
  EXPECT_EQ(JudgeOrigin("http://a", own, {"*"}), OriginVerdict::kAnyone);
  EXPECT_EQ(JudgeOrigin("http://h", own, {"*"}), OriginVerdict::kTrusted);
  EXPECT_EQ(JudgeOrigin("http://a", own, {"*", "http://a"}),
            OriginVerdict::kTrusted);
  EXPECT_EQ(JudgeOrigin("http://a", own, {"http://b"}),
            OriginVerdict::kRefused);
}

}  // namespace
}  // namespace headgate
