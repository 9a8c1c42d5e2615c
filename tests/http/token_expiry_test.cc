#include "gateway/http/token_expiry.h"

#include <string>

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

absl::Time ExpiryOf(const std::string& claims) {
  return TokenExpiry(absl::StrCat("Bearer eyJhbGciOiJub25lIn0.",
                                  absl::WebSafeBase64Escape(claims), ".c2ln"));
}

// RFC 7519 section 4.1.4, and section 2 (NumericDate).
TEST(TokenExpiryTest, IsTheClaimExp) {
  EXPECT_EQ(ExpiryOf(R"({"sub":"ann","exp":1800000000})"),
            absl::FromUnixSeconds(1'800'000'000));
  EXPECT_EQ(ExpiryOf(R"({"exp":1800000000.5})"),
            absl::FromUnixMillis(1'800'000'000'500));
  EXPECT_EQ(ExpiryOf(R"({"exp":1.8e9})"), absl::FromUnixSeconds(1'800'000'000));
  EXPECT_EQ(ExpiryOf(R"({"exp":0})"), absl::UnixEpoch());
  EXPECT_EQ(ExpiryOf(R"({"exp":-5})"), absl::FromUnixSeconds(-5));
  EXPECT_EQ(ExpiryOf(R"({"exp":18446744073709551615})"),
            absl::InfiniteFuture());
  EXPECT_EQ(ExpiryOf(R"({"exp":-1e300})"), absl::InfinitePast());
}

TEST(TokenExpiryTest, SchemeHasNoCase) {
  const std::string token =
      absl::StrCat("e30.", absl::WebSafeBase64Escape(R"({"exp":7})"), ".");
  EXPECT_EQ(TokenExpiry("bearer " + token), absl::FromUnixSeconds(7));
  EXPECT_EQ(TokenExpiry("BEARER  " + token), absl::FromUnixSeconds(7));
  EXPECT_EQ(TokenExpiry("Basic " + token), absl::InfiniteFuture());
  EXPECT_EQ(TokenExpiry(token), absl::InfiniteFuture());
}

TEST(TokenExpiryTest, WhatIsNoFiniteNumberNeverExpires) {
  for (const char* claims :
       {"{}", R"({"exp":"1800000000"})", R"({"exp":null})", R"({"exp":[7]})",
        R"({"nested":{"exp":7}})", "[7]", "7", "", R"({"exp":7)",
        R"({"exp":1e999})", R"({"exp":NaN})", "\xff"}) {
    EXPECT_EQ(ExpiryOf(claims), absl::InfiniteFuture()) << claims;
  }
}

TEST(TokenExpiryTest, WhatIsNoJwtNeverExpires) {
  const std::string claims = absl::WebSafeBase64Escape(R"({"exp":7})");
  for (const std::string& token :
       {std::string("opaque"), std::string(".."), claims, "a." + claims,
        "a." + claims + ".b.c", "a." + claims + "=.b", "a.+/" + claims + ".b",
        "a. " + claims + ".b", std::string()}) {
    EXPECT_EQ(TokenExpiry("Bearer " + token), absl::InfiniteFuture()) << token;
  }
}

// As long as a head may be: neither deep nor wide ones are a burden.
TEST(TokenExpiryTest, HostileClaimsNeverExpire) {
  EXPECT_EQ(ExpiryOf(std::string(12'000, '[')), absl::InfiniteFuture());
  EXPECT_EQ(ExpiryOf("{\"exp\":" + std::string(12'000, '9') + "}"),
            absl::InfiniteFuture());
}

}  // namespace
}  // namespace headgate
