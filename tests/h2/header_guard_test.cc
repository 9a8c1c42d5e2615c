#include "gateway/h2/header_guard.h"

#include <nghttp2/nghttp2.h>

#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"

namespace headgate::h2 {
namespace {

using ::testing::IsEmpty;
using ::testing::Pair;

using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t kMaxBlockBytes = 64 * 1024;

std::string Piece(int type, int flags, const std::string& payload,
                  int stream = 1) {
  const std::size_t size = payload.size();
  const char head[] = {static_cast<char>(size >> 16),
                       static_cast<char>(size >> 8),
                       static_cast<char>(size),
                       static_cast<char>(type),
                       static_cast<char>(flags),
                       0,
                       0,
                       0,
                       static_cast<char>(stream)};
  return std::string(head, sizeof head) + payload;
}

// `block` in frames of so many bytes.
std::string Pieces(const std::string& block, std::size_t size = 16384,
                   int stream = 1) {
  std::string frames;
  for (std::size_t at = 0; at == 0 || at < block.size(); at += size) {
    const bool last = at + size >= block.size();
    frames += Piece(at == 0 ? NGHTTP2_HEADERS : NGHTTP2_CONTINUATION,
                    last ? NGHTTP2_FLAG_END_HEADERS : 0, block.substr(at, size),
                    stream);
  }
  return frames;
}

// What comes out of the guard for `bytes`, given in pieces of so many.
std::string PassThrough(HeaderGuard& guard, absl::string_view bytes,
                        std::size_t piece = std::string::npos) {
  std::string out;
  while (!bytes.empty()) {
    absl::string_view next = bytes.substr(0, piece);
    bytes.remove_prefix(next.size());
    while (!next.empty() && guard.status().ok()) {
      absl::StrAppend(&out, guard.Next(next));
    }
  }
  return out;
}

// The block in the frames.
std::string BlockOf(absl::string_view frames) {
  std::string block;
  int count = 0;
  bool ended = false;
  while (!frames.empty()) {
    const auto at = [&](int i) {
      return static_cast<std::uint8_t>(frames[static_cast<std::size_t>(i)]);
    };
    const std::size_t size =
        static_cast<std::size_t>(at(0) << 16 | at(1) << 8 | at(2));
    EXPECT_LE(size, 16384u);
    EXPECT_EQ(at(3), count == 0 ? NGHTTP2_HEADERS : NGHTTP2_CONTINUATION);
    EXPECT_FALSE(ended);
    ended = (at(4) & NGHTTP2_FLAG_END_HEADERS) != 0;
    absl::StrAppend(&block, frames.substr(9, size));
    frames.remove_prefix(9 + size);
    ++count;
  }
  EXPECT_TRUE(ended);
  return block;
}

// A server's encoder, and the decoder that nghttp2 has.
class HeaderGuardTest : public ::testing::Test {
 protected:
  HeaderGuardTest() {
    nghttp2_hd_deflate_new(&deflater_, 4096);
    nghttp2_hd_inflate_new(&inflater_);
  }
  ~HeaderGuardTest() override {
    nghttp2_hd_deflate_del(deflater_);
    nghttp2_hd_inflate_del(inflater_);
  }

  std::string Encode(const Fields& fields, bool never_indexed = false) {
    std::vector<nghttp2_nv> list;
    for (const auto& [name, value] : fields) {
      list.push_back(
          {Bytes(name), Bytes(value), name.size(), value.size(),
           static_cast<std::uint8_t>(never_indexed ? NGHTTP2_NV_FLAG_NO_INDEX
                                                   : NGHTTP2_NV_FLAG_NONE)});
    }
    std::string block(
        nghttp2_hd_deflate_bound(deflater_, list.data(), list.size()), '\0');
    const ssize_t size = nghttp2_hd_deflate_hd(
        deflater_, Bytes(block), block.size(), list.data(), list.size());
    EXPECT_GT(size, 0);
    block.resize(static_cast<std::size_t>(size));
    return block;
  }
  // Fails the test when nghttp2 cannot decode it.
  Fields Decode(const std::string& block) {
    Fields fields;
    absl::string_view rest = block;
    for (;;) {
      nghttp2_nv field;
      int flags = 0;
      const ssize_t taken = nghttp2_hd_inflate_hd2(
          inflater_, &field, &flags,
          reinterpret_cast<const std::uint8_t*>(rest.data()), rest.size(), 1);
      if (taken < 0) {
        ADD_FAILURE() << nghttp2_strerror(static_cast<int>(taken));
        return fields;
      }
      rest.remove_prefix(static_cast<std::size_t>(taken));
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        fields.emplace_back(
            std::string(reinterpret_cast<char*>(field.name), field.namelen),
            std::string(reinterpret_cast<char*>(field.value), field.valuelen));
      }
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
    return fields;
  }
  static std::uint8_t* Bytes(const std::string& text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
  }

  nghttp2_hd_deflater* deflater_ = nullptr;
  nghttp2_hd_inflater* inflater_ = nullptr;
  HeaderGuard guard_{kMaxBlockBytes};
};

TEST_F(HeaderGuardTest, WhatIsNoLongBlockPassesAsItIs) {
  const std::string bytes =
      Piece(NGHTTP2_SETTINGS, 0, "") + Pieces(Encode({{":status", "200"}})) +
      Piece(NGHTTP2_DATA, 0, std::string(20'000, 'd')) +
      Piece(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, "") +
      Piece(NGHTTP2_DATA, 1, "");
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{7}, std::size_t{10}, bytes.size()}) {
    EXPECT_EQ(PassThrough(guard_, bytes, piece), bytes) << piece;
  }
  // All of it at once, where it lies.
  absl::string_view rest = bytes;
  EXPECT_EQ(guard_.Next(rest).data(), bytes.data());
  EXPECT_THAT(rest, IsEmpty());
  EXPECT_EQ(guard_.TakeBlockBytes(), 0u);
}

TEST_F(HeaderGuardTest, BlockThatIsShortEnoughIsPutIntoFewFrames) {
  const Fields fields = {{":status", "200"},
                         {"a", std::string(30'000, '%')},
                         {"b", std::string(20'000, '~')}};
  const std::string block = Encode(fields);
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{1000}, std::string::npos}) {
    HeaderGuard guard(kMaxBlockBytes);
    EXPECT_EQ(BlockOf(PassThrough(guard, Pieces(block, 100), piece)), block);
    EXPECT_EQ(guard.dropped_bytes(), 0u);
  }
}

// nghttp2 takes no string of more than 64 KiB.
TEST_F(HeaderGuardTest, LongStringsAreReplaced) {
  for (const bool never_indexed : {false, true}) {
    for (const char fill : {'%', 'x', '\x01'}) {  // By Huffman's code and not.
      for (const std::size_t piece : {std::size_t{1}, std::string::npos}) {
        HeaderGuard guard(kMaxBlockBytes);
        const std::string block =
            Encode({{"grpc-status", "3"},
                    {"grpc-message", std::string(1'000'000, fill)},
                    {"x-last", "1"}},
                   never_indexed);
        const Fields fields =
            Decode(BlockOf(PassThrough(guard, Pieces(block), piece)));
        ASSERT_EQ(fields.size(), 3u);
        EXPECT_THAT(fields[0], Pair("grpc-status", "3"));
        EXPECT_EQ(fields[1].first, "grpc-message");
        EXPECT_LE(fields[1].second.size(), 4096u);
        EXPECT_THAT(fields[2], Pair("x-last", "1"));
        EXPECT_GT(guard.dropped_bytes(), 500'000u);
        EXPECT_EQ(guard.TakeBlockBytes(), block.size());
        EXPECT_EQ(guard.TakeBlockBytes(), 0u);
        absl::string_view other = "x";
        guard.Next(other);
        EXPECT_EQ(guard.dropped_bytes(), 0u);
      }
    }
  }
}

// RFC 7541 section 4.4: an entry that is longer than the table empties it, and
// one that is not goes in, whatever the block's length.
TEST_F(HeaderGuardTest, TableStaysInStep) {
  const Fields small = {{"a", "1"}, {"b", "2"}, {"a", "1"}};
  EXPECT_EQ(Decode(BlockOf(PassThrough(guard_, Pieces(Encode(small))))), small);
  Fields many;
  for (int i = 0; i < 2000; ++i) {
    many.emplace_back(absl::StrCat("name-", i), std::string(20, '%'));
    if (i % 50 == 0) many.emplace_back("x", std::string(1500, '%'));
  }
  const Fields long_one = {{"c", "3"},
                           {"long", std::string(100'000, '%')},
                           {"d", "4"},
                           {"long", std::string(5000, '%')},
                           {"e", std::string(3000, '%')}};
  const Fields check = {{"a", "1"},
                        {"b", "2"},
                        {"c", "3"},
                        {"d", "4"},
                        {"f", "5"},
                        {"long", "6"},
                        {"name-1999", "7"},
                        {"e", std::string(3000, '%')},
                        {"name-1998", std::string(20, '%')}};
  for (int round = 0; round < 3; ++round) {
    Decode(BlockOf(PassThrough(guard_, Pieces(Encode(long_one)))));
    EXPECT_EQ(Decode(BlockOf(PassThrough(guard_, Pieces(Encode(check))))),
              check);
    Decode(BlockOf(PassThrough(guard_, Pieces(Encode(many), 1000))));
    EXPECT_EQ(Decode(BlockOf(PassThrough(guard_, Pieces(Encode(check), 10)))),
              check);
    Decode(BlockOf(PassThrough(guard_, Pieces(Encode(long_one, true)))));
    EXPECT_EQ(Decode(BlockOf(PassThrough(guard_, Pieces(Encode(check))))),
              check);
  }
}

// An encoder may ask for any string to be put into the table.
TEST_F(HeaderGuardTest, LongStringForTheTableEmptiesIt) {
  const auto literal = [](const std::string& text) {
    std::string length;
    if (text.size() < 127) {
      length.push_back(static_cast<char>(text.size()));
    } else {
      length.push_back(127);
      std::size_t rest = text.size() - 127;
      for (; rest >= 128; rest /= 128) {
        length.push_back(static_cast<char>(rest % 128 + 128));
      }
      length.push_back(static_cast<char>(rest));
    }
    return length + text;
  };
  const std::string small = "\x40" + literal("a") + literal("1");
  const Fields field = {{"a", "1"}};
  EXPECT_EQ(Decode(BlockOf(PassThrough(guard_, Pieces(small)))), field);
  EXPECT_EQ(Decode("\xBE"), field);  // The newest of the table.
  for (const bool in_name : {false, true}) {
    const std::string text(100'000, 'y');
    Decode(BlockOf(
        PassThrough(guard_, Pieces("\x40" + literal(in_name ? text : "b") +
                                   literal(in_name ? "2" : text) + small))));
    EXPECT_EQ(Decode("\xBE"), field);
    nghttp2_nv ignored;
    int flags = 0;
    const std::string second = "\xBF";
    EXPECT_LT(nghttp2_hd_inflate_hd2(inflater_, &ignored, &flags, Bytes(second),
                                     1, 1),
              0);
    nghttp2_hd_inflate_del(inflater_);
    nghttp2_hd_inflate_new(&inflater_);
    Decode(small);
  }
}

// Names may be long as well.
TEST_F(HeaderGuardTest, LongNamesAreReplaced) {
  Fields fields = {{"grpc-status", "0"}};
  for (int i = 0; i < 100; ++i) {
    fields.emplace_back(std::string(5000, 'a'), std::string(5000, '%'));
  }
  fields.emplace_back("last", "1");
  const std::string block = Encode(fields, true);
  const Fields decoded = Decode(BlockOf(PassThrough(guard_, Pieces(block))));
  ASSERT_EQ(decoded.size(), 102u);
  EXPECT_THAT(decoded[0], Pair("grpc-status", "0"));
  EXPECT_THAT(decoded[50], Pair("x", "x"));
  EXPECT_THAT(decoded[101], Pair("last", "1"));
  EXPECT_GT(guard_.dropped_bytes(), block.size() - 80'000);
}

TEST_F(HeaderGuardTest, FieldsForNoTableAreLeftOutWhenThereAreTooMany) {
  const Fields fields(50'000, {"a", "1"});
  const Fields decoded =
      Decode(BlockOf(PassThrough(guard_, Pieces(Encode(fields, true)))));
  EXPECT_GT(decoded.size(), 10'000u);
  EXPECT_LT(decoded.size(), 30'000u);
  // Indexed ones likewise.
  const Fields indexed(100'000, {"a", "2"});
  EXPECT_LT(
      Decode(BlockOf(PassThrough(guard_, Pieces(Encode(indexed))))).size(),
      70'000u);
  const Fields small = {{"a", "2"}};
  EXPECT_EQ(Decode(Encode(small)), small);
}

TEST_F(HeaderGuardTest, PaddingAndPriorityAreTakenOff) {
  const std::string block = Encode({{":status", "200"}});
  const std::string payload =
      std::string(1, 7) + std::string(5, 'p') + block + std::string(7, 0);
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{3}, std::string::npos}) {
    HeaderGuard guard(kMaxBlockBytes);
    EXPECT_EQ(PassThrough(
                  guard,
                  Piece(NGHTTP2_HEADERS,
                        NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_PRIORITY |
                            NGHTTP2_FLAG_END_STREAM,
                        payload) +
                      Piece(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, ""),
                  piece),
              Piece(NGHTTP2_HEADERS,
                    NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, block));
  }
}

TEST_F(HeaderGuardTest, MalformedBlocksAreFaults) {
  const auto fault = [](const std::string& bytes) {
    HeaderGuard guard(kMaxBlockBytes);
    PassThrough(guard, bytes);
    return std::string(guard.status().message());
  };
  const std::string end =
      Piece(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, "");
  EXPECT_EQ(fault(Piece(NGHTTP2_HEADERS, NGHTTP2_FLAG_PADDED, "")),
            "HTTP/2: a HEADERS frame is too short for its flags");
  EXPECT_EQ(fault(Piece(NGHTTP2_HEADERS, NGHTTP2_FLAG_PADDED, "\x05")),
            "HTTP/2: a HEADERS frame has more padding than bytes");
  EXPECT_EQ(fault(Piece(NGHTTP2_HEADERS, 0, std::string(20, '\xFF'))),
            "HTTP/2: an integer in a header block is too large");
  EXPECT_EQ(fault(Piece(NGHTTP2_HEADERS, 0, "\x40") + end),
            "HTTP/2: a header block is cut short");
}

// RFC 9113 section 6.10: nghttp2 is to see that it is none.
TEST_F(HeaderGuardTest, OtherFramesWithinABlockPass) {
  const std::string block = Encode({{":status", "200"}});
  const std::string ping = Piece(NGHTTP2_PING, 0, "12345678", 0);
  const std::string other =
      Piece(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, block, 3);
  for (const std::string& wrong : {ping, other}) {
    HeaderGuard guard(kMaxBlockBytes);
    const std::string bytes = Piece(NGHTTP2_HEADERS, 0, block) + wrong;
    EXPECT_EQ(PassThrough(guard, bytes), bytes);
  }
}

}  // namespace
}  // namespace headgate::h2
