#include "gateway/schema/json_error.h"

#include <string>

#include "gateway/base/utf8.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace headgate {
namespace {

struct Case {
  const char* text;
  const char* field;
  const char* message;
};

// The texts of protobuf 3.21.
TEST(ParseJsonErrorTest, TakesProtobufsTextsApart) {
  const Case kCases[] = {
      {R"((n): invalid value "x" for type TYPE_INT32)", "n",
       R"(invalid value "x" for type TYPE_INT32)"},
      {"(kids[1].n): invalid value 1.5 for type TYPE_INT32", "kids[1].n",
       "invalid value 1.5 for type TYPE_INT32"},
      {"(kids[0]) zz: Cannot find field.", "kids[0].zz", "no such field"},
      {"zz: Cannot find field.", "zz", "no such field"},
      {"(m[0].value) n: Proto field is not repeating, cannot start list.",
       "m[0].value.n", "not repeated, not a list"},
      {": invalid value Starting an object on a scalar field for type s", "s",
       "a scalar, not an object"},
      {"(kids[0]): invalid value Starting an object on a scalar field for "
       "type s",
       "kids[0].s", "a scalar, not an object"},
      {": Root element must be a message.", "",
       "Root element must be a message."},
      {": Proto fields must have a name.", "",
       "Proto fields must have a name."},
      {"(t): invalid value Field 't', Invalid time format: foo for type "
       "type.googleapis.com/google.protobuf.Timestamp",
       "t", "Invalid time format: foo"},
      {"(any): invalid value Missing @type for any field in t.M for type Any",
       "any", "Missing @type for any field in t.M"},
      {": missing field q", "", "missing field q"},
  };
  for (const Case& c : kCases) {
    const JsonError error = ParseJsonError(c.text);
    EXPECT_EQ(error.field, c.field) << c.text;
    EXPECT_EQ(error.message, c.message) << c.text;
  }
}

// A key or a value is the client's and may look like the rest of the text.
TEST(ParseJsonErrorTest, ClientsKeysAndValuesDoNotMislead) {
  const Case kCases[] = {
      {"(kids[0]) x: y: Cannot find field.", R"(kids[0]["x: y"])",
       "no such field"},
      {"(a b) c: Cannot find field.", R"(["(a b) c"])", "no such field"},
      {"(: Cannot find field.", R"(["("])", "no such field"},
      {R"((n): invalid value ") x: Cannot find field." for type TYPE_INT32)",
       "n", R"(invalid value ") x: Cannot find field." for type TYPE_INT32)"},
      {R"((n): invalid value " for type q" for type TYPE_INT32)", "n",
       R"(invalid value " for type q" for type TYPE_INT32)"},
      {"a\"b: Cannot find field.", R"(["a\"b"])", "no such field"},
  };
  for (const Case& c : kCases) {
    const JsonError error = ParseJsonError(c.text);
    EXPECT_EQ(error.field, c.field) << c.text;
    EXPECT_EQ(error.message, c.message) << c.text;
  }
}

// The texts are no contract: another release words them differently.
TEST(ParseJsonErrorTest, UnknownTextIsTheMessage) {
  for (const char* text :
       {"something else", "(", ")", "()", "(a)", "(a) ", "(a)b: c", "(a) b",
        "(a): invalid value", "x: y", "(a): invalid value 5"}) {
    const JsonError error = ParseJsonError(text);
    if (error.field.empty()) {
      EXPECT_EQ(error.message, text);
    }
  }
  EXPECT_EQ(ParseJsonError("").message, "");
  EXPECT_EQ(
      ParseJsonError("Expected : between key:value pair.\n{\"a\"\n  ^").message,
      "Expected : between key:value pair.");
}

// They go into statuses, Close frames and logs.
TEST(ParseJsonErrorTest, LongAndInvalidTextsAreCutToShortUtf8) {
  const std::string huge(1 << 20, 'x');
  for (const std::string& text :
       {huge, huge + ": Cannot find field.",
        "(n): invalid value \"" + huge + "\" for type TYPE_INT32",
        "(n): invalid value a " + huge + " for type q",
        std::string("\xff\xfe: Cannot find field.")}) {
    const JsonError error = ParseJsonError(text);
    EXPECT_LE(error.field.size(), 300u);
    EXPECT_LE(error.message.size(), 300u);
    EXPECT_TRUE(IsUtf8(error.field));
    EXPECT_TRUE(IsUtf8(error.message));
  }
}

}  // namespace
}  // namespace headgate
