#include "gateway/base/utf8.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

struct Case {
  const char* what;
  absl::string_view bytes;
  std::size_t valid_prefix;
};

// RFC 3629 section 4, row by row, at the edges of each.
TEST(Utf8Test, AcceptsEveryLengthAtItsEdges) {
  for (absl::string_view text :
       {"", "a\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
        "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80",
        "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  EXPECT_TRUE(IsUtf8(absl::string_view("\0", 1)));
}

TEST(Utf8Test, StopsBeforeTheFirstByteThatIsNoCharacter) {
  const Case cases[] = {
      {"a continuation without a start", "ab\x80", 2},
      {"an overlong slash", "a\xC0\xAF", 1},
      {"an overlong of two bytes", "\xC1\xBF", 0},
      {"an overlong of three bytes", "\xE0\x9F\xBF", 0},
      {"an overlong of four bytes", "\xF0\x8F\xBF\xBF", 0},
      {"a surrogate", "a\xED\xA0\x80", 1},
      {"above U+10FFFF", "\xF4\x90\x80\x80", 0},
      {"a byte that never occurs", "\xFF", 0},
      {"a start of five bytes", "\xF8\x88\x80\x80\x80", 0},
      {"a character cut after one byte", "a\xC3", 1},
      {"a character cut after three bytes", "\xC3\xA4\xF0\x9F\x98", 2},
      {"a character whose third byte is a letter", "\xE2\x82z", 0},
      {"a character whose fourth byte is a letter", "\xF0\x9F\x98z", 0},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(ValidUtf8Prefix(c.bytes), c.valid_prefix) << c.what;
    EXPECT_FALSE(IsUtf8(c.bytes)) << c.what;
  }
}

// ASCII is gone over several bytes at a time.
TEST(Utf8Test, FindsTheBadByteWhereverItIs) {
  for (std::size_t size = 0; size < 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, 'x');
      text[at] = '\xFF';
      EXPECT_EQ(ValidUtf8Prefix(text), at) << size;
    }
    EXPECT_TRUE(IsUtf8(std::string(size, 'x')));
    EXPECT_TRUE(IsUtf8(std::string(size, 'x') + "\xC3\xA4"));
  }
}

TEST(Utf8Test, ToUtf8ReplacesEachBadByteAndKeepsTheRest) {
  EXPECT_EQ(ToUtf8("gr\xC3\xBC\xC3\x9F"), "gr\xC3\xBC\xC3\x9F");
  EXPECT_EQ(ToUtf8("a\xFF\xFE z"), "a?? z");
  EXPECT_EQ(ToUtf8("\xE2\x82"), "??");
  EXPECT_EQ(ToUtf8("\xC3\xC3\xBC"), "?\xC3\xBC");
}

TEST(Utf8Test, CutNeverSplitsACharacter) {
  const absl::string_view text = "a\xC3\xBC\xF0\x9F\x98\x80";  // 1, 2, 4 bytes.
  EXPECT_EQ(CutUtf8(text, 7), text);
  EXPECT_EQ(CutUtf8(text, 100), text);
  for (std::size_t max : {3u, 4u, 5u, 6u}) {
    EXPECT_EQ(CutUtf8(text, max), "a\xC3\xBC") << max;
  }
  EXPECT_EQ(CutUtf8(text, 2), "a");
  EXPECT_EQ(CutUtf8(text, 0), "");
}

}  // namespace
}  // namespace headgate
