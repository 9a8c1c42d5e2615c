#include "gateway/codec/base64_stream.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

// The bytes, or "fault"; "..." behind them where the text may not end there.
std::string Decode(absl::string_view text, std::size_t piece = 1000) {
  Base64Stream stream;
  std::string bytes;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    if (!stream.Feed(text.substr(at, piece), bytes).ok()) return "fault";
  }
  return stream.complete() ? bytes : bytes + "...";
}

TEST(Base64StreamTest, DecodesWhatIsPaddedAtItsEnd) {
  EXPECT_EQ(Decode(""), "");
  EXPECT_EQ(Decode("YQ=="), "a");
  EXPECT_EQ(Decode("YWI="), "ab");
  EXPECT_EQ(Decode("YWJj"), "abc");
  EXPECT_EQ(Decode("+/+/"), "\xFB\xFF\xBF");
}

// grpc/grpc doc/PROTOCOL-WEB.md: "the text may be padded in the middle".
TEST(Base64StreamTest, DecodesWhatIsPaddedInTheMiddle) {
  EXPECT_EQ(Decode("YQ==YWI=YWJjYQ=="), "aababca");
}

TEST(Base64StreamTest, PiecesDoNotMatter) {
  for (const std::size_t piece : {1, 2, 3, 5, 7}) {
    EXPECT_EQ(Decode("YQ==YWI=YWJjYQ==", piece), "aababca") << piece;
    EXPECT_EQ(Decode("YWJ*", piece), "fault") << piece;
  }
}

TEST(Base64StreamTest, KnowsWhereTheTextMayNotEnd) {
  EXPECT_EQ(Decode("YWJjY"), "abc...");
  EXPECT_EQ(Decode("YWI"), "...");
  EXPECT_EQ(Decode("YQ="), "...");
}

TEST(Base64StreamTest, RefusesWhatIsNotBase64) {
  for (const char* text : {"=", "Y===", "YQ=a", "YQ= =", "YW J", "YWJj\n",
                           "YQ-_", "\xFFWJj", "YWJj===="}) {
    EXPECT_EQ(Decode(text), "fault") << text;
  }
}

}  // namespace
}  // namespace headgate
