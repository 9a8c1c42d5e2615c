// As json_conformance_test.cc, of the well-known types, whose JSON is not that
// of their fields.

#include <string>
#include <vector>

#include "tests/schema/json_rows.h"

namespace headgate {
namespace {

TEST(JsonFormsConformanceTest, Wrappers) {
  for (const Row& row : std::vector<Row>{
           {R"({"optionalBoolWrapper":false})", "optional_bool_wrapper:{}"},
           {R"({"optionalInt32Wrapper":0})", "optional_int32_wrapper:{}"},
           {R"({"optionalInt64Wrapper":"1"})",
            "optional_int64_wrapper:{value:1}"},
           {R"({"optionalUint32Wrapper":1})",
            "optional_uint32_wrapper:{value:1}"},
           {R"({"optionalUint64Wrapper":1})",
            "optional_uint64_wrapper:{value:1}"},
           {R"({"optionalFloatWrapper":1})",
            "optional_float_wrapper:{value:1}"},
           {R"({"optionalDoubleWrapper":"1"})",
            "optional_double_wrapper:{value:1}"},
           {R"({"optionalStringWrapper":""})", "optional_string_wrapper:{}"},
           {R"({"optionalStringWrapper":"1"})",
            "optional_string_wrapper:{value:'1'}"},
           {R"({"optionalBytesWrapper":"AQI="})",
            R"(optional_bytes_wrapper:{value:'\001\002'})"},
           {R"({"repeatedBoolWrapper":[true,false]})",
            "repeated_bool_wrapper:[{value:true},{}]"},
           {R"({"repeatedInt64Wrapper":["0",1]})",
            "repeated_int64_wrapper:[{},{value:1}]"},
           {R"({"repeatedStringWrapper":["","x"]})",
            "repeated_string_wrapper:[{},{value:'x'}]"},
           {R"({"optionalBoolWrapper":null,"optionalStringWrapper":null,)"
            R"("repeatedInt32Wrapper":null})",
            ""},
           {R"({"optionalInt32Wrapper":null,"optionalInt64Wrapper":null,)"
            R"("optionalUint32Wrapper":null,"optionalUint64Wrapper":null,)"
            R"("optionalFloatWrapper":null,"optionalDoubleWrapper":null,)"
            R"("optionalBytesWrapper":null,"repeatedBoolWrapper":null,)"
            R"("repeatedInt64Wrapper":null,"repeatedStringWrapper":null,)"
            R"("optionalDuration":null,"optionalTimestamp":null,)"
            R"("optionalFieldMask":null})",
            ""},
           {R"({"optionalUint32Wrapper":0,"optionalInt64Wrapper":0,)"
            R"("optionalUint64Wrapper":0,"optionalFloatWrapper":0,)"
            R"("optionalDoubleWrapper":0,"optionalBytesWrapper":""})",
            "optional_uint32_wrapper:{} optional_int64_wrapper:{} "
            "optional_uint64_wrapper:{} optional_float_wrapper:{} "
            "optional_double_wrapper:{} optional_bytes_wrapper:{}"},
           {R"({"mapStringWrapper":{"a":"b"}})",
            "map_string_wrapper:{key:'a' value:{value:'b'}}"},
       }) {
    ExpectValid<test::Every3>(row.json, row.text);
  }
  for (const char* json :
       {R"({"repeatedInt32Wrapper":[null]})", R"({"optionalBoolWrapper":"x"})",
        R"({"optionalInt32Wrapper":{"value":1}})",
        R"({"optionalInt32Wrapper":[1]})",
        R"({"mapStringWrapper":{"a":null}})"}) {
    ExpectInvalid<test::Every3>(json);
  }
  EXPECT_EQ(Written<test::Every3>("optional_bool_wrapper:{} "
                                  "optional_int64_wrapper:{value:5} "
                                  "optional_string_wrapper:{} "
                                  "optional_bytes_wrapper:{}"),
            R"({"optionalBoolWrapper":false,"optionalInt64Wrapper":"5",)"
            R"("optionalStringWrapper":"","optionalBytesWrapper":""})");
}

TEST(JsonFormsConformanceTest, Durations) {
  for (const Row& row : std::vector<Row>{
           {"-315576000000.999999999s",
            "seconds:-315576000000 nanos:-999999999"},
           {"315576000000.999999999s", "seconds:315576000000 nanos:999999999"},
           {"0s", ""},
           {"1.5s", "seconds:1 nanos:500000000"},
           {"-0.5s", "nanos:-500000000"},
           {"-1.000000001s", "seconds:-1 nanos:-1"},
           {"1.1s", "seconds:1 nanos:100000000"},
       }) {
    ExpectValid<test::Every3>(
        std::string("{\"optionalDuration\":\"") + row.json + "\"}",
        std::string("optional_duration:{") + row.text + "}");
  }
  ExpectValid<test::Every3>(R"({"repeatedDuration":["1.5s","-1.5s","-5s"]})",
                            "repeated_duration:[{seconds:1 nanos:500000000},"
                            "{seconds:-1 nanos:-500000000},{seconds:-5}]");
  for (const char* value :
       {"\"1\"", "\"1.s\"", "\".5s\"", "\"s\"", "\"\"", "\"-\"", "\"+1s\"",
        "\"1 s\"", "\" 1s\"", "\"1S\"", "\"1e1s\"", "\"--1s\"",
        "\"0.0000000001s\"", "\"315576000001.000000000s\"",
        "\"-315576000001.000000000s\"", "\"99999999999999999999s\"", "1", "{}",
        "\"Infinitys\""}) {
    ExpectInvalid<test::Every3>(std::string("{\"optionalDuration\":") + value +
                                "}");
  }
  const auto written = [](const std::string& text) {
    return Written<test::Every3>("optional_duration:{" + text + "}");
  };
  EXPECT_EQ(written("seconds:1"), R"({"optionalDuration":"1s"})");
  EXPECT_EQ(written("seconds:1 nanos:10000000"),
            R"({"optionalDuration":"1.010s"})");
  EXPECT_EQ(written("nanos:-10000"), R"({"optionalDuration":"-0.000010s"})");
  EXPECT_EQ(written("nanos:10"), R"({"optionalDuration":"0.000000010s"})");
  EXPECT_EQ(written(""), R"({"optionalDuration":"0s"})");
  for (const char* text :
       {"seconds:1 nanos:-500000000", "seconds:-1 nanos:1", "nanos:1000000000",
        "seconds:315576000001", "seconds:-9223372036854775808",
        "nanos:-2147483648"}) {
    EXPECT_EQ(written(text),
              "cannot write headgate.test.Every3 as JSON: optionalDuration: a "
              "Duration out of its range")
        << text;
  }
}

TEST(JsonFormsConformanceTest, Timestamps) {
  for (const Row& row : std::vector<Row>{
           {"0001-01-01T00:00:00Z", "seconds:-62135596800"},
           {"9999-12-31T23:59:59.999999999Z",
            "seconds:253402300799 nanos:999999999"},
           {"1970-01-01T00:00:00Z", ""},
           {"1970-01-01T08:00:00+08:00", ""},
           {"1970-01-01T08:00:01+08:00", "seconds:1"},
           {"1969-12-31T16:00:01-08:00", "seconds:1"},
           {"1993-02-10T00:00:00.000Z", "seconds:729302400"},
           {"1970-01-01T00:00:00.000000000Z", ""},
           {"1970-01-01T00:00:00.010000000Z", "nanos:10000000"},
           {"1970-01-01T00:00:00.000010000Z", "nanos:10000"},
           {"1969-12-31T16:00:00-08:00", ""},
           {"1969-12-31T23:59:59.5Z", "seconds:-1 nanos:500000000"},
           {"2000-02-29T12:00:00Z", "seconds:951825600"},
           {"2024-02-29T23:59:59.000000001Z", "seconds:1709251199 nanos:1"},
           {"1900-03-01T00:00:00Z", "seconds:-2203891200"},
           {"0001-01-01T00:00:00-00:01", "seconds:-62135596740"},
       }) {
    ExpectValid<test::Every3>(
        std::string("{\"optionalTimestamp\":\"") + row.json + "\"}",
        std::string("optional_timestamp:{") + row.text + "}");
  }
  for (const char* value : {"0000-01-01T00:00:00Z",
                            "0001-01-01T00:00:00+01:00",
                            "9999-12-31T23:59:59-01:00",
                            "1970-01-01T00:00:00.0000000001Z",
                            "999-01-01T00:00:00Z",
                            "1970-1-01T00:00:00Z",
                            "1970-01-1T00:00:00Z",
                            "1970-01-01T0:00:00Z",
                            "1970-01-01t00:00:00Z",
                            "1970-01-01T00:00:00z",
                            "1970-01-01 00:00:00Z",
                            "1970-01-01T00:00:00",
                            "1970-01-01",
                            "1970-01-01T00:00:00.Z",
                            "1970-01-01T00:00:00+08",
                            "",
                            "1970-01-01T00:00:00+0800",
                            "1970-01-01T24:00:00Z",
                            "1970-01-01T00:60:00Z",
                            "1970-01-01T00:00:60Z",
                            "1970-13-01T00:00:00Z",
                            "1970-00-01T00:00:00Z",
                            "1970-02-29T00:00:00Z",
                            "1900-02-29T00:00:00Z",
                            "1970-04-31T00:00:00Z",
                            "1970-01-00T00:00:00Z",
                            "10000-01-01T00:00:00Z",
                            "+970-01-01T00:00:00Z",
                            "1970-01-01T00:00:00ZZ",
                            " 1970-01-01T00:00:00Z",
                            "1970-01-01T00:00:00+24:00"}) {
    ExpectInvalid<test::Every3>(std::string("{\"optionalTimestamp\":\"") +
                                value + "\"}");
  }
  ExpectValid<test::Every3>(R"({"repeatedTimestamp":["0001-01-01T00:00:00Z",)"
                            R"("9999-12-31T23:59:59.999999999Z"]})",
                            "repeated_timestamp:[{seconds:-62135596800},"
                            "{seconds:253402300799 nanos:999999999}]");
  ExpectInvalid<test::Every3>(R"({"optionalTimestamp":1})");
  ExpectInvalid<test::Every3>(R"({"optionalTimestamp":{}})");
  const auto written = [](const std::string& text) {
    return Written<test::Every3>("optional_timestamp:{" + text + "}");
  };
  EXPECT_EQ(written(""), R"({"optionalTimestamp":"1970-01-01T00:00:00Z"})");
  EXPECT_EQ(written("nanos:10000000"),
            R"({"optionalTimestamp":"1970-01-01T00:00:00.010Z"})");
  EXPECT_EQ(written("nanos:10000"),
            R"({"optionalTimestamp":"1970-01-01T00:00:00.000010Z"})");
  EXPECT_EQ(written("nanos:10"),
            R"({"optionalTimestamp":"1970-01-01T00:00:00.000000010Z"})");
  EXPECT_EQ(written("seconds:-62135596800"),
            R"({"optionalTimestamp":"0001-01-01T00:00:00Z"})");
  EXPECT_EQ(written("seconds:253402300799"),
            R"({"optionalTimestamp":"9999-12-31T23:59:59Z"})");
  for (const char* text :
       {"seconds:-62135596801", "seconds:253402300800", "nanos:-1",
        "nanos:1000000000", "seconds:9223372036854775807"}) {
    EXPECT_THAT(written(text), ::testing::HasSubstr("a Timestamp out of"))
        << text;
  }
}

TEST(JsonFormsConformanceTest, FieldMasks) {
  for (const Row& row : std::vector<Row>{
           {"", ""},
           {"foo", "paths:'foo'"},
           {"foo,barBaz", "paths:'foo' paths:'bar_baz'"},
           {"foo.barBaz,a1", "paths:'foo.bar_baz' paths:'a1'"},
           {"*", "paths:'*'"},
           {"FooBar", "paths:'_foo_bar'"},
       }) {
    ExpectValid<test::Every3>(
        std::string("{\"optionalFieldMask\":\"") + row.json + "\"}",
        std::string("optional_field_mask:{") + row.text + "}");
  }
  for (const char* value : {"\"foo,bar_bar\"", "\"a_b\"", "\",\"", "\"a,\"",
                            "\"a,,b\"", "1", "{}", "[\"a\"]"}) {
    ExpectInvalid<test::Every3>(std::string("{\"optionalFieldMask\":") + value +
                                "}");
  }
  for (const char* path : {"fooBar", "foo_3_bar", "foo__bar", "foo_", "a_B",
                           "custom_label_0", "", "a,b"}) {
    EXPECT_THAT(Written<test::Every3>(std::string("optional_field_mask:{"
                                                  "paths:'") +
                                      path + "'}"),
                ::testing::HasSubstr("has no form in JSON"))
        << path;
  }
}

TEST(JsonFormsConformanceTest, StructsAndValues) {
  for (const Row& row : std::vector<Row>{
           {R"({"optionalStruct":{"nullValue":null,"intValue":1234,)"
            R"("boolValue":true,"doubleValue":1234.5678,)"
            R"("stringValue":"Hello world!","listValue":[1234,"5678"],)"
            R"("objectValue":{"value":0}}})",
            R"(optional_struct:{
              fields:{key:"nullValue" value:{null_value:NULL_VALUE}}
              fields:{key:"intValue" value:{number_value:1234}}
              fields:{key:"boolValue" value:{bool_value:true}}
              fields:{key:"doubleValue" value:{number_value:1234.5678}}
              fields:{key:"stringValue" value:{string_value:"Hello world!"}}
              fields:{key:"listValue" value:{list_value:{
                values:{number_value:1234} values:{string_value:"5678"}}}}
              fields:{key:"objectValue" value:{struct_value:{
                fields:{key:"value" value:{number_value:0}}}}}})"},
           {R"({"optionalStruct":{}})", "optional_struct:{}"},
           {R"({"optionalStruct":{"listValue":[]}})",
            "optional_struct:{fields:{key:'listValue' value:{list_value:{}}}}"},
           {R"({"optionalStruct":null})", ""},
           {R"({"repeatedStruct":[{},{}]})", "repeated_struct:[{},{}]"},
           {R"({"optionalValue":1})", "optional_value:{number_value:1}"},
           {R"({"optionalValue":1.5})", "optional_value:{number_value:1.5}"},
           {R"({"repeatedValue":[["a"]]})",
            "repeated_value:{list_value:{values:{string_value:'a'}}}"},
           {R"({"oneofNullValue":"NULL_VALUE"})",
            "oneof_null_value:NULL_VALUE"},
           {R"({"oneofNullValue":0})", "oneof_null_value:NULL_VALUE"},
           {R"({"optionalValue":"hello"})",
            "optional_value:{string_value:'hello'}"},
           {R"({"optionalValue":true})", "optional_value:{bool_value:true}"},
           {R"({"optionalValue":false})", "optional_value:{bool_value:false}"},
           {R"({"optionalValue":null})",
            "optional_value:{null_value:NULL_VALUE}"},
           {R"({"optionalValue":[0,"hello"]})",
            "optional_value:{list_value:{values:{number_value:0} "
            "values:{string_value:'hello'}}}"},
           {R"({"optionalValue":{"value":1}})",
            "optional_value:{struct_value:{fields:{key:'value' "
            "value:{number_value:1}}}}"},
           {R"({"optionalValue":"\ud83d\ude01"})",
            R"(optional_value:{string_value:'\360\237\230\201'})"},
           {R"({"repeatedValue":[null,0,"a",[],{}]})",
            "repeated_value:[{null_value:NULL_VALUE},{number_value:0},"
            "{string_value:'a'},{list_value:{}},{struct_value:{}}]"},
           {R"({"repeatedValue":null})", ""},
           {R"({"mapStringValue":{"a":null,"b":1}})",
            "map_string_value:{key:'a' value:{null_value:NULL_VALUE}} "
            "map_string_value:{key:'b' value:{number_value:1}}"},
           {R"({"optionalListValue":[1,null,[2]]})",
            "optional_list_value:{values:{number_value:1} "
            "values:{null_value:NULL_VALUE} "
            "values:{list_value:{values:{number_value:2}}}}"},
           {R"({"optionalListValue":[]})", "optional_list_value:{}"},
           {R"({"repeatedListValue":[["a"],[]]})",
            "repeated_list_value:[{values:{string_value:'a'}},{}]"},
           {R"({"optionalNullValue":null})", ""},
           {R"({"oneofNullValue":null})", "oneof_null_value:NULL_VALUE"},
           {R"({"repeatedNullValue":[null,null]})",
            "repeated_null_value:[NULL_VALUE,NULL_VALUE]"},
           {R"({"mapStringNullValue":{"a":null}})",
            "map_string_null_value:{key:'a' value:NULL_VALUE}"},
           {R"({"optionalNullValue":"NULL_VALUE"})", ""},
           {R"({"optionalEmpty":{}})", "optional_empty:{}"},
           {R"({"repeatedEmpty":[{},{}]})", "repeated_empty:[{},{}]"},
       }) {
    ExpectValid<test::Every3>(row.json, row.text);
  }
  for (const char* json :
       {R"({"optionalStruct":[]})", R"({"optionalStruct":1})",
        R"({"optionalStruct":{"a":1,"a":2}})", R"({"optionalListValue":{}})",
        R"({"optionalListValue":1})", R"({"optionalListValue":"a"})",
        R"({"repeatedListValue":[1,2]})", R"({"repeatedListValue":[null]})",
        R"({"optionalEmpty":{"a":1}})", R"({"optionalEmpty":[]})",
        R"({"optionalValue":1e999})", R"({"optionalValue":"\ud800"})",
        R"({"oneofNullValue":null,"oneofString":"a"})",
        R"({"oneofNullValue":1.5})"}) {
    ExpectInvalid<test::Every3>(json);
  }
  for (const char* number : {"nan", "inf", "-inf"}) {
    EXPECT_THAT(
        Written<test::Every3>(std::string("optional_value:{number_value:") +
                              number + "}"),
        ::testing::HasSubstr("optionalValue: a Value that is"));
  }
  EXPECT_EQ(Written<test::Every3>("optional_value:{} repeated_value:{}"),
            R"({"optionalValue":null,"repeatedValue":[null]})");
  EXPECT_EQ(Written<test::Every3>(
                "optional_struct:{fields:{key:'a' value:{list_value:{"
                "values:{number_value:1.5} values:{bool_value:false}}}}} "
                "repeated_null_value:NULL_VALUE oneof_null_value:NULL_VALUE"),
            R"({"oneofNullValue":null,"optionalStruct":{"a":[1.5,false]},)"
            R"("repeatedNullValue":[null]})");
}

TEST(JsonFormsConformanceTest, Anys) {
  constexpr char kUrl[] = "type.googleapis.com/";
  const auto any = [&](const std::string& type, const std::string& text) {
    return "optional_any:{[" + std::string(kUrl) + type + "]:{" + text + "}}";
  };
  const std::string every =
      std::string("\"@type\":\"") + kUrl + "headgate.test.Every3\"";
  ExpectValid<test::Every3>(
      "{\"optionalAny\":{" + every + ",\"optionalInt32\":12345}}",
      any("headgate.test.Every3", "optional_int32:12345"));
  ExpectValid<test::Every3>(
      "{\"optionalAny\":{\"optionalInt32\":12345," + every + "}}",
      any("headgate.test.Every3", "optional_int32:12345"));
  ExpectValid<test::Every3>("{\"optionalAny\":{" + every + "}}",
                            any("headgate.test.Every3", ""));
  ExpectValid<test::Every3>(
      R"({"optionalAny":{"@type":"type.googleapis.com/google.protobuf.Any",)"
      R"("value":{)" +
          every + R"(,"optionalInt32":12345}}})",
      any("google.protobuf.Any",
          "[type.googleapis.com/headgate.test.Every3]:{optional_int32:12345}"));
  struct Known {
    const char* type;
    const char* value;
    const char* text;
  };
  for (const Known& known : std::vector<Known>{
           {"BoolValue", "false", ""},
           {"Int32Value", "12345", "value:12345"},
           {"StringValue", "\"\"", ""},
           {"Duration", "\"1.500s\"", "seconds:1 nanos:500000000"},
           {"Duration", "\"0s\"", ""},
           {"Timestamp", "\"1970-01-01T00:00:00Z\"", ""},
           {"FieldMask", "\"foo,barBaz\"", "paths:'foo' paths:'bar_baz'"},
           {"FieldMask", "\"\"", ""},
           {"Struct", "{\"foo\":1}",
            "fields:{key:'foo' value:{number_value:1}}"},
           {"Struct", "{}", ""},
           {"ListValue", "[]", ""},
           {"Value", "{\"foo\":1}",
            "struct_value:{fields:{key:'foo' value:{number_value:1}}}"},
           {"Value", "1", "number_value:1"},
           {"Value", "null", "null_value:NULL_VALUE"},
       }) {
    const std::string type = std::string("google.protobuf.") + known.type;
    const std::string url = std::string("\"@type\":\"") + kUrl + type + "\"";
    const std::string value = std::string("\"value\":") + known.value;
    ExpectValid<test::Every3>("{\"optionalAny\":{" + url + "," + value + "}}",
                              any(type, known.text));
    ExpectValid<test::Every3>("{\"optionalAny\":{" + value + "," + url + "}}",
                              any(type, known.text));
    EXPECT_EQ(Written<test::Every3>(any(type, known.text)),
              "{\"optionalAny\":{" + url + "," + value + "}}");
    JsonOptions emit;
    emit.unpopulated = JsonOptions::Unpopulated::kEmit;
    EXPECT_THAT(Written<test::Every3>(any(type, known.text), emit),
                ::testing::HasSubstr("{" + url + "," + value + "}"));
  }
  ExpectValid<test::Every3>(
      R"({"optionalAny":{"@type":"a/google.protobuf.Empty"}})",
      "optional_any:{type_url:'a/google.protobuf.Empty'}");
  ExpectValid<test::Every3>(
      R"({"optionalAny":{"@type":"a/google.protobuf.Empty","value":{}}})",
      "optional_any:{type_url:'a/google.protobuf.Empty'}");
  ExpectValid<test::Every3>(
      R"({"optionalAny":{"@type":"/google.protobuf.Empty"}})",
      "optional_any:{type_url:'/google.protobuf.Empty'}");
  ExpectValid<test::Every3>(R"({"optionalAny":{}})", "optional_any:{}");
  ExpectValid<test::Every3>(R"({"optionalAny":null})", "");
  for (const char* value :
       {R"({"a":1})", R"({"@type":""})", R"({"@type":"","value":""})",
        R"({"@type":"type.googleapis.com/","value":""})",
        R"({"@type":"not_a_url","value":""})", R"({"@type":5})", "[]", "1",
        R"({"@type":"a/none","value":"AQ"})",
        R"({"@type":"a/google.protobuf.Duration"})",
        R"({"@type":"a/google.protobuf.Duration","value":"0s","x":1})",
        R"({"@type":"a/google.protobuf.Duration","value":"0s","value":"0s"})",
        R"({"@type":"a/google.protobuf.Duration","@type":"a/b","value":"0s"})",
        R"({"@type":"a/headgate.test.Every3","nope":1})",
        R"({"@type":"a/headgate.test.Every3","@type":"a/b"})",
        R"({"@type":"a/google.protobuf.Int32Value","value":null})"}) {
    ExpectInvalid<test::Every3>(std::string("{\"optionalAny\":") + value + "}");
  }
  // What is not known can still be handed on.
  EXPECT_EQ(Written<test::Every3>("optional_any:{type_url:'a/b.C' "
                                  "value:'\\001'}"),
            R"({"optionalAny":{"@type":"a/b.C","value":"AQ=="}})");
}

}  // namespace
}  // namespace headgate
