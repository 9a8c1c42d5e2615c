#include "gateway/schema/json_conversion.h"

#include <boost/json/parse.hpp>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "every2.pb.h"
#include "every3.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/json/oracle.h"
#include "tests/json/random_message.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;

const JsonOptions kDefault;

// A length-delimited field of any number, and a varint.
std::string Varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) {
    bytes.push_back(static_cast<char>(value | 0x80));
  }
  bytes.push_back(static_cast<char>(value));
  return bytes;
}
std::string Piece(int number, const std::string& value) {
  return absl::StrCat(Varint(static_cast<std::uint64_t>(number) << 3 | 2),
                      Varint(value.size()), value);
}
std::string Number(int number, std::uint64_t value) {
  return Varint(static_cast<std::uint64_t>(number) << 3) + Varint(value);
}

class JsonConversionTest : public ::testing::Test {
 protected:
  // JSON, or the error.
  template <typename Type = test::Every3>
  std::string ToJson(const std::string& bytes,
                     const JsonOptions& options = kDefault) {
    std::string json;
    const absl::Status status = ProtoToJson(
        types_, types_.Of(*Type::descriptor()), bytes, options, json);
    return status.ok() ? json : std::string(status.message());
  }
  // The bytes, or "FIELD | MESSAGE | OFFSET".
  template <typename Type = test::Every3>
  std::string FromJson(const std::string& json,
                       const JsonOptions& options = kDefault) {
    std::string message;
    JsonError error;
    return JsonToProto(types_, types_.Of(*Type::descriptor()), json, options,
                       message, error)
               ? message
               : absl::StrCat(error.field, " | ", error.message, " | ",
                              error.offset);
  }

  JsonTypes types_{test::Every3::descriptor()->file()->pool()};
};

// --- Errors of a client ---

TEST_F(JsonConversionTest, ErrorsNameTheFieldAndItsPlace) {
  struct Case {
    const char* json;
    const char* error;
  };
  for (
      const Case& c : std::vector<Case>{
          {R"({"optionalInt32":"x"})",
           R"(optionalInt32 | must be an int32, is "x" | 17)"},
          {R"({"optional_int32":1.5})",
           "optionalInt32 | must be an int32, is 1.5 | 18"},
          {R"({"other-name":[]})",
           "other-name | must be an int32, is a list | 14"},
          {R"({"zz":1})", "zz | no such field | 1"},
          {R"({"a b":1})", R"(["a b"] | no such field | 1)"},
          {R"({"":1})", R"([""] | no such field | 1)"},
          {R"({"optionalNestedMessage":{"zz":1}})",
           "optionalNestedMessage.zz | no such field | 26"},
          {R"({"repeatedNestedMessage":[{"a":1},{"a":true}]})",
           "repeatedNestedMessage[1].a | must be an int32, is true | 39"},
          {R"({"repeatedInt32":[1, null]})",
           "repeatedInt32[1] | must be an int32, is null | 21"},
          {R"({"repeatedInt32":{}})",
           "repeatedInt32 | must be a list, is an object | 17"},
          {R"({"mapStringNestedMessage":{"k":{"a":[]}}})",
           R"(mapStringNestedMessage["k"].a | must be an int32, is a list | 36)"},
          {R"({"mapInt32Int32":{"x":1}})",
           R"(mapInt32Int32["x"] | must be an int32, is "x" | 18)"},
          {R"({"mapStringString":{"a":null}})",
           R"(mapStringString["a"] | must be a string, is null | 24)"},
          {R"({"optionalNestedEnum":"PUCE"})",
           "optionalNestedEnum | must be a value of "
           "headgate.test.Every3.NestedEnum, is \"PUCE\" | 22"},
          {R"({"optionalTimestamp":"foo"})",
           "optionalTimestamp | must be a time like \"2006-01-02T15:04:05Z\", "
           "is \"foo\" | 21"},
          {R"({"optionalAny":{"a":1}})",
           R"(optionalAny | has no "@type" | 15)"},
          {R"({"optionalAny":{"a":1,"@type":"a/none"}})",
           R"(optionalAny.@type | the gateway knows no type "a/none" | 30)"},
          {R"({"optionalAny":{"@type":"a/headgate.test.Foreign","c":"x"}})",
           R"(optionalAny.c | must be an int32, is "x" | 54)"},
          {R"({"optionalStruct":{"a":[1,{"b":1e999}]}})",
           R"(optionalStruct["a"][1]["b"] | must be a JSON value that a double )"
           "can hold, is 1e999 | 31"},
          {R"({"optionalInt32":1,"optional_int32":2})",
           "optionalInt32 | is there twice | 19"},
          {R"({"oneofUint32":1,"oneofString":""})",
           "oneofString | another field of the oneof oneof_field is there | "
           "17"},
          {R"({"optionalString":5})",
           "optionalString | must be a string, is 5 | 18"},
          {R"({"optionalBytes":"%%%"})",
           R"(optionalBytes | must be base64, is "%%%" | 17)"},
          {"[1]", " | must be an object, is a list | 0"},
          {" 5", " | must be an object, is 5 | 1"},
      }) {
    EXPECT_EQ(FromJson(c.json), c.error) << c.json;
  }
  EXPECT_EQ(FromJson<test::Required>(R"({"child":{"number":1}})"),
            "number | is required and missing | 1");
}

TEST_F(JsonConversionTest, ErrorsForALogRepeatNothingOfTheClients) {
  const auto for_log = [this](const std::string& json) {
    std::string message;
    JsonError error;
    EXPECT_FALSE(JsonToProto(types_, types_.Of(*test::Every3::descriptor()),
                             json, kDefault, message, error));
    return absl::StrCat(error.field_for_log, " | ", error.message_for_log);
  };
  EXPECT_EQ(for_log(R"({"optionalInt32":"x"})"),
            "optionalInt32 | must be an int32");
  EXPECT_EQ(for_log(R"({"zz":1})"), "... | no such field");
  EXPECT_EQ(for_log(R"({"optionalNestedMessage":{"z z":1}})"),
            "optionalNestedMessage[...] | no such field");
  EXPECT_EQ(for_log(R"({"mapStringNestedMessage":{"k":{"a":[]}}})"),
            "mapStringNestedMessage[...].a | must be an int32");
  EXPECT_EQ(for_log(R"({"optionalStruct":{"a":[1,{"b":1e999}]}})"),
            "optionalStruct[...][1][...] | must be a JSON value that a double "
            "can hold");
  EXPECT_EQ(for_log(R"({"optionalAny":{"@type":"a/none"}})"),
            "optionalAny.@type | the gateway knows no type");
}

// They go into statuses and Close frames.
TEST_F(JsonConversionTest, ErrorsAreShort) {
  const std::string huge(1 << 20, 'x');
  for (const std::string& json :
       {"{\"" + huge + "\":1}", "{\"optionalInt32\":\"" + huge + "\"}",
        "{\"mapStringNestedMessage\":{\"" + huge + "\":{\"a\":\"\"}}}",
        "{\"optionalAny\":{\"@type\":\"" + huge + "\"}}",
        "{\"optionalStruct\":{\"" + huge + "\":1e999}}"}) {
    EXPECT_LE(FromJson(json).size(), 300u);
  }
  EXPECT_EQ(FromJson("{\"a\\nb\xff\":1}"), R"(["a\nb?"] | no such field | 1)");
}

TEST_F(JsonConversionTest, NothingCutShortIsTaken) {
  const std::string json =
      R"({"optionalInt32":1,"optionalString":"\n","optionalBytes":"AAA=",)"
      R"("repeatedInt32":[1,2],"optionalBool":true,"optionalDouble":1.5e1,)"
      R"("optionalNestedMessage":{"a":"1"},"optionalNestedEnum":"BAR",)"
      R"("mapStringString":{"a":"b"},"optionalStruct":{"a":[null,{}]},)"
      R"("optionalAny":{"value":"1s","@type":"a/google.protobuf.Duration"},)"
      R"("optionalTimestamp":"1970-01-01T00:00:00Z"})";
  ASSERT_THAT(FromJson(json), ::testing::Not(HasSubstr(" | ")));
  for (std::size_t size = 0; size < json.size(); ++size) {
    EXPECT_THAT(FromJson(json.substr(0, size)), HasSubstr(" | ")) << size;
  }
  EXPECT_THAT(FromJson(json + "1"), HasSubstr(" | "));
}

// --- Depth and work ---

// The limit is the same both ways, and counts JSON's brackets.
TEST_F(JsonConversionTest, DepthIsLimitedBothWays) {
  const auto repeat = [](const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  const auto both = [&](const std::string& json, bool ok) {
    const std::string bytes = FromJson(json);
    if (ok) {
      EXPECT_EQ(ToJson(bytes), json);
    } else {
      EXPECT_THAT(bytes, HasSubstr("nested deeper than 100"));
    }
  };
  const auto messages = [&](int depth) {
    return repeat(R"({"recursiveMessage":)", depth - 1) + "{}" +
           repeat("}", depth - 1);
  };
  both(messages(100), true);
  both(messages(101), false);
  both(messages(100'000), false);
  const auto values = [&](int depth) {
    return R"({"optionalValue":)" + repeat("[", depth - 1) +
           repeat("]", depth - 1) + "}";
  };
  both(values(100), true);
  both(values(101), false);
  const auto anys = [&](int depth) {
    return R"({"optionalAny":)" +
           repeat(R"({"@type":"a/google.protobuf.Any","value":)", depth - 2) +
           "{}" + repeat("}", depth - 2) + "}";
  };
  both(anys(100), true);
  both(anys(101), false);

  std::string message;
  for (int i = 0; i < 5'000; ++i) message = Piece(27, message);
  EXPECT_THAT(ToJson(message), HasSubstr("nested deeper than 100"));
  std::string any;
  for (int i = 0; i < 5'000; ++i) {
    any = Piece(1, "a/google.protobuf.Any") + Piece(2, any);
  }
  EXPECT_THAT(ToJson(Piece(305, any)), HasSubstr("nested deeper than 100"));
  std::string value;
  for (int i = 0; i < 5'000; ++i) value = Piece(6, Piece(1, value));
  EXPECT_THAT(ToJson(Piece(306, value)), HasSubstr("nested deeper than 100"));
  // Groups that nobody knows, and those of a type.
  EXPECT_THAT(ToJson(std::string(5'000, '\x0b')), HasSubstr("malformed"));
}

TEST_F(JsonConversionTest, DepthIsASetting) {
  for (const int depth : {1, 3, 1000}) {
    JsonOptions options;
    options.max_depth = depth;
    const auto nested = [](int brackets) {
      std::string json = "{}";
      for (int i = 1; i < brackets; ++i) {
        json = R"({"recursiveMessage":)" + json + "}";
      }
      return json;
    };
    const std::string bytes = FromJson(nested(depth), options);
    EXPECT_EQ(ToJson(bytes, options), nested(depth));
    EXPECT_THAT(FromJson(nested(depth + 1), options),
                HasSubstr(absl::StrCat("nested deeper than ", depth)));
    EXPECT_THAT(ToJson(Piece(27, bytes), options),
                HasSubstr(absl::StrCat("nested deeper than ", depth)));
  }
}

// A message with a list of short ones, with all that these do not have.
TEST_F(JsonConversionTest, JsonOfAResponseIsLimited) {
  JsonOptions emit;
  emit.unpopulated = JsonOptions::Unpopulated::kEmit;
  std::string bytes;
  for (int i = 0; i < 20'000; ++i) bytes += Piece(343, Piece(1, "a"));
  EXPECT_THAT(ToJson(bytes), HasSubstr("mapStringAny"));
  bytes.clear();
  for (int i = 0; i < 20'000; ++i) {
    bytes += Piece(48, Piece(2, ""));
  }
  EXPECT_THAT(ToJson(bytes, emit), HasSubstr("its JSON is longer than"));
}

// --- Bytes as no serializer writes them ---

TEST_F(JsonConversionTest, PiecesOfAMessageAreMerged) {
  // The last of a number, and a default that overrides.
  EXPECT_EQ(ToJson(Number(1, 1) + Number(1, 2)), R"({"optionalInt32":2})");
  EXPECT_EQ(ToJson(Number(1, 1) + Number(1, 0)), "{}");
  // Out of order.
  EXPECT_EQ(ToJson(Number(2, 1) + Number(1, 2)),
            R"({"optionalInt32":2,"optionalInt64":"1"})");
  // A message in two pieces, which are themselves in pieces.
  EXPECT_EQ(ToJson(Piece(18, Number(1, 1)) + Number(1, 3) +
                   Piece(18, Piece(2, Number(1, 4))) +
                   Piece(18, Piece(2, Number(2, 5)))),
            R"({"optionalInt32":3,"optionalNestedMessage":{"a":1,)"
            R"("corecursive":{"optionalInt32":4,"optionalInt64":"5"}}})");
  // A list with another field in between, packed and not.
  EXPECT_EQ(ToJson(Number(31, 1) + Number(1, 9) + Piece(31, "\x02\x03")),
            R"({"optionalInt32":9,"repeatedInt32":[1,2,3]})");
  EXPECT_EQ(ToJson(Number(31, 1) + Piece(31, "\x02\x03") + Number(31, 4)),
            R"({"repeatedInt32":[1,2,3,4]})");
  EXPECT_EQ(ToJson(Number(75, 1) + Number(75, 2)),
            R"({"unpackedInt32":[1,2]})");
  EXPECT_EQ(ToJson(Piece(75, "\x01\x02")), R"({"unpackedInt32":[1,2]})");
  EXPECT_EQ(ToJson(Piece(31, "")), R"({"repeatedInt32":[]})");
  // Within an Any, too.
  EXPECT_EQ(ToJson(Piece(305, Piece(2, Number(1, 1) + Number(1, 2)) +
                                  Piece(1, "a/headgate.test.Every3"))),
            R"({"optionalAny":{"@type":"a/headgate.test.Every3",)"
            R"("optionalInt32":2}})");
  // And the well-known types.
  EXPECT_EQ(ToJson(Piece(302, Number(2, 5000000)) + Piece(302, Number(1, 1))),
            R"({"optionalTimestamp":"1970-01-01T00:00:01.005Z"})");
  EXPECT_EQ(ToJson(Piece(202, Number(1, 1) + Number(1, 2))),
            R"({"optionalInt32Wrapper":2})");
}

TEST_F(JsonConversionTest, TheLastMemberOfAOneofCounts) {
  EXPECT_EQ(ToJson(Number(111, 1) + Piece(113, "x")), R"({"oneofString":"x"})");
  EXPECT_EQ(ToJson(Piece(113, "x") + Number(111, 1)), R"({"oneofUint32":1})");
  // What another one has cleared is not merged.
  EXPECT_EQ(ToJson(Piece(112, Number(1, 1)) + Piece(113, "x") +
                   Piece(112, Piece(2, ""))),
            R"({"oneofNestedMessage":{"corecursive":{}}})");
  EXPECT_EQ(ToJson(Piece(113, "x") + Piece(112, Number(1, 1)) +
                   Piece(112, Piece(2, ""))),
            R"({"oneofNestedMessage":{"a":1,"corecursive":{}}})");
  // A Value is one.
  EXPECT_EQ(ToJson(Piece(306, Piece(3, "x") + Number(4, 1))),
            R"({"optionalValue":true})");
  EXPECT_EQ(ToJson(Piece(306, Piece(6, Piece(1, Number(4, 0))) +
                                  Piece(6, Piece(1, Number(4, 1))))),
            R"({"optionalValue":[false,true]})");
}

TEST_F(JsonConversionTest, TheLastEntryOfAMapCounts) {
  const auto entry = [](int key, int value) {
    return Piece(56, Number(1, static_cast<std::uint64_t>(key)) +
                         Number(2, static_cast<std::uint64_t>(value)));
  };
  EXPECT_EQ(ToJson(entry(1, 0) + entry(1, 1)), R"({"mapInt32Int32":{"1":1}})");
  EXPECT_EQ(ToJson(entry(1, 5) + Number(1, 7) + entry(2, 6) + entry(1, 0)),
            R"({"optionalInt32":7,"mapInt32Int32":{"2":6,"1":0}})");
  // Messages are not merged.
  const auto nested = [](const std::string& value) {
    return Piece(71, Piece(1, "k") + Piece(2, value));
  };
  EXPECT_EQ(ToJson(nested(Number(1, 1)) + nested(Piece(2, ""))),
            R"({"mapStringNestedMessage":{"k":{"corecursive":{}}}})");
  // Many.
  std::string many, expected;
  for (int i = 0; i < 100; ++i) many += entry(i % 20, i);
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&expected, i == 0 ? "" : ",", "\"", i, "\":", 80 + i);
  }
  EXPECT_EQ(ToJson(many), "{\"mapInt32Int32\":{" + expected + "}}");
  // Without a key, without a value, the value first, something else in it.
  EXPECT_EQ(ToJson(Piece(56, "")), R"({"mapInt32Int32":{"0":0}})");
  EXPECT_EQ(ToJson(Piece(69, Piece(2, "v") + Piece(1, "k") + Number(3, 1))),
            R"({"mapStringString":{"k":"v"}})");
  EXPECT_EQ(ToJson(Piece(71, Piece(1, "k"))),
            R"({"mapStringNestedMessage":{"k":{}}})");
  EXPECT_EQ(ToJson(Piece(71, Piece(1, "k") + Piece(2, Number(1, 1)) +
                                 Piece(2, Piece(2, "")))),
            R"({"mapStringNestedMessage":{"k":{"a":1,"corecursive":{}}}})");
  EXPECT_EQ(
      ToJson(Piece(304, Piece(1, Piece(1, "k") + Piece(2, Number(4, 1))) +
                            Piece(1, Piece(1, "k") + Piece(2, Number(4, 0))))),
      R"({"optionalStruct":{"k":false}})");
}

TEST_F(JsonConversionTest, NumbersAreCutAsParsersCutThem) {
  constexpr std::uint64_t kFar = std::uint64_t{1} << 40;
  EXPECT_EQ(ToJson(Number(1, kFar)), "{}");
  EXPECT_EQ(ToJson(Number(1, kFar + 5)), R"({"optionalInt32":5})");
  EXPECT_EQ(ToJson(Number(3, kFar + 5)), R"({"optionalUint32":5})");
  EXPECT_EQ(ToJson(Number(5, kFar + 5)), R"({"optionalSint32":-3})");
  EXPECT_EQ(ToJson(Number(13, 2)), R"({"optionalBool":true})");
  EXPECT_EQ(ToJson(Number(21, kFar + 1)), R"({"optionalNestedEnum":"BAR"})");
  EXPECT_EQ(ToJson(Varint(1 << 3) + std::string(9, '\xff') + "\x7f"),
            R"({"optionalInt32":-1})");
}

TEST_F(JsonConversionTest, DefaultsThatAreSpelledOutAreLeftOut) {
  EXPECT_EQ(
      ToJson(Number(1, 0) + Number(13, 0) + Piece(14, "") + Piece(15, "")),
      "{}");
  EXPECT_EQ(ToJson(Number(111, 0)), R"({"oneofUint32":0})");
  EXPECT_EQ(ToJson(Number(331, 0)), R"({"presenceInt32":0})");
  EXPECT_EQ(ToJson<test::Every2>(Number(1, 0)), R"({"optionalInt32":0})");
}

TEST_F(JsonConversionTest, UnknownFieldsAreLeftOut) {
  EXPECT_EQ(ToJson(Number(1, 1) + Number(9999, 5) + Piece(9999, "x") +
                   "\xfb\x70\x08\x01\xfc\x70" + Number(1000, 2)),
            R"({"optionalInt32":1,"last":2})");
  // A known number with another wire type is one.
  EXPECT_EQ(ToJson(Piece(1, "x")), "{}");
  EXPECT_EQ(ToJson(Number(18, 1)), "{}");
  EXPECT_EQ(ToJson(Number(14, 1) + Number(13, 1)), R"({"optionalBool":true})");
}

// Issue: groups came out as many lists, and were written without their end.
TEST_F(JsonConversionTest, GroupsKeepTheirBytes) {
  // Field 205: the tags 0xAB 0x66... as varints.
  const std::string start = Varint(205 << 3 | 3), end = Varint(205 << 3 | 4);
  const std::string two =
      start + Number(1, 1) + end + start + Number(1, 2) + end;
  EXPECT_EQ(ToJson<test::Every2>(two), R"({"item":[{"x":1},{"x":2}]})");
  EXPECT_EQ(FromJson<test::Every2>(R"({"item":[{"x":1},{"x":2}]})"), two);
  EXPECT_EQ(ToJson<test::Every2>(two + Number(1, 5) + start + end),
            R"({"optionalInt32":5,"item":[{"x":1},{"x":2},{}]})");
  EXPECT_THAT(ToJson<test::Every2>(start + Number(1, 1)),
              HasSubstr("malformed"));
  EXPECT_THAT(ToJson<test::Every2>(end), HasSubstr("malformed"));
  EXPECT_THAT(ToJson<test::Every2>(start + Number(1, 1) + Varint(206 << 3 | 4)),
              HasSubstr("malformed"));
}

// --- Whatever comes, beside protobuf ---

template <typename Type>
void ExpectThereAndBack(int times) {
  std::mt19937_64 random(20261121);
  JsonOracle oracle(Type::default_instance());
  for (int i = 0; i < times; ++i) {
    Type message;
    FillAtRandom(message, random);
    JsonOptions options;
    if (i % 2) options.field_names = JsonOptions::FieldNames::kProto;
    if (i % 3 == 0) options.enums = JsonOptions::Enums::kNumber;
    // null would be the value of an unset google.protobuf.Value.
    const bool has_values = std::is_same_v<Type, test::Every3>;
    if (i % 5 == 0 && !has_values)
      options.unpopulated = JsonOptions::Unpopulated::kEmit;
    ASSERT_EQ(oracle.CheckBytes(message.SerializeAsString(), options), "");
  }
  EXPECT_EQ(oracle.converted(), times);
}

TEST(JsonOracleTest, MessagesGoThereAndBack) {
  ExpectThereAndBack<test::Every3>(1000);
  ExpectThereAndBack<test::Every2>(1000);
}

void Mutate(std::string& bytes, const std::vector<std::string>& pieces,
            std::mt19937_64& random) {
  const auto below = [&](std::size_t limit) { return random() % limit; };
  for (std::size_t i = 1 + below(3); i > 0; --i) {
    const std::size_t at = below(bytes.size() + 1);
    const std::size_t size = below(5);
    switch (below(4)) {
      case 0:
        bytes.erase(at, size);
        break;
      case 1:
        bytes.insert(at, pieces[below(pieces.size())]);
        break;
      case 2:
        bytes.replace(at, size, pieces[below(pieces.size())]);
        break;
      default:
        bytes.insert(at, bytes.substr(below(bytes.size() + 1), 10));
    }
  }
}

// Of the older syntax, as that has nothing that cannot come back.
TEST(JsonOracleTest, BrokenBytesAreWhatProtobufParses) {
  std::mt19937_64 random(20261121);
  JsonOracle oracle(test::Every2::default_instance());
  for (int i = 0; i < 5000; ++i) {
    test::Every2 message, more;
    FillAtRandom(message, random);
    FillAtRandom(more, random);
    std::string bytes = message.SerializeAsString();
    if (i % 2) bytes += more.SerializeAsString();
    if (i % 3) {
      Mutate(bytes,
             {std::string(1, '\0'), "\x01", "\x08", "\x72\x01x", "\xff",
              "\xfa\x01\x02", "\xca\x0c\x00", Number(1, 7), Piece(18, ""),
              Number(111, 5)},
             random);
    }
    ASSERT_EQ(oracle.CheckBytes(bytes, kDefault), "");
  }
  EXPECT_GT(oracle.converted(), 1500);
  EXPECT_LT(oracle.unread(), 50);
  EXPECT_LT(oracle.stricter(), 50);
}

TEST(JsonOracleTest, ChangedJsonIsWhatProtobufReads) {
  std::mt19937_64 random(20261121);
  JsonOracle oracle(test::Every2::default_instance());
  JsonTypes types(test::Every2::descriptor()->file()->pool());
  for (int i = 0; i < 10'000; ++i) {
    test::Every2 message;
    FillAtRandom(message, random);
    message.clear_item();
    message.clear_data();
    message.clear_oneofgroup();
    std::string json;
    ASSERT_TRUE(ProtoToJson(types, types.Of(*test::Every2::descriptor()),
                            message.SerializeAsString(), kDefault, json)
                    .ok());
    Mutate(json,
           {"0",
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
            "\"optionalInt32\":1,",
            "\"optional_string\":\"x\",",
            "\"optionalBool\":true,"},
           random);
    boost::json::error_code error;
    boost::json::parse({json.data(), json.size()}, error);
    if (error) continue;
    ASSERT_EQ(oracle.CheckJson(json), "");
  }
  EXPECT_GT(oracle.converted(), 100);
}

}  // namespace
}  // namespace headgate
