#include "gateway/http/identity.h"

#include <string>

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/http/http_request.h"

namespace headgate {
namespace {

std::string Bearer(const std::string& claims) {
  return absl::StrCat("Bearer eyJhbGciOiJub25lIn0.",
                      absl::WebSafeBase64Escape(claims), ".c2ln");
}

std::string BySub(const std::string& authorization) {
  const HttpRequest request = ParseRequest("GET / HTTP/1.1\r\n\r\n");
  return IdentityOf({.claim = "sub", .header = ""}, request.headers,
                    authorization);
}

std::string ByKey(const std::string& fields) {
  const HttpRequest request =
      ParseRequest(absl::StrCat("GET / HTTP/1.1\r\n", fields, "\r\n"));
  return IdentityOf({.claim = "", .header = "X-Api-Key"}, request.headers,
                    Bearer(R"({"sub":"ann"})"));
}

TEST(IdentityTest, IsTheClaimWhateverElseTheTokenSays) {
  const std::string ann = BySub(Bearer(R"({"sub":"ann","exp":1})"));
  EXPECT_EQ(ann.size(), 16u);
  EXPECT_EQ(BySub(Bearer(R"({"exp":2,"sub":"ann"})")), ann);
  EXPECT_NE(BySub(Bearer(R"({"sub":"bob"})")), ann);
}

TEST(IdentityTest, ANumberIsNotTheStringOfItsDigits) {
  EXPECT_NE(BySub(Bearer(R"({"sub":7})")), "");
  EXPECT_NE(BySub(Bearer(R"({"sub":7})")), BySub(Bearer(R"({"sub":"7"})")));
}

// Whatever a client sends for a token, the worst is that it has no identity.
TEST(IdentityTest, NoClaimIsNoIdentity) {
  for (const char* claims :
       {"", "{", "[]", "7", R"({"sub":""})", R"({"sub":null})",
        R"({"sub":["ann"]})", R"({"sub":{"a":1}})", R"({"Sub":"ann"})"}) {
    EXPECT_EQ(BySub(Bearer(claims)), "") << claims;
  }
  // Not base64url without padding, not three parts, not UTF-8, too deep.
  for (const char* token :
       {"", ".", "..", "a..c", "a.b.c", "a.e30=.c", "a.e3 0.c", "a.e+/0.c",
        "a.eyJzdWIiOiJhbm4ifQ", "a.eyJzdWIiOiJhbm4ifQ.c.d"}) {
    EXPECT_EQ(BySub(absl::StrCat("Bearer ", token)), "") << token;
  }
  EXPECT_EQ(BySub(Bearer("{\"sub\":\"\xff\"}")), "");
  const std::string deep(1000, '[');
  EXPECT_EQ(BySub(Bearer(absl::StrCat(R"({"sub":"ann","a":)", deep))), "");
  EXPECT_EQ(BySub(absl::StrCat("Bearer ", std::string(16000, '.'))), "");
  EXPECT_EQ(BySub("Basic YW5uOmE="), "");
  EXPECT_EQ(BySub(Bearer(std::string(8000, '['))), "");
  const HttpRequest request = ParseRequest("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(IdentityOf({.claim = "sub", .header = ""}, request.headers, {}),
            "");
}

// Only who signs a token can write one with two.
TEST(IdentityTest, IsTheLastOfTwoClaimsOfTheSameName) {
  EXPECT_EQ(BySub(Bearer(R"({"sub":"bob","sub":"ann"})")),
            BySub(Bearer(R"({"sub":"ann"})")));
}

TEST(IdentityTest, IsOfOneSizeHoweverLongTheClaim) {
  const std::string claims =
      absl::StrCat(R"({"sub":")", std::string(12000, 'a'), R"("})");
  EXPECT_EQ(BySub(Bearer(claims)).size(), 16u);
}

TEST(IdentityTest, IsTheWholeHeader) {
  const std::string key = ByKey("x-api-key: k1\r\n");
  EXPECT_EQ(key.size(), 16u);
  EXPECT_EQ(ByKey("X-API-Key: k1\r\n"), key);
  EXPECT_NE(ByKey("X-Api-Key: k2\r\n"), key);
  EXPECT_EQ(ByKey("X-Api-Key: k1\r\nX-Api-Key: k2\r\n"),
            ByKey("X-Api-Key: k1, k2\r\n"));
  EXPECT_EQ(ByKey(""), "");
}

// It is kept for as long as the session, and must give nothing away.
TEST(IdentityTest, DoesNotContainTheValue) {
  EXPECT_EQ(ByKey("X-Api-Key: k1\r\n").find("k1"), std::string::npos);
}

TEST(IdentityTest, NobodyHasOneWithoutARule) {
  const HttpRequest request =
      ParseRequest("GET / HTTP/1.1\r\nX-Api-Key: k1\r\n\r\n");
  EXPECT_EQ(IdentityOf({}, request.headers, Bearer(R"({"sub":"ann"})")), "");
}

}  // namespace
}  // namespace headgate
