#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/schema/schema.h"
#include "google/protobuf/text_format.h"
#include "parameters.pb.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;

constexpr char kEvery[] = "headgate.test.Every";

std::shared_ptr<const Schema> TheSchema() {
  google::protobuf::FileDescriptorProto file;
  test::Every::descriptor()->file()->CopyTo(&file);
  std::vector<std::string> warnings;
  return Schema::Build({file}, &warnings);
}

class ParametersTest : public ::testing::Test {
 protected:
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  // The message that the query makes, as JSON; or why it makes none.
  std::string Bound(const Pairs& query) {
    for (const auto& [field, value] : query) {
      binding_.query.push_back({field, value});
    }
    const auto message = schema_->BindParameters(kEvery, binding_, options_);
    binding_.query.clear();
    if (!message.ok()) {
      EXPECT_EQ(message.status().code(), absl::StatusCode::kInvalidArgument);
      return std::string(message.status().message());
    }
    JsonOptions by_proto_name;
    by_proto_name.field_names = JsonOptions::FieldNames::kProto;
    return *schema_->ProtoToJson(kEvery, *message, by_proto_name);
  }
  std::string Bound(const std::string& field, const std::string& value) {
    return Bound(Pairs{{field, value}});
  }

  const std::shared_ptr<const Schema> schema_ = TheSchema();
  // No body, so that the query may set everything.
  RequestBinding binding_{{}, {}, "", ""};
  JsonOptions options_;
};

TEST_F(ParametersTest, FaultsForALogRepeatNothingOfTheClients) {
  const auto for_log = [this](const std::string& field,
                              const std::string& value) {
    binding_.query = {{field, value}};
    return MessageForLog(
        schema_->BindParameters(kEvery, binding_, options_).status());
  };
  EXPECT_EQ(for_log("int32_field", "x"),
            "query parameter \"int32_field\": must be an int32");
  EXPECT_THAT(for_log("zz", "x"),
              HasSubstr("query parameter \"...\": headgate.test.Every has no "
                        "such field"));
}

TEST_F(ParametersTest, EveryKindOfField) {
  const struct {
    const char* field;
    const char* value;
    const char* json;
  } kFields[] = {
      {"int32_field", "-2147483648", R"({"int32_field":-2147483648})"},
      {"int64_field", "9223372036854775807",
       R"({"int64_field":"9223372036854775807"})"},
      {"uint32_field", "4294967295", R"({"uint32_field":4294967295})"},
      {"uint64_field", "18446744073709551615",
       R"({"uint64_field":"18446744073709551615"})"},
      {"zigzag", "-5", R"({"zigzag":-5})"},
      {"fixed", "5", R"({"fixed":"5"})"},
      {"float_field", "1.5", R"({"float_field":1.5})"},
      {"double_field", "-1e300", R"({"double_field":-1e+300})"},
      {"double_field", "Infinity", R"({"double_field":"Infinity"})"},
      {"double_field", "NaN", R"({"double_field":"NaN"})"},
      {"bool_field", "true", R"({"bool_field":true})"},
      {"bool_field", "1", R"({"bool_field":true})"},
      {"string_field", "a \"b\" \xC3\xA4",
       "{\"string_field\":\"a \\\"b\\\" \xC3\xA4\"}"},
      {"bytes_field", "+/8=", R"({"bytes_field":"+/8="})"},
      {"bytes_field", "-_8", R"({"bytes_field":"+/8="})"},
      {"size", "SIZE_SMALL", R"({"size":"SIZE_SMALL"})"},
      {"size", "1", R"({"size":"SIZE_SMALL"})"},
      {"size", "7", R"({"size":7})"},
      {"counts[a.b]", "3", R"({"counts":{"a.b":3}})"},
      {"sizes[-4]", "SIZE_SMALL", R"({"sizes":{"-4":"SIZE_SMALL"}})"},
      {"child.child.int32_field", "1",
       R"({"child":{"child":{"int32_field":1}}})"},
      {"time", "2026-01-02T03:04:05Z", R"({"time":"2026-01-02T03:04:05Z"})"},
      {"duration", "1.5s", R"({"duration":"1.500s"})"},
      {"mask", "intField,child.one", R"({"mask":"intField,child.one"})"},
      {"wrapped", "0", R"({"wrapped":"0"})"},
      {"wrapped_text", "", R"({"wrapped_text":""})"},
      {"one", "0", R"({"one":0})"},
      {"maybe", "0", R"({"maybe":0})"},
      // Numbers as JSON's strings have them.
      {"int32_field", "1e5", R"({"int32_field":100000})"},
      {"int64_field", "-2.50e1", R"({"int64_field":"-25"})"},
      {"counts[a]", "1e1", R"({"counts":{"a":10}})"},
      {"wrapped", "1e3", R"({"wrapped":"1000"})"},
      {"size", "1.0", R"({"size":"SIZE_SMALL"})"},
      // JSON where the message has any JSON.
      {"structure", R"({"a":[1,null,"x"],"b":{}})",
       R"({"structure":{"a":[1,null,"x"],"b":{}}})"},
      {"any_value", R"(["x",true])", R"({"any_value":["x",true]})"},
      {"any_value", "null", R"({"any_value":null})"},
      {"any_value", "1.5", R"({"any_value":1.5})"},
      {"list", "[1,[2]]", R"({"list":[1,[2]]})"},
      {"values[k]", "{\"a\":1}", R"({"values":{"k":{"a":1}}})"},
      {"nothing_value", "null", "{}"},
      // By the JSON name.
      {"stringField", "x", R"({"string_field":"x"})"},
  };
  for (const auto& field : kFields) {
    EXPECT_EQ(Bound(field.field, field.value), field.json) << field.field;
  }
}

TEST_F(ParametersTest, RepeatedFieldsTakeOneParameterEach) {
  EXPECT_EQ(Bound({{"numbers", "3"}, {"words", "a"}, {"numbers", "1"}}),
            R"({"numbers":[3,1],"words":["a"]})");
  EXPECT_EQ(Bound({{"counts[a]", "1"}, {"counts[b]", "2"}}),
            R"({"counts":{"a":1,"b":2}})");
  EXPECT_EQ(Bound({{"times", "2026-01-02T03:04:05Z"},
                   {"times", "2026-01-02T03:04:06Z"}}),
            R"({"times":["2026-01-02T03:04:05Z","2026-01-02T03:04:06Z"]})");
}

TEST_F(ParametersTest, FaultsNameTheParameterAndWhatItTakes) {
  const struct {
    const char* field;
    const char* value;
    const char* fault;
  } kFaults[] = {
      {"int32_field", "ten", R"(must be an int32, is "ten")"},
      {"int32_field", "2147483648", "must be an int32"},
      {"int32_field", "", "must be an int32"},
      {"int32_field", "1.5", "must be an int32"},
      {"uint64_field", "-1", "must be a uint64"},
      {"float_field", "1e39", "must be a float"},
      {"int32_field", "+1", "must be an int32"},
      {"int32_field", " 1", "must be an int32"},
      {"int32_field", "01", "must be an int32"},
      {"int32_field", "1e10", "must be an int32"},
      {"double_field", "1e999", R"(must be a double, is "1e999")"},
      {"double_field", "inf", "must be a double"},
      {"bool_field", "yes", "must be true or false"},
      {"string_field", "\xff", "must be UTF-8"},
      {"bytes_field", "*", "must be base64"},
      {"size", "SIZE_HUGE", "must be a value of headgate.test.Size"},
      {"time", "yesterday", R"(must be a time like "2006-01-02T15:04:05Z")"},
      {"time", "\xff", "must be UTF-8"},
      {"duration", "1", R"(must be a duration like "1.5s")"},
      {"child", "x", "is a headgate.test.Every, which text cannot be"},
      {"children", "x", "which text cannot be"},
      {"structure", "[]", "must be an object, is a list"},
      {"structure", "", "must be an object, is missing"},
      {"structure", R"({"a":x})", R"(["a"]: must be a JSON value)"},
      {"structure", "{} {}", "there is more behind the value"},
      {"structure", R"({"a":1)", "malformed JSON"},
      {"any_value", "x", "must be a JSON value"},
      {"list", R"([1,{"a":[x]}])", R"([1]["a"][0]: must be a JSON value)"},
      {"values[k]", R"({"a":x})", R"(: ["a"]: must be a JSON value)"},
      {"counts", "1", "is a map: set its values by counts[KEY]"},
      {"counts[a]", "x", "must be an int32"},
      {"sizes[a]", "1", "the key must be an int32"},
      {"string_field[a]", "x", "is not a map"},
      {"nothing", "x", "headgate.test.Every has no such field"},
      {"child.nothing", "x", "has no such field"},
      {"int32_field.x", "x", "has no such field"},
      {"children.one", "1", "has no such field"},
      {"", "x", "has no such field"},
      {"child.", "x", "has no such field"},
      {"structure.fields", "x", "is a map"},
  };
  for (const auto& fault : kFaults) {
    EXPECT_THAT(Bound(fault.field, fault.value),
                AllOf(HasSubstr(absl::StrCat("query parameter \"", fault.field,
                                             "\": ")),
                      HasSubstr(fault.fault)))
        << fault.field;
  }
}

TEST_F(ParametersTest, ASingularFieldTwiceIsAFault) {
  EXPECT_THAT(Bound({{"one", "1"}, {"one", "1"}}), HasSubstr("is there twice"));
  // By both of its names, too.
  EXPECT_THAT(Bound({{"string_field", "a"}, {"stringField", "b"}}),
              HasSubstr("is there twice"));
  EXPECT_THAT(Bound({{"counts[a]", "1"}, {"counts[a]", "2"}}),
              HasSubstr("is there twice"));
}

TEST_F(ParametersTest, MembersOfAOneofExcludeEachOther) {
  EXPECT_THAT(Bound({{"one", "1"}, {"other.one", "2"}}),
              HasSubstr("other and one exclude each other"));
  EXPECT_EQ(Bound({{"other.one", "1"}, {"other.string_field", "x"}}),
            R"({"other":{"string_field":"x","one":1}})");
}

TEST_F(ParametersTest, NamesAreJoinedOnlySoFar) {
  std::string field = "one";
  for (int i = 0; i < 40; ++i) field = "child." + field;
  EXPECT_THAT(Bound(field, "1"), HasSubstr("joins more than 32 names"));
}

// A value may be a megabyte, and what it holds a secret of somebody's.
TEST_F(ParametersTest, FaultsDoNotRepeatAllOfAValue) {
  EXPECT_LT(Bound("int32_field", std::string(5000, 'x')).size(), 200u);
  EXPECT_LT(Bound(std::string(5000, 'x'), "1").size(), 200u);
}

// As grpc-gateway has it; in the query each has a parameter of its own.
TEST_F(ParametersTest, APathVariableOfARepeatedFieldIsAList) {
  binding_.variables = {{"numbers", "1,2e1,-3"}, {"words", "a"}};
  EXPECT_EQ(Bound({}), R"({"numbers":[1,20,-3],"words":["a"]})");
  binding_.variables = {{"numbers", "1,x"}};
  EXPECT_THAT(Bound({}), HasSubstr("path variable \"numbers\": must be an "
                                   "int32, is \"x\""));
  binding_.variables = {};
  EXPECT_THAT(Bound({{"numbers", "1,2"}}), HasSubstr("must be an int32"));
  EXPECT_EQ(Bound({{"words", "a,b"}}), R"({"words":["a,b"]})");
}

// What the path says overrides the body, also where it is a field's default.
TEST_F(ParametersTest, ADefaultIsPartOfTheMessage) {
  binding_.variables = {{"int32_field", "0"}};
  EXPECT_EQ(*schema_->BindParameters(kEvery, binding_, options_),
            std::string("\x08\0", 2));
}

// --- parsers that do not merge the pieces of a message, as protobufjs ---

// Whether what stands several times in `message` is repeated, and not packed.
bool IsOnePieceEach(const std::string& message) {
  test::Every parsed;
  EXPECT_TRUE(parsed.ParseFromString(message));
  return parsed.ByteSizeLong() == message.size();
}

TEST_F(ParametersTest, AMessageThatSeveralParametersReachStandsOnce) {
  binding_.variables = {{"child.one", "1"}, {"child.child.one", "2"}};
  binding_.query = {{"child.string_field", "a"},
                    {"numbers", "1"},
                    {"child.child.string_field", "b"},
                    {"child.words", "2"},
                    {"child.words", "3"}};
  const std::string message =
      *schema_->BindParameters(kEvery, binding_, options_);
  EXPECT_TRUE(IsOnePieceEach(message));
  test::Every parsed;
  ASSERT_TRUE(parsed.ParseFromString(message));
  EXPECT_EQ(parsed.child().string_field(), "a");
  EXPECT_EQ(parsed.child().words_size(), 2);
  EXPECT_EQ(parsed.child().child().one(), 2);
  EXPECT_EQ(parsed.child().child().string_field(), "b");
}

TEST_F(ParametersTest, ParametersOverrideABodyWithinItsMessages) {
  binding_.variables = {{"child.string_field", "a"},
                        {"child.child.one", "7"},
                        {"wrapped", "3"},
                        {"words", "4"}};
  test::Every body;
  body.add_words("5");
  body.mutable_child()->set_string_field("overridden");
  body.mutable_child()->add_words("6");
  body.mutable_child()->mutable_child()->set_string_field("kept");
  body.add_children()->set_one(8);
  const std::string parameters =
      *schema_->BindParameters(kEvery, binding_, options_);
  const std::string merged =
      schema_->MergeParameters(kEvery, body.SerializeAsString(), parameters);
  test::Every expected;
  ASSERT_TRUE(expected.ParseFromString(body.SerializeAsString() + parameters));
  test::Every parsed;
  ASSERT_TRUE(parsed.ParseFromString(merged));
  EXPECT_EQ(parsed.SerializeAsString(), expected.SerializeAsString());
  EXPECT_EQ(parsed.child().child().string_field(), "kept");
  // Nothing is in two pieces but the string that is overridden.
  EXPECT_EQ(parsed.ByteSizeLong() + 2 + std::string("overridden").size(),
            merged.size());
}

TEST_F(ParametersTest, WhatIsNoMessageIsConcatenated) {
  binding_.variables = {{"child.one", "1"}};
  const std::string parameters =
      *schema_->BindParameters(kEvery, binding_, options_);
  EXPECT_EQ(schema_->MergeParameters(kEvery, "\xff", parameters),
            "\xff" + parameters);
  EXPECT_EQ(schema_->MergeParameters(kEvery, parameters, "\x7b"),
            parameters + "\x7b");
  EXPECT_EQ(schema_->MergeParameters(kEvery, "", parameters), parameters);
  EXPECT_EQ(schema_->MergeParameters(kEvery, parameters, ""), parameters);
}

// --- names as proto-loader without keepCase has them ---

TEST(CamelNamesTest, ANameOfTheProtoFileFindsTheFieldThatNodeHasMadeOfIt) {
  google::protobuf::FileDescriptorProto file;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
      name: "a.proto" package: "a" syntax: "proto3"
      message_type {
        name: "M"
        field { name: "pageSize" number: 1 label: LABEL_OPTIONAL
                type: TYPE_INT32 }
        field { name: "theChild" number: 2 label: LABEL_OPTIONAL
                type: TYPE_MESSAGE type_name: ".a.M" }
        field { name: "real_name" number: 3 label: LABEL_OPTIONAL
                type: TYPE_INT32 }
      })",
                                                            &file));
  std::vector<std::string> warnings;
  const std::shared_ptr<const Schema> schema = Schema::Build({file}, &warnings);
  EXPECT_TRUE(schema->HasField("a.M", "page_size"));
  EXPECT_EQ(schema->MessageTypeOf("a.M", "the_child"), "a.M");
  RequestBinding binding{
      {{"the_child.page_size", "1"}}, {{"page_size", "2"}}, "", ""};
  const std::string message = *schema->BindParameters("a.M", binding, {});
  EXPECT_EQ(*schema->ProtoToJson("a.M", message, {}),
            R"({"pageSize":2,"theChild":{"pageSize":1}})");
  JsonError error;
  EXPECT_TRUE(schema->JsonToProto("a.M", R"({"page_size":1})", {}, error).ok());
  EXPECT_FALSE(
      schema->JsonToProto("a.M", R"({"page_size":1,"pageSize":1})", {}, error)
          .ok());
  // Of a field with its own name there is no other.
  EXPECT_FALSE(schema->HasField("a.M", "real__name"));
  EXPECT_FALSE(schema->HasField("a.M", "page__size"));
  EXPECT_FALSE(
      schema->JsonToProto("a.M", R"({"real__name":1})", {}, error).ok());
}

// --- what path and body have set ---

TEST_F(ParametersTest, WhatThePathHasSetIsNotTheQuerys) {
  binding_.variables = {{"child.string_field", "a"}};
  EXPECT_EQ(Bound({{"child.one", "1"}}),
            R"({"child":{"string_field":"a","one":1}})");
  EXPECT_THAT(Bound({{"child.stringField", "b"}}),
              HasSubstr("is set by the path or the body"));
  binding_.variables = {{"nothing", "a"}};
  EXPECT_THAT(Bound({}), HasSubstr("path variable \"nothing\": "));
  binding_.variables = {{"one", "x"}};
  EXPECT_THAT(Bound({}), HasSubstr("path variable \"one\": must be an int32"));
}

TEST_F(ParametersTest, WhatTheBodyIsIsNotTheQuerys) {
  binding_.body = "child";
  EXPECT_EQ(Bound("one", "1"), R"({"one":1})");
  EXPECT_THAT(Bound("child.one", "1"),
              HasSubstr("is set by the path or the body"));
  // A name that only begins like it is another field.
  EXPECT_THAT(Bound("children", "1"), HasSubstr("text cannot be"));
  binding_.body = "*";
  EXPECT_THAT(Bound("one", "1"), HasSubstr("is set by the path or the body"));
}

TEST_F(ParametersTest, WhatIsUnknownOrTakenCanBeIgnored) {
  options_.unknown_fields = JsonOptions::UnknownFields::kIgnore;
  binding_.variables = {{"one", "1"}};
  EXPECT_EQ(Bound({{"utm_source", "x"}, {"one", "2"}, {"int32_field", "3"}}),
            R"({"int32_field":3,"one":1})");
  EXPECT_EQ(Bound({{"size", "SIZE_HUGE"}, {"sizes[1]", "SIZE_HUGE"}}),
            R"({"one":1})");
  // What a field cannot take is no less wrong.
  EXPECT_THAT(Bound("int32_field", "x"), HasSubstr("must be an int32"));
}

// --- one field as the body ---

class FieldTest : public ParametersTest {
 protected:
  std::string FromJson(const std::string& field, const std::string& json) {
    JsonError error;
    const auto message =
        schema_->FieldFromJson(kEvery, field, json, options_, error);
    if (!message.ok()) return absl::StrCat(error.field, ": ", error.message);
    return *schema_->ProtoToJson(kEvery, *message, JsonOptions());
  }
  std::string ToJson(const std::string& field, const std::string& json,
                     JsonOptions options = {}) {
    JsonError error;
    const auto message =
        schema_->JsonToProto(kEvery, json, JsonOptions(), error);
    EXPECT_TRUE(message.ok()) << error.message;
    const auto value = schema_->FieldToJson(kEvery, field, *message, options);
    return value.ok() ? *value : value.status().ToString();
  }
};

TEST_F(FieldTest, FromJson) {
  EXPECT_EQ(FromJson("child", R"({"one":1})"), R"({"child":{"one":1}})");
  EXPECT_EQ(FromJson("numbers", "[1,2]"), R"({"numbers":[1,2]})");
  EXPECT_EQ(FromJson("int32_field", "7"), R"({"int32Field":7})");
  EXPECT_THAT(FromJson("child", R"({"child":{"one":"x"}})"),
              HasSubstr("child.one: "));
  EXPECT_THAT(FromJson("child", "3"), ::testing::StartsWith(": "));
}

TEST_F(FieldTest, ToJson) {
  const std::string json =
      R"({"int32Field":7,"stringField":"a,}\"b","numbers":[1,2],
          "child":{"child":{"one":2}},"children":[{"one":1},{}],
          "counts":{"child":1,"x":2},"one":5})";
  EXPECT_EQ(ToJson("int32_field", json), "7");
  EXPECT_EQ(ToJson("string_field", json), R"("a,}\"b")");
  EXPECT_EQ(ToJson("numbers", json), "[1,2]");
  EXPECT_EQ(ToJson("child", json), R"({"child":{"one":2}})");
  EXPECT_EQ(ToJson("children", json), R"([{"one":1},{}])");
  EXPECT_EQ(ToJson("counts", json), R"({"child":1,"x":2})");
  EXPECT_EQ(ToJson("one", json), "5");
  JsonOptions options;
  options.field_names = JsonOptions::FieldNames::kProto;
  EXPECT_EQ(ToJson("int32_field", json, options), "7");
}

TEST_F(FieldTest, WhatIsAbsentIsItsDefault) {
  EXPECT_EQ(ToJson("int32_field", "{}"), "0");
  EXPECT_EQ(ToJson("int64_field", "{}"), R"("0")");
  EXPECT_EQ(ToJson("string_field", "{}"), R"("")");
  EXPECT_EQ(ToJson("size", "{}"), R"("SIZE_NONE")");
  EXPECT_EQ(ToJson("numbers", "{}"), "[]");
  EXPECT_EQ(ToJson("counts", "{}"), "{}");
  EXPECT_EQ(ToJson("child", "{}"), "null");
  EXPECT_EQ(ToJson("wrapped", "{}"), "null");
}

TEST_F(FieldTest, OptionsHoldForTheValue) {
  JsonOptions options;
  options.unpopulated = JsonOptions::Unpopulated::kEmit;
  EXPECT_THAT(ToJson("child", R"({"child":{}})", options),
              HasSubstr(R"("int32Field":0)"));
}

TEST_F(FieldTest, TypesAndNames) {
  EXPECT_EQ(schema_->MessageTypeOf(kEvery, "child"), kEvery);
  EXPECT_EQ(schema_->MessageTypeOf(kEvery, "children"), "");
  EXPECT_EQ(schema_->MessageTypeOf(kEvery, "one"), "");
  EXPECT_EQ(schema_->MessageTypeOf(kEvery, "nothing"), "");
  EXPECT_TRUE(schema_->HasField(kEvery, "one"));
  EXPECT_FALSE(schema_->HasField(kEvery, "nothing"));
  EXPECT_FALSE(schema_->HasField("none.Such", "one"));
}

}  // namespace
}  // namespace headgate
