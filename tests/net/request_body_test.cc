#include "gateway/net/request_body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

constexpr std::size_t kMany = 1 << 20;

// What a body gives when its bytes come in pieces of `step`, and what is left.
struct Taken {
  std::string content;
  std::string rest;
  bool done = false;
  absl::Status status;
};
Taken TakeAll(RequestBody body, std::string bytes, std::size_t step) {
  Taken taken;
  std::string buffer;
  while (!bytes.empty() && taken.status.ok()) {
    buffer += bytes.substr(0, step);
    bytes.erase(0, step);
    absl::string_view view = buffer;
    taken.status = body.Take(view, kMany, taken.content);
    buffer = std::string(view);
  }
  taken.rest = buffer;
  taken.done = body.done();
  return taken;
}

TEST(RequestBodyTest, LengthIsCountedAndWhatIsBehindItLeft) {
  const Taken taken = TakeAll(RequestBody::OfLength(3), "abcGET /", kMany);
  EXPECT_EQ(taken.content, "abc");
  EXPECT_EQ(taken.rest, "GET /");
  EXPECT_TRUE(taken.done);
}

TEST(RequestBodyTest, NoLengthIsDoneBeforeAnything) {
  EXPECT_TRUE(RequestBody::OfLength(0).done());
  EXPECT_FALSE(RequestBody::OfLength(1).done());
  EXPECT_FALSE(RequestBody::Chunked().done());
}

// RFC 9112 section 7.1, however the bytes are cut.
TEST(RequestBodyTest, ChunksAreJoinedWhateverPiecesTheyComeIn) {
  const std::string wire =
      "3\r\nabc\r\n00A;name=\"v\";x\r\n0123456789\r\n1 \r\n.\r\n"
      "0\r\nTrailer: is dropped\r\n: so is this\r\n\r\nGET /";
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{2}, std::size_t{7}, kMany}) {
    const Taken taken = TakeAll(RequestBody::Chunked(), wire, step);
    EXPECT_EQ(taken.status, absl::OkStatus());
    EXPECT_EQ(taken.content, "abc0123456789.");
    EXPECT_EQ(taken.rest, "GET /");
    EXPECT_TRUE(taken.done);
  }
}

TEST(RequestBodyTest, PieceIsNoLongerThanAskedFor) {
  RequestBody body = RequestBody::Chunked();
  const std::string wire = "5\r\nabcde\r\n0\r\n\r\n";
  absl::string_view bytes = wire;
  std::string piece;
  EXPECT_TRUE(body.Take(bytes, 2, piece).ok());
  EXPECT_EQ(piece, "ab");
  piece.clear();
  EXPECT_TRUE(body.Take(bytes, 2, piece).ok());
  EXPECT_EQ(piece, "cd");
  EXPECT_FALSE(body.done());
  piece.clear();
  EXPECT_TRUE(body.Take(bytes, 2, piece).ok());
  EXPECT_EQ(piece, "e");
  EXPECT_TRUE(body.done());
  EXPECT_EQ(bytes, "");
}

TEST(RequestBodyTest, WhatIsNoChunkIsInvalid) {
  for (const std::string wire :
       {"\r\n", "x\r\n", "-1\r\n", "+1\r\na", "0x1\r\na", ";\r\n", " 1\r\na",
        "1\na\r\n", "1\ra", "1\r\nab\r\n", "1\r\na\n", "1\r\na\rb",
        "1;a\nb\r\n", "0\r\nA: b\n\r\n", "0\r\n\rx", "0\r\n\n",
        "100000000000001\r\n", "fffffffffffffffff\r\n"}) {
    const Taken taken = TakeAll(RequestBody::Chunked(), wire, 1);
    EXPECT_EQ(taken.status.code(), absl::StatusCode::kInvalidArgument) << wire;
  }
}

// Nobody may send for ever what is then dropped.
TEST(RequestBodyTest, ExtensionsAndTrailersAreBounded) {
  const std::string much(10'000, 'x');
  EXPECT_FALSE(TakeAll(RequestBody::Chunked(), "1;" + much, kMany).status.ok());
  EXPECT_FALSE(
      TakeAll(RequestBody::Chunked(), "0\r\n" + much, kMany).status.ok());
  std::string lines = "0\r\n";
  for (int i = 0; i < 3000; ++i) lines += "a:b\r\n";
  EXPECT_FALSE(TakeAll(RequestBody::Chunked(), lines, kMany).status.ok());
  // Each chunk may have some.
  std::string chunks;
  for (int i = 0; i < 10; ++i) {
    absl::StrAppend(&chunks, "1;", much.substr(0, 5000), "\r\na\r\n");
  }
  EXPECT_EQ(TakeAll(RequestBody::Chunked(), chunks, kMany).content,
            std::string(10, 'a'));
}

}  // namespace
}  // namespace headgate
