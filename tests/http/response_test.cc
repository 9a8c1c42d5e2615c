#include "gateway/http/response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Pair;

TEST(HttpResponseTest, HeadHasOneLineForEachField) {
  EXPECT_EQ(ResponseHead(404, {{"A", "b"}, {"A", "c"}}),
            "HTTP/1.1 404 Not Found\r\nA: b\r\nA: c\r\n\r\n");
  EXPECT_THAT(ResponseHead(499, {}), HasSubstr(" 499 Client Closed Request"));
}

// RFC 9110 section 15; those of the console, of refusals and of calls.
TEST(HttpResponseTest, EachStatusThatIsSentHasItsPhrase) {
  for (const int status : {101, 200, 204, 308, 400, 401, 403, 404, 405, 408,
                           409, 413, 426, 429, 431, 499, 500, 501, 503, 504}) {
    EXPECT_THAT(ResponseHead(status, {}),
                MatchesRegex(absl::StrCat("HTTP/1.1 ", status,
                                          " [A-Z][-A-Za-z ]+\r\n\r\n")));
  }
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

}  // namespace
}  // namespace headgate
