#include "gateway/schema/plain_json.h"

#include <boost/json/parse.hpp>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plain_json.pb.h"
#include "plain_json2.pb.h"
#include "tests/plain_json/comparison.h"

// What the plain conversion takes must come out as protobuf's has it; what it
// leaves is protobuf's in any case.

namespace headgate {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;
using Outcome = PlainJsonComparison::Outcome;

const JsonOptions kDefault;

class PlainJsonTest : public ::testing::Test {
 protected:
  void ExpectFrom(Outcome outcome, const std::string& json) {
    EXPECT_EQ(static_cast<int>(comparison_.FromJson(json)),
              static_cast<int>(outcome))
        << json << '\n'
        << comparison_.difference();
  }
  void ExpectTo(Outcome outcome, const std::string& message,
                const JsonOptions& options = kDefault) {
    EXPECT_EQ(static_cast<int>(comparison_.ToJson(message, options)),
              static_cast<int>(outcome))
        << ::testing::PrintToString(message) << '\n'
        << comparison_.difference();
  }
  void ExpectTo(Outcome outcome, const test::Plain& message,
                const JsonOptions& options = kDefault) {
    ExpectTo(outcome, message.SerializeAsString(), options);
  }

  PlainJsonComparison comparison_{*test::Plain::descriptor()};
};

// --- From JSON ---

TEST_F(PlainJsonTest, TakesWhatClientsSend) {
  for (const char* json : {
           "{}",
           " { } ",
           R"({"i32":1,"i64":"-9223372036854775808","u32":4294967295})",
           R"({"u64":"18446744073709551615","s32":-2147483648,"s64":-1})",
           R"({"i64":9007199254740993,"u64":18446744073709551615})",
           R"({"f32":7,"f64":8,"sf32":-9,"sf64":"-10","yes":true})",
           R"({"i32":"17","s32":"-17","u32":"0","i64":0,"yes":false})",
           R"({ "twoWords" : "a b" , "raw" : "AAEC" })",
           R"({"two_words":"by its other name"})",
           R"({"two_words":"\"\\\/\b\f\n\r\t"})",
           R"({"twoWords":"\u0041\u00e4\u4F60\uffff\ud83d\ude00\u0000"})",
           R"({"twoWords":"\ud800\udc00\udbff\udfff\u007f\u0080\u07ff"})",
           "{\"twoWords\":\"h\xc3\xa4l\xe4\xbd\xa0\xf0\x9f\x98\x80\"}",
           R"({"shade":"SHADE_BLACK","shades":["SHADE_ODD","SHADE_NONE"]})",
           R"({"child":{"child":{},"i32":3},"children":[{},{"i32":1}]})",
           R"({"maybe":0,"maybeText":""})",
           R"({"one":0})",
           R"({"third":{"other":""}})",
           R"({"packed":[1,-2, 3 ],"unpacked":["1",-2],"words":["","x"]})",
           R"({"packed":[],"unpacked":[ ],"blobs":["","AA=="]})",
           R"({"fixeds":[1,2],"flags":[true,false]})",
           R"({"other-name":5,"last":1,"late":2})",
           R"({"last":1,"i32":2,"late":3})",
           "\n{\n\"i32\"\n:\n1\n,\n\"i64\"\n:\n2\n}\n",
       }) {
    ExpectFrom(Outcome::kSame, json);
  }
}

TEST_F(PlainJsonTest, LeavesWhatIsUnusualOrWrong) {
  for (const char* json : {
           "[]",
           "1",
           "null",
           R"({"i32":null})",
           R"({"i32":1.0})",
           R"({"i32":1e3})",
           R"({"i32":-0})",
           R"({"i32":" 1"})",
           R"({"i32":"01"})",
           R"({"i32":""})",
           R"({"i32":2147483648})",
           R"({"i32":-2147483649})",
           R"({"u32":4294967296})",
           R"({"u32":-1})",
           R"({"i64":9223372036854775808})",
           R"({"i64":-9223372036854775809})",
           R"({"u64":18446744073709551616})",
           R"({"yes":"true"})",
           R"({"yes":1})",
           R"({"shade":1})",
           R"({"shade":"SHADE_LIGHT"})",
           R"({"shade":"shade_dark"})",
           R"({"twoWords":1})",
           R"({"twoWords":"\ud800"})",
           R"({"twoWords":"\ud800\u0041"})",
           R"({"twoWords":"\udc00"})",
           R"({"twoWords":"\udc00\ud800"})",
           R"({"raw":"A"})",
           R"({"raw":"AB"})",
           R"({"raw":"A-+A"})",
           R"({"raw":"AA\/A"})",
           R"({"raw":"AA A"})",
           R"({"raw":"===="})",
           R"({"child":[]})",
           R"({"child":1})",
           R"({"packed":1})",
           R"({"packed":[[1]]})",
           R"({"packed":[null]})",
           R"({"i32":1,"i32":2})",
           R"({"two_words":"a","twoWords":"b"})",
           R"({"one":1,"other":"2"})",
           R"({"zz":1})",
           R"({"":1})",
           R"({"\u0069":1})",
           R"({"real":1})",
           R"({"counts":{}})",
           R"({"time":"1970-01-01T00:00:00Z"})",
           R"({"reals":[1]})",
       }) {
    ExpectFrom(Outcome::kLeft, json);
  }
}

// The alphabets, each with its padding and without it.
TEST_F(PlainJsonTest, TakesBothKindsOfBase64) {
  for (const char* raw : {"", "AA", "AA==", "AAA", "AAA=", "AAAA", "+/+/",
                          "-_-_", "_w", "_w==", "/w", "/w==", "//8", "__8="}) {
    ExpectFrom(Outcome::kSame, absl::StrCat("{\"raw\":\"", raw, "\"}"));
  }
}

TEST_F(PlainJsonTest, LeavesWhatNestsDeeply) {
  const auto nested = [](std::size_t depth) {
    std::string json;
    for (std::size_t i = 0; i < depth; ++i) json += "{\"child\":";
    return absl::StrCat(json, "{}", std::string(depth, '}'));
  };
  ExpectFrom(Outcome::kSame, nested(32));
  ExpectFrom(Outcome::kLeft, nested(33));
  ExpectFrom(Outcome::kLeft, nested(100'000));
}

// JSON that is cut short is not well-formed, and must still be safe.
TEST_F(PlainJsonTest, NothingCutShortIsTaken) {
  const std::string json =
      R"({"i32":1,"twoWords":"\n","raw":"AAA=","packed":[1,2],"yes":true,)"
      R"("child":{"i64":"1"},"shade":"SHADE_ODD"})";
  ExpectFrom(Outcome::kSame, json);
  for (std::size_t size = 0; size < json.size(); ++size) {
    ExpectFrom(Outcome::kLeft, std::string(json.data(), size));
  }
}

// --- To JSON ---

TEST_F(PlainJsonTest, WritesWhatProtobufWrites) {
  test::Plain message;
  message.set_i32(-1);
  message.set_i64(std::numeric_limits<std::int64_t>::min());
  message.set_u64(std::numeric_limits<std::uint64_t>::max());
  message.set_s32(std::numeric_limits<std::int32_t>::min());
  message.set_sf64(-5);
  message.set_yes(true);
  message.set_two_words("a\"b\\c\n\t\r\b\f<d>/'&");
  message.set_raw(std::string("\0\xff\x80", 3));
  message.set_shade(test::SHADE_BLACK);
  message.mutable_child()->mutable_child();
  message.set_maybe(0);
  message.set_maybe_text("");
  message.set_one(0);
  message.add_packed(0);
  message.add_packed(-1);
  message.add_unpacked(-1);
  message.add_words("");
  message.add_words("h\xc3\xa4l\xe4\xbd\xa0\xf0\x9f\x98\x80");
  message.add_shades(test::SHADE_ODD);
  message.add_children();
  message.set_renamed(3);
  message.set_last(1);
  JsonOptions options;
  ExpectTo(Outcome::kSame, message, options);
  options.field_names = JsonOptions::FieldNames::kProto;
  ExpectTo(Outcome::kSame, message, options);
  options.enums = JsonOptions::Enums::kNumber;
  ExpectTo(Outcome::kSame, message, options);
  options.unpopulated = JsonOptions::Unpopulated::kEmit;
  ExpectTo(Outcome::kLeft, message, options);
}

// Several serializers spell zeros out.
TEST_F(PlainJsonTest, LeavesOutDefaultsThatAreSpelledOut) {
  const std::string zeros(
      "\x08\x00\x10\x00\x3d\x00\x00\x00\x00\x58\x00\x62\x00\x6a\x00\x70\x00",
      17);
  ExpectTo(Outcome::kSame, zeros);
  EXPECT_EQ(comparison_.PlainText(zeros, kDefault), "{}");
}

TEST_F(PlainJsonTest, LeavesUnusualBytes) {
  test::Plain message;
  message.set_real(0.1);
  ExpectTo(Outcome::kLeft, message);
  message.Clear();
  message.mutable_time();
  ExpectTo(Outcome::kLeft, message);
  message.Clear();
  message.set_two_words(std::string("\0", 1));
  ExpectTo(Outcome::kLeft, message);
  message.set_two_words("\x7f");
  ExpectTo(Outcome::kLeft, message);
  message.set_two_words("\xe2\x80\xa8");  // U+2028
  ExpectTo(Outcome::kLeft, message);
  for (const std::string& bytes : {
           std::string("\x08\x01\x08\x02", 4),  // Twice.
           std::string("\x10\x01\x08\x02", 4),  // Out of order.
           std::string("\x08", 1),              // Cut off.
           std::string("\x09\x01\x01\x01\x01\x01\x01\x01\x01", 9),  // Not i32.
           std::string("\x08\x80\x80\x80\x80\x10", 6),   // Over 32 bits.
           std::string("\x58\x02", 2),                   // A bool of 2.
           std::string("\x70\x05", 2),                   // No shade.
           std::string("\x62\x01\xff", 3),               // Not UTF-8.
           std::string("\x98\x06\x01", 3),               // Unknown.
           std::string("\x90\x01\x01\x9a\x01\x01x", 7),  // Two of a oneof.
           std::string("\xaa\x01\x00", 3),               // An empty run.
           std::string("\xaa\x01\x01\x01\xaa\x01\x01\x02", 8),  // Two runs.
           std::string("\x0b\x0c", 2),                          // A group.
           std::string("\x00\x00", 2),                          // No field.
       }) {
    ExpectTo(Outcome::kLeft, bytes);
  }
}

// Lists may be written either way, whatever the .proto file says.
TEST_F(PlainJsonTest, TakesListsPackedOrNot) {
  ExpectTo(Outcome::kSame, std::string("\xa8\x01\x01\xa8\x01\x02", 6));
  ExpectTo(Outcome::kSame, std::string("\xaa\x01\x02\x01\x02", 5));
  ExpectTo(Outcome::kSame, std::string("\xb0\x01\x01\xb0\x01\x02", 6));
  ExpectTo(Outcome::kSame, std::string("\xb2\x01\x02\x01\x02", 5));
}

// Every character is written as protobuf writes it, or left.
TEST_F(PlainJsonTest, TakesMostCharacters) {
  test::Plain message;
  int taken = 0;
  const auto flush = [&](std::string& text) {
    message.set_two_words(text);
    ExpectTo(Outcome::kSame, message);
    text.clear();
  };
  std::string together;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string utf8;
    if (c < 0x80) {
      utf8 = {static_cast<char>(c)};
    } else if (c < 0x800) {
      utf8 = {static_cast<char>(0xC0 | c >> 6),
              static_cast<char>(0x80 | (c & 63))};
    } else if (c < 0x10000) {
      utf8 = {static_cast<char>(0xE0 | c >> 12),
              static_cast<char>(0x80 | (c >> 6 & 63)),
              static_cast<char>(0x80 | (c & 63))};
    } else {
      utf8 = {static_cast<char>(0xF0 | c >> 18),
              static_cast<char>(0x80 | (c >> 12 & 63)),
              static_cast<char>(0x80 | (c >> 6 & 63)),
              static_cast<char>(0x80 | (c & 63))};
    }
    message.set_two_words(utf8);
    if (comparison_.PlainText(message.SerializeAsString(), kDefault) ==
        "(left)") {
      continue;
    }
    ++taken;
    together += utf8;
    if (together.size() > 4096) flush(together);
  }
  flush(together);
  EXPECT_GT(taken, 150'000);
}

TEST_F(PlainJsonTest, LeavesMessagesThatNestDeeply) {
  const auto nested = [](int depth) {
    test::Plain message;
    test::Plain* innermost = &message;
    for (int i = 0; i < depth; ++i) innermost = innermost->mutable_child();
    return message;
  };
  ExpectTo(Outcome::kSame, nested(32));
  ExpectTo(Outcome::kLeft, nested(33));
}

// --- Types ---

TEST_F(PlainJsonTest, LeavesTypesWithUnusualNames) {
  PlainJsonComparison ambiguous(*test::Ambiguous::descriptor());
  EXPECT_EQ(ambiguous.FromJson(R"({"b":1})"), Outcome::kLeft);
  EXPECT_EQ(ambiguous.ToJson("", kDefault), Outcome::kLeft);
  PlainJsonComparison escaped(*test::Escaped::descriptor());
  EXPECT_EQ(escaped.FromJson(R"({"a":1})"), Outcome::kLeft);
  EXPECT_EQ(escaped.ToJson("", kDefault), Outcome::kLeft);
}

// proto2: presence, enums that are closed, lists that are not packed.
TEST_F(PlainJsonTest, TakesTheOlderSyntax) {
  PlainJsonComparison older(*test::Older::descriptor());
  for (const char* json :
       {R"({"number":0,"text":"","closed":"CLOSED_TWO","list":[1,2]})",
        R"({"packed":[1,2],"child":{"child":{}}})"}) {
    EXPECT_EQ(older.FromJson(json), Outcome::kSame) << older.difference();
  }
  EXPECT_EQ(older.FromJson(R"({"grouped":{"inner":1}})"), Outcome::kLeft);

  test::Older message;
  message.set_number(0);
  message.set_text("");
  message.set_closed(test::CLOSED_ONE);
  message.add_list(1);
  message.add_packed(2);
  message.mutable_child();
  EXPECT_EQ(older.ToJson(message.SerializeAsString(), kDefault), Outcome::kSame)
      << older.difference();
  EXPECT_EQ(older.ToJson(std::string("\x18\x03", 2), kDefault),
            Outcome::kLeft);  // No such value.
  message.mutable_grouped();
  EXPECT_EQ(older.ToJson(message.SerializeAsString(), kDefault),
            Outcome::kLeft);
}

// What is missing is the converter's to tell.
TEST_F(PlainJsonTest, LeavesTypesWithRequiredFields) {
  PlainJsonComparison strict(*test::Strict::descriptor());
  EXPECT_EQ(strict.FromJson(R"({"number":1})"), Outcome::kLeft);
  EXPECT_EQ(strict.ToJson(std::string("\x08\x01", 2), kDefault),
            Outcome::kLeft);
  PlainJsonComparison has_strict(*test::HasStrict::descriptor());
  EXPECT_EQ(has_strict.FromJson("{}"), Outcome::kSame);
  EXPECT_EQ(has_strict.FromJson(R"({"strict":{}})"), Outcome::kLeft);
}

// --- Whatever comes ---

class RandomPlainJsonTest : public PlainJsonTest {
 protected:
  std::size_t Below(std::size_t limit) { return random_() % limit; }

  template <typename Integer>
  Integer Number() {
    const std::vector<Integer> special = {0, 1, static_cast<Integer>(-1),
                                          std::numeric_limits<Integer>::min(),
                                          std::numeric_limits<Integer>::max()};
    const std::size_t which = Below(special.size() + 2);
    return which < special.size() ? special[which]
                                  : static_cast<Integer>(random_());
  }

  std::string Text() {
    const std::vector<std::string> parts = {
        "",  "a",        "plain text", "\"",           "\\",
        "<", "\xc3\xa4", "\n",         "\xe4\xbd\xa0", "\xf0\x9f\x98\x80"};
    std::string text;
    for (std::size_t i = Below(4); i > 0; --i) text += parts[Below(10)];
    return text;
  }

  std::string RandomBytes() {
    std::string bytes;
    for (std::size_t i = Below(20); i > 0; --i) {
      bytes.push_back(static_cast<char>(random_()));
    }
    return bytes;
  }

  // Sets or adds a value of a field that the plain conversion takes.
  void Fill(Message& message, const FieldDescriptor& field, int depth) {
    const Reflection& to = *message.GetReflection();
    const bool add = field.is_repeated();
    const auto put = [&](auto set, auto append, auto value) {
      add ? (to.*append)(&message, &field, std::move(value))
          : (to.*set)(&message, &field, std::move(value));
    };
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return put(&Reflection::SetInt32, &Reflection::AddInt32,
                   Number<std::int32_t>());
      case FieldDescriptor::CPPTYPE_INT64:
        return put(&Reflection::SetInt64, &Reflection::AddInt64,
                   Number<std::int64_t>());
      case FieldDescriptor::CPPTYPE_UINT32:
        return put(&Reflection::SetUInt32, &Reflection::AddUInt32,
                   Number<std::uint32_t>());
      case FieldDescriptor::CPPTYPE_UINT64:
        return put(&Reflection::SetUInt64, &Reflection::AddUInt64,
                   Number<std::uint64_t>());
      case FieldDescriptor::CPPTYPE_BOOL:
        return put(&Reflection::SetBool, &Reflection::AddBool, Below(2) == 1);
      case FieldDescriptor::CPPTYPE_ENUM:
        return put(&Reflection::SetEnumValue, &Reflection::AddEnumValue,
                   static_cast<int>(field.enum_type()
                                        ->value(static_cast<int>(Below(4)))
                                        ->number()));
      case FieldDescriptor::CPPTYPE_STRING:
        return put(&Reflection::SetString, &Reflection::AddString,
                   field.type() == FieldDescriptor::TYPE_BYTES ? RandomBytes()
                                                               : Text());
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (field.is_map() || field.message_type() != message.GetDescriptor() ||
            depth > 3) {
          return;
        }
        return FillAll(add ? *to.AddMessage(&message, &field)
                           : *to.MutableMessage(&message, &field),
                       depth + 1);
      default:
        return;
    }
  }

  void FillAll(Message& message, int depth) {
    const google::protobuf::Descriptor& type = *message.GetDescriptor();
    for (std::size_t i = Below(8); i > 0; --i) {
      Fill(message,
           *type.field(static_cast<int>(
               Below(static_cast<std::size_t>(type.field_count())))),
           depth);
    }
  }

  test::Plain RandomMessage() {
    test::Plain message;
    FillAll(message, 0);
    return message;
  }

  JsonOptions RandomOptions() {
    JsonOptions options;
    if (Below(2)) options.field_names = JsonOptions::FieldNames::kProto;
    if (Below(2)) options.enums = JsonOptions::Enums::kNumber;
    return options;
  }

  void Mutate(std::string& bytes, const std::vector<std::string>& pieces) {
    for (std::size_t i = 1 + Below(3); i > 0; --i) {
      const std::size_t at = Below(bytes.size() + 1);
      const std::size_t size = Below(5);
      switch (Below(4)) {
        case 0:
          bytes.erase(at, size);
          break;
        case 1:
          bytes.insert(at, pieces[Below(pieces.size())]);
          break;
        case 2:
          bytes.replace(at, size, pieces[Below(pieces.size())]);
          break;
        default:
          bytes.insert(at, bytes.substr(Below(bytes.size() + 1), 10));
      }
    }
  }

  static bool IsJson(const std::string& text) {
    boost::json::error_code error;
    boost::json::parse({text.data(), text.size()}, error);
    return !error;
  }

  std::mt19937_64 random_{20261121};
};

// All that a client of generated code sends goes the cheap way.
TEST_F(RandomPlainJsonTest, MessagesGoThereAndBack) {
  for (int i = 0; i < 1000; ++i) {
    const test::Plain message = RandomMessage();
    ExpectTo(Outcome::kSame, message, RandomOptions());
    ExpectFrom(Outcome::kSame,
               comparison_.PlainText(message.SerializeAsString(), kDefault));
  }
}

TEST_F(RandomPlainJsonTest, BrokenBytesComeOutAsProtobufHasThem) {
  int same = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string bytes = RandomMessage().SerializeAsString();
    Mutate(bytes, {std::string(1, '\0'), "\x01", "\x08", "\x62\x01x", "\xff",
                   "\xa8\x01\x02", "\x7a\x02\x08\x01"});
    const Outcome outcome = comparison_.ToJson(bytes, RandomOptions());
    ASSERT_NE(outcome, Outcome::kDifferent) << comparison_.difference();
    if (outcome == Outcome::kSame) ++same;
  }
  EXPECT_GT(same, 500);
}

TEST_F(RandomPlainJsonTest, ChangedJsonComesOutAsProtobufHasIt) {
  int same = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string json =
        comparison_.PlainText(RandomMessage().SerializeAsString(), kDefault);
    Mutate(json, {"0",
                  "1",
                  "-",
                  ".",
                  "e",
                  "\"",
                  "null",
                  "true",
                  "{}",
                  "[]",
                  "\\",
                  "\\n",
                  "\\/",
                  " ",
                  "\n",
                  ",",
                  "=",
                  "_",
                  "99",
                  "\"i32\":1,",
                  "\"two_words\":\"x\",",
                  "\"yes\":true,"});
    if (!IsJson(json)) continue;
    const Outcome outcome = comparison_.FromJson(json);
    ASSERT_NE(outcome, Outcome::kDifferent) << comparison_.difference();
    if (outcome == Outcome::kSame) ++same;
  }
  EXPECT_GT(same, 100);
}

}  // namespace
}  // namespace headgate
