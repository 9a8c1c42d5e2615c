#include "gateway/codec/json_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The texts in these pieces, each with its place, "line:byte text"; last the
// fault, if any.
std::vector<std::string> Read(JsonStream& stream,
                              const std::vector<std::string>& pieces) {
  std::vector<std::string> log;
  for (const std::string& piece : pieces) {
    stream.Feed(piece);
    for (;;) {
      const JsonStream::Event event = stream.Next();
      if (std::holds_alternative<JsonStream::NeedBytes>(event)) break;
      if (const auto* fault = std::get_if<JsonStream::Fault>(&event)) {
        log.push_back(absl::StrCat(ToString(fault->position), ": ",
                                   fault->status.ToString()));
        return log;
      }
      const StreamPosition at = stream.PositionOf(0);
      log.push_back(absl::StrCat(at.line, ":", at.byte, " ",
                                 std::get<JsonStream::Text>(event).json));
    }
  }
  return log;
}

std::vector<std::string> Read(const std::vector<std::string>& pieces,
                              std::size_t max_text_bytes = 100) {
  JsonStream stream(max_text_bytes, 100);
  return Read(stream, pieces);
}

std::vector<std::string> ByteByByte(absl::string_view bytes) {
  std::vector<std::string> pieces;
  for (const char byte : bytes) pieces.emplace_back(1, byte);
  return pieces;
}

TEST(JsonStreamTest, PieceMayHoldManyTexts) {
  EXPECT_THAT(Read({"{\"a\":1}\n{\"b\":[2,{}]}\n[]"}),
              ElementsAre("1:0 {\"a\":1}", "2:8 {\"b\":[2,{}]}", "3:21 []"));
}

TEST(JsonStreamTest, TextsNeedNothingBetweenThem) {
  EXPECT_THAT(Read({"{}{}[]\"a\"true{}null"}),
              ElementsAre("1:0 {}", "1:2 {}", "1:4 []", "1:6 \"a\"", "1:9 true",
                          "1:13 {}", "1:15 null"));
}

// RFC 8259 section 2: space, tab, line feed, carriage return.
TEST(JsonStreamTest, WhiteSpaceAroundTextsDoesNotMatter) {
  EXPECT_THAT(Read({" \t\r\n", "\n {} \n", "\r\n  [ 1 ,\n2 ]  ", "  "}),
              ElementsAre("3:6 {}", "5:14 [ 1 ,\n2 ]"));
}

TEST(JsonStreamTest, TextMaySpanPieces) {
  EXPECT_THAT(Read({"{\"a\"", ":\"x\\", "u00e", "4\"", "}{\"b\":\n1", "}"}),
              ElementsAre("1:0 {\"a\":\"x\\u00e4\"}", "1:15 {\"b\":\n1}"));
}

TEST(JsonStreamTest, PiecesOfOneByteGiveTheSameTexts) {
  const std::string bytes =
      "{\"a\":[1,-2.5e+3,true,false,null,\"\\\"\\u00e4\\ud83d\\ude00 \xC3\xA4"
      "\"]}\n  {} [[]]\t{\"\":{}}\n\"s p\" true ";
  EXPECT_THAT(Read({bytes}), SizeIs(6));
  EXPECT_EQ(Read(ByteByByte(bytes)), Read({bytes}));
}

// A scalar at the top level is a request whose message is a wrapper. Only a
// number has no end of its own.
TEST(JsonStreamTest, NumberEndsWithItsPieceOrBeforeWhiteSpace) {
  EXPECT_THAT(Read({"12 -3\n", "4", "5e1", "0"}),
              ElementsAre("1:0 12", "1:3 -3", "2:6 4", "2:7 5e1", "2:10 0"));
}

TEST(JsonStreamTest, NumberCutShortByItsPieceIsInvalid) {
  EXPECT_THAT(Read({"{}", "-", "5"}),
              ElementsAre("1:0 {}",
                          "line 1, byte 3: INVALID_ARGUMENT: invalid JSON: "
                          "incomplete JSON"));
}

TEST(JsonStreamTest, OtherScalarsMaySpanPieces) {
  EXPECT_THAT(Read({"tr", "ue\"a", " b\"", "nul", "l"}),
              ElementsAre("1:0 true", "1:4 \"a b\"", "1:9 null"));
}

TEST(JsonStreamTest, TellsWhetherATextIsOpen) {
  JsonStream stream(100, 100);
  EXPECT_FALSE(stream.inside_text());
  EXPECT_THAT(Read(stream, {"{\"a\":"}), IsEmpty());
  EXPECT_TRUE(stream.inside_text());
  EXPECT_EQ(ToString(stream.End()), "line 1, byte 5");
  EXPECT_THAT(Read(stream, {"\n1} "}), SizeIs(1));
  EXPECT_FALSE(stream.inside_text());
  EXPECT_EQ(ToString(stream.End()), "line 2, byte 9");
  EXPECT_THAT(Read(stream, {"7"}), SizeIs(1));
  EXPECT_FALSE(stream.inside_text());
}

// The place counts from the beginning of the stream, whatever the pieces.
TEST(JsonStreamTest, PositionIsThatOfTheByteInTheStream) {
  JsonStream stream(100, 100);
  EXPECT_THAT(Read(stream, {"{}\n", "{\"a\":\n"}), ElementsAre("1:0 {}"));
  stream.Feed("[1,\n2]} {}");
  ASSERT_TRUE(std::holds_alternative<JsonStream::Text>(stream.Next()));
  EXPECT_EQ(ToString(stream.PositionOf(0)), "line 2, byte 3");
  EXPECT_EQ(ToString(stream.PositionOf(6)), "line 3, byte 9");
  EXPECT_EQ(ToString(stream.PositionOf(10)), "line 4, byte 13");
  ASSERT_TRUE(std::holds_alternative<JsonStream::Text>(stream.Next()));
  EXPECT_EQ(ToString(stream.PositionOf(1)), "line 4, byte 18");
}

TEST(JsonStreamTest, InvalidJsonIsFoundAtItsPlace) {
  const struct {
    const char* what;
    std::vector<std::string> pieces;
    const char* place;
    const char* fault;
  } table[] = {
      {"a stray brace", {"}"}, "line 1, byte 0", "syntax error"},
      {"a missing colon", {"{\"a\" 1}"}, "line 1, byte 5", "syntax error"},
      {"a trailing comma", {"\n[1,]"}, "line 2, byte 4", "syntax error"},
      {"a comment", {"/**/{}"}, "line 1, byte 0", "syntax error"},
      {"a byte order mark",
       {"\xEF\xBB\xBF{}"},
       "line 1, byte 0",
       "syntax error"},
      {"single quotes", {"{'a':1}"}, "line 1, byte 1", "syntax error"},
      {"not UTF-8", {"\"a\xFF\""}, "line 1, byte 2", "syntax error"},
      {"a control character", {"\"a\nb\""}, "line 1, byte 2", "syntax error"},
      {"NaN", {"NaN"}, "line 1, byte 0", "syntax error"},
      {"a word in a later piece",
       {"{\"a\":\n", "\n", "bad}"},
       "line 3, byte 7",
       "syntax error"},
      {"a letter in an escape",
       {"\"\\u00", "ax\""},
       "line 1, byte 6",
       "expected hex digit"},
      // The place is that of the first byte that cannot be, though the parser
      // looks at several bytes at once.
      {"a wrong digit among bytes enough",
       {"\"\\ud8@3d\\ude00\""},
       "line 1, byte 5",
       "expected hex digit"},
      {"a leading zero", {"[01]"}, "line 1, byte 2", "syntax error"},
  };
  for (const auto& row : table) {
    const std::string fault = absl::StrCat(
        row.place, ": INVALID_ARGUMENT: invalid JSON: ", row.fault);
    EXPECT_THAT(Read(row.pieces), ElementsAre(fault)) << row.what;
    EXPECT_THAT(Read(ByteByByte(absl::StrJoin(row.pieces, ""))),
                ElementsAre(fault))
        << row.what;
  }
}

TEST(JsonStreamTest, TextsBeforeAFaultAreDelivered) {
  EXPECT_THAT(Read({"{} 1 x {}"}),
              ElementsAre("1:0 {}", "1:3 1",
                          "line 1, byte 5: INVALID_ARGUMENT: invalid JSON: "
                          "syntax error"));
}

// Nesting costs memory, in the parsers after this one the stack.
TEST(JsonStreamTest, NestingEndsAtOneHundred) {
  EXPECT_THAT(Read({std::string(100, '[') + std::string(100, ']')}, 1000),
              ElementsAre(absl::StrCat("1:0 ", std::string(100, '['),
                                       std::string(100, ']'))));
  EXPECT_THAT(Read({std::string(101, '[')}, 1000),
              ElementsAre("line 1, byte 100: INVALID_ARGUMENT: invalid JSON: "
                          "too deep"));
}

TEST(JsonStreamTest, TextOfTheLimitPassesAndOneByteMoreDoesNot) {
  const std::string ten = "{\"a\":\"bc\"}";
  const std::string eleven = "{\"a\":\"bcd\"}";
  const std::string fault =
      "RESOURCE_EXHAUSTED: a JSON text is over max_message_bytes (10)";
  EXPECT_THAT(Read({ten + ten + "   " + ten}, 10), SizeIs(3));
  EXPECT_THAT(Read(ByteByByte(ten + "     " + ten), 10), SizeIs(2));
  EXPECT_THAT(Read({"1234567890 1234567890"}, 10), SizeIs(2));
  EXPECT_THAT(Read({"1234567890"}, 10), SizeIs(1));
  EXPECT_THAT(Read({" " + eleven}, 10),
              ElementsAre("line 1, byte 1: " + fault));
  EXPECT_THAT(Read(ByteByByte(" " + eleven), 10),
              ElementsAre("line 1, byte 1: " + fault));
  EXPECT_THAT(Read({"{}\n\"", std::string(100, 'x')}, 10),
              ElementsAre("1:0 {}", "line 2, byte 3: " + fault));
  EXPECT_THAT(Read({"12345678901"}, 10),
              ElementsAre("line 1, byte 0: " + fault));
  EXPECT_THAT(Read({"12345678901 "}, 10),
              ElementsAre("line 1, byte 0: " + fault));
}

// White space is not kept, so there may be any amount of it.
TEST(JsonStreamTest, WhiteSpaceDoesNotCountTowardsTheLimit) {
  EXPECT_THAT(
      Read({std::string(1000, ' ') + "{}" + std::string(1000, '\n')}, 2),
      ElementsAre("1:1000 {}"));
}

// A session that is silent holds no buffer: a string keeps its own when it is
// emptied by an assignment.
TEST(JsonStreamTest, BetweenTwoTextsNothingIsHeld) {
  JsonStream stream(100'000, 100);
  const std::string text = "[\"" + std::string(50'000, 'x') + "\"]";
  EXPECT_THAT(Read(stream, {text}), SizeIs(1));
  EXPECT_LT(stream.held_bytes(), 100u);
  Read(stream, {text.substr(0, 40'000)});
  EXPECT_GE(stream.held_bytes(), 40'000u);
  EXPECT_THAT(Read(stream, {text.substr(40'000)}), SizeIs(1));
  EXPECT_LT(stream.held_bytes(), 100u);
}

}  // namespace
}  // namespace headgate
