#include "gateway/http/request_body.h"

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
      "3\r\nabc\r\n00A;name=\"v\";x\r\n0123456789\r\n1\r\n.\r\n"
      "1\t ;x\r\n!\r\n0\r\nTrailer: is dropped\r\nX-2:so is this\r\n\r\nGET /";
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{2}, std::size_t{7}, kMany}) {
    const Taken taken = TakeAll(RequestBody::Chunked(), wire, step);
    EXPECT_EQ(taken.status, absl::OkStatus());
    EXPECT_EQ(taken.content, "abc0123456789.!");
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
  for (const std::string wire : {"\r\n",
                                 "x\r\n",
                                 "-1\r\n",
                                 "+1\r\na",
                                 "0x1\r\na",
                                 ";\r\n",
                                 " 1\r\na",
                                 "1\na\r\n",
                                 "1\ra",
                                 "1\r\nab\r\n",
                                 "1\r\na\n",
                                 "1\r\na\rb",
                                 "1 \r\na\r\n",
                                 "1\t \r\na\r\n",
                                 "1 x\r\na\r\n",
                                 "1 1\r\na\r\n",
                                 "1\t\n",
                                 "1x\r\na\r\n",
                                 "1;a\nb\r\n",
                                 "1;\x7f\r\na\r\n",
                                 "0\r\nA: b\n\r\n",
                                 "0\r\n\rx",
                                 "0\r\n\n",
                                 "0\r\nA: b\r\n c\r\n\r\n",
                                 "0\r\nA : b\r\n\r\n",
                                 "0\r\nA\r\n\r\n",
                                 "0\r\n: b\r\n\r\n",
                                 "100000000000001\r\n",
                                 "fffffffffffffffff\r\n"}) {
    const Taken taken = TakeAll(RequestBody::Chunked(), wire, 1);
    EXPECT_EQ(taken.status.code(), absl::StatusCode::kInvalidArgument) << wire;
  }
}

TEST(RequestBodyTest, LinesOfChunksAreBoundedByTheirContent) {
  const std::string much(10'000, 'x');
  EXPECT_FALSE(TakeAll(RequestBody::Chunked(), "1;" + much, kMany).status.ok());
  EXPECT_FALSE(
      TakeAll(RequestBody::Chunked(), "1 " + std::string(10'000, ' '), kMany)
          .status.ok());
  EXPECT_FALSE(TakeAll(RequestBody::Chunked(), std::string(10'000, '0'), kMany)
                   .status.ok());
  EXPECT_FALSE(
      TakeAll(RequestBody::Chunked(), "0\r\n" + much, kMany).status.ok());
  std::string lines = "0\r\n";
  for (int i = 0; i < 3000; ++i) lines += "a:b\r\n";
  EXPECT_FALSE(TakeAll(RequestBody::Chunked(), lines, kMany).status.ok());

  const auto chunks = [](int count, std::size_t extension,
                         const std::string& content) {
    std::string chunks;
    for (int i = 0; i < count; ++i) {
      absl::StrAppend(&chunks, absl::Hex(content.size()), ";",
                      std::string(extension, 'x'), "\r\n", content, "\r\n");
    }
    return TakeAll(RequestBody::Chunked(), chunks, kMany).status;
  };
  // Some for each chunk, and as much as the content is long.
  EXPECT_TRUE(chunks(10'000, 10, "a").ok());
  EXPECT_TRUE(chunks(100, 1000, std::string(1000, 'a')).ok());
  EXPECT_FALSE(chunks(100, 1000, "a").ok());
}

}  // namespace
}  // namespace headgate
