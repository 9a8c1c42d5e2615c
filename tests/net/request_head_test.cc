#include "gateway/net/request_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using Result = RequestHead::Result;
using ::testing::HasSubstr;

constexpr std::size_t kMax = 1024;

TEST(RequestHeadTest, HeadIsFoundByteByByteAndWhatIsBehindItLeft) {
  const std::string head = "POST /a HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
  for (const bool at_once : {false, true}) {
    RequestHead parser(kMax);
    if (!at_once) {
      for (std::size_t size = 1; size < head.size(); ++size) {
        ASSERT_EQ(parser.Parse(head.substr(0, size)), Result::kNeedMore)
            << size;
      }
    }
    ASSERT_EQ(parser.Parse(head + "body"), Result::kDone);
    EXPECT_EQ(parser.bytes(), head.size());
    EXPECT_EQ(parser.request().target, "/a");
    EXPECT_EQ(parser.request().headers.Value("A"), "b");
    EXPECT_TRUE(parser.keep_alive());
    EXPECT_TRUE(parser.body().done());
  }
}

TEST(RequestHeadTest, LimitIsExact) {
  const std::string line = "GET / HTTP/1.1\r\n";
  for (const int over : {0, 1}) {
    const std::string head = absl::StrCat(
        line, "X: ", std::string(kMax - line.size() - 7 + over, 'x'),
        "\r\n\r\n");
    ASSERT_EQ(head.size(), kMax + over);
    RequestHead parser(kMax);
    EXPECT_EQ(parser.Parse(head), over ? Result::kTooLong : Result::kDone);
    RequestHead slow(kMax);
    Result result = Result::kNeedMore;
    for (std::size_t size = 1;
         size <= head.size() && result == Result::kNeedMore; ++size) {
      result = slow.Parse(head.substr(0, size));
    }
    EXPECT_EQ(result, over ? Result::kTooLong : Result::kDone);
  }
  RequestHead parser(kMax);
  EXPECT_EQ(parser.Parse(line + std::string(kMax, 'x')), Result::kTooLong);
  RequestHead target(kMax);
  EXPECT_EQ(target.Parse("GET /" + std::string(kMax, 'x')), Result::kTooLong);
}

TEST(RequestHeadTest, BodyIsAsTheHeadSays) {
  const auto body = [](const std::string& headers) {
    RequestHead parser(kMax);
    EXPECT_EQ(parser.Parse("POST / HTTP/1.1\r\n" + headers + "\r\n"),
              Result::kDone);
    return parser.body();
  };
  const auto content = [](RequestBody body, absl::string_view bytes) {
    std::string piece;
    EXPECT_TRUE(body.Take(bytes, 100, piece).ok());
    return piece;
  };
  EXPECT_TRUE(body("").done());
  EXPECT_TRUE(body("Content-Length: 0\r\n").done());
  EXPECT_EQ(content(body("Content-Length: 2\r\n"), "abc"), "ab");
  EXPECT_EQ(content(body("Content-Length: 002\r\n"), "abc"), "ab");
  EXPECT_EQ(content(body("Transfer-Encoding: chunked\r\n"), "1\r\na\r\n"), "a");
  EXPECT_EQ(content(body("Transfer-Encoding: Chunked\r\n"), "1\r\na\r\n"), "a");
  // More than Beast's own limit.
  EXPECT_FALSE(body("Content-Length: 9000000000\r\n").done());
}

// RFC 9112 sections 6.1 and 6.3: where two readers could see two bodies there
// is none.
TEST(RequestHeadTest, LengthThatIsNotClearIsMalformed) {
  for (const std::string headers :
       {"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1, 2\r\n",
        "Content-Length: 1,1\r\n",
        "Content-Length: 1,\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 1x\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: chunked\r\n \r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length : 1\r\n",
        "Transfer-Encoding : chunked\r\n"}) {
    RequestHead parser(kMax);
    EXPECT_EQ(parser.Parse("POST / HTTP/1.1\r\n" + headers + "\r\n"),
              Result::kMalformed)
        << headers;
    EXPECT_NE(parser.error(), "");
  }
  RequestHead old(kMax);
  EXPECT_EQ(old.Parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Result::kMalformed);
}

TEST(RequestHeadTest, WhatIsNotHttpIsMalformed) {
  for (const std::string text :
       {"\x16\x03\x01\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\r\nA b\r\n\r\n"}) {
    RequestHead parser(kMax);
    EXPECT_EQ(parser.Parse(text), Result::kMalformed) << text;
  }
}

// RFC 9112 sections 2.2, 5.1 and 5.2: a line is what all readers take for one.
TEST(RequestHeadTest, LineThatIsNotClearIsMalformed) {
  for (const std::string& lines :
       {std::string("A: b\r\n c\r\n"), std::string("A: b\r\n\tc\r\n"),
        std::string("A:\r\n b\r\n"), std::string("A: b\r\n \r\nC: d\r\n"),
        std::string(" A: b\r\n"), std::string("A: b\nC: d\r\n"),
        std::string("A: b\rC: d\r\n"), std::string("A: b\r\r\n"),
        std::string("A: b\n\r\n"), std::string("A: b\0c\r\n", 8),
        std::string("A : b\r\n"), std::string("A\t: b\r\n"),
        std::string(": b\r\n")}) {
    const std::string head = "GET / HTTP/1.1\r\n" + lines + "\r\n";
    RequestHead parser(kMax);
    EXPECT_EQ(parser.Parse(head), Result::kMalformed) << lines;
    RequestHead slow(kMax);
    Result result = Result::kNeedMore;
    for (std::size_t size = 1;
         size <= head.size() && result == Result::kNeedMore; ++size) {
      result = slow.Parse(head.substr(0, size));
    }
    EXPECT_EQ(result, Result::kMalformed) << lines;
    EXPECT_NE(parser.error(), "");
  }
}

TEST(RequestHeadTest, ClientSaysWhetherItStays) {
  const auto stays = [](const std::string& text) {
    RequestHead parser(kMax);
    EXPECT_EQ(parser.Parse(text), Result::kDone);
    return parser.keep_alive();
  };
  EXPECT_TRUE(stays("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_FALSE(stays("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(stays("GET / HTTP/1.1\r\nConnection: TE, Close\r\n\r\n"));
  EXPECT_FALSE(stays("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_FALSE(stays("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

}  // namespace
}  // namespace headgate
