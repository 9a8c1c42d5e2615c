#include "gateway/http/cors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/http/http_request.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::Pair;

const std::vector<std::string> kExample = {"https://*.example.com"};
const OwnOrigin kOwn = {OwnOrigin::Scheme::kHttp, "h"};

TEST(CorsTest, AllowedOriginIsNamedInTheAnswer) {
  EXPECT_THAT(
      CorsFields(RequestWith("Host: h\r\nOrigin: https://a.example.com\r\n"),
                 kOwn, kExample),
      ElementsAre(Pair("Vary", "Origin"),
                  Pair("Access-Control-Allow-Origin", "https://a.example.com"),
                  Pair("Access-Control-Allow-Credentials", "true")));
}

// Any page could else read what a visitor's cookies open.
TEST(CorsTest, StarDoesNotAllowCredentials) {
  EXPECT_THAT(
      CorsFields(RequestWith("Host: h\r\nOrigin: https://evil.test\r\n"), kOwn,
                 {"*"}),
      ElementsAre(Pair("Vary", "Origin"),
                  Pair("Access-Control-Allow-Origin", "https://evil.test")));
  EXPECT_THAT(
      CorsFields(RequestWith("Host: h\r\nOrigin: http://h\r\n"), kOwn, {"*"}),
      Contains(Pair("Access-Control-Allow-Credentials", "true")));
}

TEST(CorsTest, OtherOriginsAreNotNamed) {
  for (const char* headers :
       {"Host: h\r\n", "Host: h\r\nOrigin: https://evil.test\r\n",
        "Host: h\r\nOrigin: http://h\r\nOrigin: http://h\r\n"}) {
    EXPECT_THAT(CorsFields(RequestWith(headers), kOwn, kExample),
                ElementsAre(Pair("Vary", "Origin")));
  }
}

HttpRequest Preflight(const std::string& headers) {
  return ParseRequest(
      absl::StrCat("OPTIONS / HTTP/1.1\r\nHost: h\r\n", headers, "\r\n"));
}

TEST(CorsTest, PreflightIsKnownByItsHeaders) {
  EXPECT_TRUE(IsPreflight(
      Preflight("Origin: http://h\r\nAccess-Control-Request-Method: PUT\r\n")));
  EXPECT_FALSE(IsPreflight(Preflight("Origin: http://h\r\n")));
  EXPECT_FALSE(
      IsPreflight(Preflight("Access-Control-Request-Method: PUT\r\n")));
  EXPECT_FALSE(IsPreflight(RequestWith(
      "Origin: http://h\r\nAccess-Control-Request-Method: PUT\r\n")));
}

TEST(CorsTest, PreflightSaysWhatMayBeSent) {
  const HttpFields fields = PreflightFields(
      Preflight("Origin: http://h\r\nAccess-Control-Request-Method: PUT\r\n"
                "Access-Control-Request-Headers: content-type, x y, A,b(c\r\n"),
      kOwn, {}, {"GET", "PUT"});
  EXPECT_THAT(fields,
              Contains(Pair("Access-Control-Allow-Methods", "GET, PUT")));
  EXPECT_THAT(fields, Contains(Pair("Access-Control-Allow-Headers",
                                    "content-type, A")));
  EXPECT_THAT(fields, Contains(Pair("Access-Control-Max-Age", "600")));
  EXPECT_THAT(fields,
              Contains(Pair("Access-Control-Allow-Origin", "http://h")));
}

// A rule for any verb takes the one that was asked for.
TEST(CorsTest, PreflightOfAnyVerbNamesTheAskedOne) {
  EXPECT_THAT(
      PreflightFields(Preflight("Origin: http://h\r\n"
                                "Access-Control-Request-Method: FROB\r\n"),
                      kOwn, {}, {"*"}),
      Contains(Pair("Access-Control-Allow-Methods", "FROB")));
  EXPECT_THAT(
      PreflightFields(Preflight("Origin: http://h\r\n"
                                "Access-Control-Request-Method: a, b\r\n"),
                      kOwn, {}, {"*"}),
      Not(Contains(Pair("Access-Control-Allow-Methods", "a, b"))));
}

}  // namespace
}  // namespace headgate
