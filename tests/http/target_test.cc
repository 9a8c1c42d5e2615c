#include "gateway/http/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/http/http_request.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

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

// RFC 9110 sections 4.2.1 and 4.2.4: such an address is invalid, or may hide
// from people which host it is for.
TEST(HttpTargetTest, AddressHasAHostAndNoUserinfo) {
  for (const char* target :
       {"http://user@h/", "http://user:pass@h/", "http://@h/", "ws://h@/",
        "http:///x", "http://:80/x", "wss://", "https://?a"}) {
    EXPECT_FALSE(ParseTarget(ParseRequest(
        absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: h\r\n\r\n"))))
        << target;
  }
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

}  // namespace
}  // namespace headgate
