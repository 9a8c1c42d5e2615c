#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/net/cors.h"
#include "gateway/net/http_response.h"
#include "gateway/net/http_target.h"
#include "tests/net/http_request.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

// --- http_target ---

HttpTarget Target(const std::string& target, const std::string& host = "h") {
  const auto parsed = ParseTarget(ParseRequest(
      absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: ", host, "\r\n\r\n")));
  EXPECT_TRUE(parsed) << target;
  return parsed.value_or(HttpTarget{});
}

std::vector<std::string> Query(const std::string& query) {
  std::vector<std::string> pairs;
  for (const Parameter& parameter : Target("/?" + query).query) {
    pairs.push_back(absl::StrCat(parameter.field, "=", parameter.value));
  }
  return pairs;
}

TEST(HttpTargetTest, PathIsKeptAsItCameAndDecodedForPeople) {
  const HttpTarget target = Target("/a%2Fb/c?x=y");
  EXPECT_EQ(target.encoded_path, "/a%2Fb/c");
  EXPECT_EQ(target.path, "/a/b/c");
  EXPECT_EQ(target.host, "h");
}

// RFC 9112 section 3.2.2: the address's host, not the header's.
TEST(HttpTargetTest, AddressBringsItsHost) {
  const HttpTarget target = Target("http://other:8080/x?y=z");
  EXPECT_EQ(target.host, "other:8080");
  EXPECT_EQ(target.encoded_path, "/x");
  EXPECT_THAT(target.query, SizeIs(1));
}

TEST(HttpTargetTest, QueryIsDecodedInOrder) {
  EXPECT_THAT(Query("a=1&b=%26%3D&a=2&c"),
              ElementsAre("a=1", "b=&=", "a=2", "c="));
  EXPECT_THAT(Query("full+name=Jane+%2B+Austen"),
              ElementsAre("full name=Jane + Austen"));
  EXPECT_THAT(Query("copies[main]=2&a=b=c"),
              ElementsAre("copies[main]=2", "a=b=c"));
  EXPECT_THAT(Query("a={\"b\":[1|2]}&c=\xC3\xA4"),
              ElementsAre("a={\"b\":[1|2]}", "c=\xC3\xA4"));
}

TEST(HttpTargetTest, WhatIsNoPathIsNone) {
  for (const char* target :
       {"*", "x", "/%zz", "/?%zz", "/#a", "/?#a", "ftp://h/", "h:80"}) {
    EXPECT_FALSE(ParseTarget(
        ParseRequest(absl::StrCat("GET ", target, " HTTP/1.1\r\n\r\n"))))
        << target;
  }
}

// --- http_response ---

TEST(HttpResponseTest, HeadHasOneLineForEachField) {
  EXPECT_EQ(ResponseHead(404, {{"A", "b"}, {"A", "c"}}),
            "HTTP/1.1 404 Not Found\r\nA: b\r\nA: c\r\n\r\n");
  EXPECT_THAT(ResponseHead(499, {}), HasSubstr(" 499 Client Closed Request"));
}

// A backend must not be able to write headers or an answer of its own.
TEST(HttpResponseTest, ValueCannotEndItsLine) {
  EXPECT_EQ(ResponseHead(200, {{"A", "b\r\nSet-Cookie: c\n\0d\x7F\te"}}),
            "HTTP/1.1 200 OK\r\nA: b??Set-Cookie: c?"
            "\r\n\r\n");
  const std::string value("b\r\nC: d\0\x7F\te", 11);
  EXPECT_EQ(ResponseHead(200, {{"A", value}}),
            "HTTP/1.1 200 OK\r\nA: b??C: d??\te\r\n\r\n");
  EXPECT_EQ(LastChunk({{"A", "b\r\n\r\nHTTP"}}), "0\r\nA: b????HTTP\r\n\r\n");
}

TEST(HttpResponseTest, MetadataIsNamedAsGrpcGatewayDoes) {
  EXPECT_THAT(
      MetadataFields("Grpc-Metadata-", {{"x-branch", "main"},
                                        {"x-branch", "other"},
                                        {"a_b.c", "v"},
                                        {"key-bin", std::string("\0\xFF", 2)},
                                        {"bad key", "x"},
                                        {"", "x"}}),
      ElementsAre(Pair("Grpc-Metadata-X-Branch", "main"),
                  Pair("Grpc-Metadata-X-Branch", "other"),
                  Pair("Grpc-Metadata-A_b.c", "v"),
                  Pair("Grpc-Metadata-Key-Bin", "AP8=")));
}

TEST(HttpResponseTest, MetadataIsBounded) {
  Metadata metadata = {{"first", "v"}, {"long", std::string(9000, 'x')}};
  EXPECT_THAT(MetadataFields("P-", metadata), SizeIs(1));
  metadata.assign(5000, {"k", ""});
  EXPECT_LT(MetadataFields("P-", metadata).size(), 3000u);
}

TEST(HttpResponseTest, StatusIsThatOfTheTable) {
  EXPECT_EQ(HttpStatusOf(EndingOf(absl::OkStatus())), 200);
  EXPECT_EQ(HttpStatusOf(EndingOf(absl::NotFoundError(""))), 404);
  EXPECT_EQ(HttpStatusOf(EndingOf(absl::ResourceExhaustedError(""))), 429);
  EXPECT_EQ(HttpStatusOf({CloseCode::kMessageTooBig,
                          {absl::ResourceExhaustedError(""), ""}}),
            413);
  EXPECT_EQ(
      HttpStatusOf({CloseCode::kGoingAway, {absl::UnavailableError(""), ""}}),
      503);
}

TEST(HttpResponseTest, SomeStatusesSayMore) {
  const auto fields = [](int status) {
    HttpFields fields;
    AddFieldsOfStatus(status, fields);
    return fields;
  };
  EXPECT_THAT(fields(401), ElementsAre(Pair("WWW-Authenticate", "Bearer")));
  EXPECT_THAT(fields(503), ElementsAre(Pair("Retry-After", "5")));
  EXPECT_THAT(fields(404), IsEmpty());
}

TEST(HttpResponseTest, DateIsAsRfc9110HasIt) {
  EXPECT_EQ(HttpDate(absl::FromUnixSeconds(784111777)),
            "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(AcceptTest, WeightIsOfTheRangeThatNamesTheType) {
  const auto weight = [](const char* accept) {
    return AcceptedWeight(RequestWith(absl::StrCat("Accept: ", accept, "\r\n")),
                          "a/b");
  };
  EXPECT_EQ(weight("a/b"), 1000);
  EXPECT_EQ(weight("x/y, A/B ; q=0.5"), 500);
  EXPECT_EQ(weight("a/b;charset=x;Q=0.25"), 250);
  EXPECT_EQ(weight("a/b;q=0"), 0);
  EXPECT_EQ(weight("a/b;q=0.000"), 0);
  EXPECT_EQ(weight("a/b;q=x"), 1000);
  EXPECT_EQ(weight("a/b;q=nan"), 1000);
  EXPECT_EQ(weight("a/b;q=-1"), 1000);
  EXPECT_EQ(weight("x/y"), std::nullopt);
  EXPECT_EQ(weight("*/*"), std::nullopt);
  EXPECT_EQ(AcceptedWeight(
                RequestWith("Accept: a/b;q=0\r\nAccept: a/b;q=0.1\r\n"), "a/b"),
            100);
}

// --- cors ---

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
