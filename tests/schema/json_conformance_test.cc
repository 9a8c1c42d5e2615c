// What protobuf's conformance suite asks of JSON, for proto2, proto3 and
// edition 2023, and the tables of protobuf.dev/programming-guides/json: a row
// is a JSON text and the message that it is, or that it is none. What is no
// JSON at all is in tests/e2e/test_json.py; script/conformance runs the suite
// itself.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/casts.h"
#include "tests/schema/json_rows.h"

namespace headgate {
namespace {

TEST(JsonConformanceTest, FieldNames) {
  for (const Row& row : std::vector<Row>{
           {R"({"fieldname1":1,"fieldName2":2,"FieldName3":3,"fieldName4":4})",
            "fieldname1:1 field_name2:2 _field_name3:3 field__name4_:4"},
           {R"({"fieldname1":1,"field_name2":2,"_field_name3":3,)"
            R"("field__name4_":4})",
            "fieldname1:1 field_name2:2 _field_name3:3 field__name4_:4"},
           {R"({"field0name5":5,"field0Name6":6})",
            "field0name5:5 field_0_name6:6"},
           {R"({"fieldName7":7,"FieldName8":8,"fieldName9":9,)"
            R"("FieldName10":10,"FIELDNAME11":11,"FIELDName12":12})",
            "fieldName7:7 FieldName8:8 field_Name9:9 Field_Name10:10 "
            "FIELD_NAME11:11 FIELD_name12:12"},
           {R"({"FieldName13":13,"FieldName14":14,"fieldName15":15,)"
            R"("fieldName16":16,"fieldName17":17,"FieldName18":18})",
            "__field_name13:13 __Field_name14:14 field__name15:15 "
            "field__Name16:16 field_name17__:17 Field_name18__:18"},
           {R"({"fieldn\u0061me1":1})", "fieldname1:1"},
           {R"({"other-name":1,"<\"a\">":2})", "renamed:1 escaped:2"},
           {R"({"renamed":1,"\u003c\"\u0061\">":2})", "renamed:1 escaped:2"},
       }) {
    ExpectValid<test::Every3>(row.json, row.text);
    ExpectValid<test::Every2>(row.json, row.text);
  }
  EXPECT_EQ(Written<test::Every3>("renamed:1 escaped:2 fieldName7:3"),
            R"({"fieldName7":3,"other-name":1,"\u003c\"a\"\u003e":2})");
  for (const char* json :
       {R"({"fieldName2":1,"fieldName2":2})",
        R"({"field_name2":1,"fieldName2":2})",
        R"({"fieldName2":1,"field_name2":2})",
        R"({"optionalNestedMessage":{"a":1},"optionalNestedMessage":{}})",
        R"({"optional_nested_message":{"a":1},"optionalNestedMessage":{}})",
        R"({"repeatedInt32":[1],"repeatedInt32":[2]})",
        R"({"mapInt32Int32":{"1":1},"map_int32_int32":{"2":2}})",
        R"({"mapStringString":{"a":"1","a":"2"}})",
        R"({"mapStringString":{"a":"1","\u0061":"2"}})",
        R"({"mapInt32Int32":{"1":1,"1.0":2}})",
        R"({"optionalInt32":null,"optionalInt32":1})",
        R"({"optional_Int32":1})",
        R"({"OptionalInt32":1})",
        R"({"":1})",
        R"({"[a.b]":1})",
        "[]",
        "1",
        "\"a\"",
        "null",
        "true"}) {
    ExpectInvalid<test::Every3>(json);
    ExpectInvalid<test::Every2>(json);
  }
}

TEST(JsonConformanceTest, WholeNumbers) {
  for (const Row& row : std::vector<Row>{
           {R"({"optionalInt32":2147483647})", "optional_int32:2147483647"},
           {R"({"optionalInt32":-2147483648})", "optional_int32:-2147483648"},
           {R"({"optionalUint32":4294967295})", "optional_uint32:4294967295"},
           {R"({"optionalInt64":"9223372036854775807"})",
            "optional_int64:9223372036854775807"},
           {R"({"optionalInt64":"-9223372036854775808"})",
            "optional_int64:-9223372036854775808"},
           {R"({"optionalInt64":-9223372036854775808})",
            "optional_int64:-9223372036854775808"},
           {R"({"optionalUint64":"18446744073709551615"})",
            "optional_uint64:18446744073709551615"},
           {R"({"optionalInt64":9223372036854774784})",
            "optional_int64:9223372036854774784"},
           {R"({"optionalUint64":18446744073709549568})",
            "optional_uint64:18446744073709549568"},
           {R"({"optionalInt32":"2147483647"})", "optional_int32:2147483647"},
           {R"({"optionalInt32":"2\u003147483647"})",
            "optional_int32:2147483647"},
           {R"({"optionalInt32":100000.000})", "optional_int32:100000"},
           {R"({"optionalInt32":1e5})", "optional_int32:100000"},
           {R"({"optionalInt32":"1e5"})", "optional_int32:100000"},
           {R"({"optionalInt32":1.5E+1})", "optional_int32:15"},
           {R"({"optionalInt32":-20e-1})", "optional_int32:-2"},
           {R"({"optionalInt32":2147483647.0})", "optional_int32:2147483647"},
           {R"({"optionalInt32":-2147483648.0})", "optional_int32:-2147483648"},
           {R"({"optionalUint32":4294967295.0})", "optional_uint32:4294967295"},
           {R"({"optionalInt32":0e999999999999})", "optional_int32:0"},
           {R"({"optionalInt32":2.147483647e9})", "optional_int32:2147483647"},
           {R"({"optionalInt32":-2.147483648e9})",
            "optional_int32:-2147483648"},
           {R"({"optionalInt32":"-2.147483648E+9"})",
            "optional_int32:-2147483648"},
           {R"({"optionalUint32":4.294967295e9})",
            "optional_uint32:4294967295"},
           {R"({"optionalUint32":"4294967295.0"})",
            "optional_uint32:4294967295"},
           {R"({"optionalInt64":1.0,"optionalUint64":"1e3"})",
            "optional_int64:1 optional_uint64:1000"},
           {R"({"optionalInt32":-0})", "optional_int32:0"},
           {R"({"optionalSint32":-1,"optionalSint64":"-1"})",
            "optional_sint32:-1 optional_sint64:-1"},
           {R"({"optionalFixed32":1,"optionalFixed64":2})",
            "optional_fixed32:1 optional_fixed64:2"},
           {R"({"optionalSfixed32":-1,"optionalSfixed64":-2})",
            "optional_sfixed32:-1 optional_sfixed64:-2"},
       }) {
    ExpectValid<test::Every3>(row.json, row.text);
    ExpectValid<test::Every2>(row.json, row.text);
  }
  for (const char* value : {"2147483648",
                            "-2147483649",
                            "0.5",
                            "1e-1",
                            "1e10",
                            "1e99999999999",
                            "\"\"",
                            "\"abc\"",
                            "\" 1\"",
                            "\"1 \"",
                            "\"+1\"",
                            "\"01\"",
                            "\"0x1\"",
                            "\"1e\"",
                            "\"1.\"",
                            "\".5\"",
                            "\"-\"",
                            "true",
                            "[]",
                            "{}",
                            "[1]",
                            "\"2147483648\"",
                            "99999999999999999999999"}) {
    ExpectInvalid<test::Every3>(std::string("{\"optionalInt32\":") + value +
                                "}");
    ExpectInvalid<test::Every3>(std::string("{\"optionalSfixed32\":") + value +
                                "}");
  }
  for (const char* json : {R"({"optionalUint32":4294967296})",
                           R"({"optionalUint32":-1})",
                           R"({"optionalInt64":9223372036854775808})",
                           R"({"optionalInt64":"9223372036854775808"})",
                           R"({"optionalInt64":-9223372036854775809})",
                           R"({"optionalInt64":"-9223372036854775809"})",
                           R"({"optionalUint64":18446744073709551616})",
                           R"({"optionalUint64":"18446744073709551616"})",
                           R"({"optionalUint64":-1})",
                           R"({"optionalInt64":0.5})",
                           R"({"optionalUint32":0.5})",
                           R"({"optionalUint32":"3x3"})",
                           R"({"optionalInt64":"0.5"})",
                           R"({"optionalInt64":"3x3"})",
                           R"({"optionalUint64":"0.5"})",
                           R"({"optionalUint64":"3x3"})",
                           R"({"optionalInt32":"3x3"})",
                           R"({"optionalInt32":"1 000"})",
                           R"({"optionalFixed32":-1})",
                           R"({"optionalFixed64":"-1"})",
                           R"({"optionalSfixed64":"9223372036854775808"})",
                           R"({"optionalSint32":2147483648})",
                           R"({"optionalSint64":"-9223372036854775809"})",
                           R"({"optionalUint32":"12 3"})"}) {
    ExpectInvalid<test::Every3>(json);
    ExpectInvalid<test::Every2>(json);
  }
  EXPECT_EQ(
      Written<test::Every3>("optional_int32:-1 optional_int64:-2 "
                            "optional_uint32:3 optional_uint64:4 "
                            "optional_sint64:-5 optional_fixed64:6 "
                            "optional_sfixed32:-7"),
      R"({"optionalInt32":-1,"optionalInt64":"-2","optionalUint32":3,)"
      R"("optionalUint64":"4","optionalSint64":"-5","optionalFixed64":"6",)"
      R"("optionalSfixed32":-7})");
}

TEST(JsonConformanceTest, RealNumbers) {
  for (const Row& row : std::vector<Row>{
           {R"({"optionalFloat":1.175494e-38})", "optional_float:1.175494e-38"},
           {R"({"optionalFloat":3.402823e+38})", "optional_float:3.402823e+38"},
           {R"({"optionalFloat":-3.402823e+38})",
            "optional_float:-3.402823e+38"},
           {R"({"optionalFloat":-1.175494e-38})",
            "optional_float:-1.175494e-38"},
           {R"({"optionalFloat":"1"})", "optional_float:1"},
           {R"({"optionalDouble":"1"})", "optional_double:1"},
           {R"({"optionalDouble":-2.22507e-308})",
            "optional_double:-2.22507e-308"},
           {R"({"optionalFloat":1})", "optional_float:1"},
           {R"({"optionalFloat":"1.5"})", "optional_float:1.5"},
           {R"({"optionalFloat":"NaN"})", "optional_float:nan"},
           {R"({"optionalFloat":"Infinity"})", "optional_float:inf"},
           {R"({"optionalFloat":"-Infinity"})", "optional_float:-inf"},
           {R"({"optionalFloat":"N\u0061N"})", "optional_float:nan"},
           {R"({"optionalDouble":2.22507e-308})",
            "optional_double:2.22507e-308"},
           {R"({"optionalDouble":1.79769e+308})",
            "optional_double:1.79769e+308"},
           {R"({"optionalDouble":-1.79769e+308})",
            "optional_double:-1.79769e+308"},
           {R"({"optionalDouble":"2.22507e-308"})",
            "optional_double:2.22507e-308"},
           {R"({"optionalDouble":"NaN"})", "optional_double:nan"},
           {R"({"optionalDouble":"Infinity"})", "optional_double:inf"},
           {R"({"optionalDouble":"-Infinity"})", "optional_double:-inf"},
           {R"({"optionalDouble":5e-324})", "optional_double:5e-324"},
           {R"({"optionalDouble":1e-999})", "optional_double:0"},
           {R"({"optionalDouble":-0.0})", "optional_double:-0.0"},
           {R"({"optionalDouble":9007199254740993})",
            "optional_double:9007199254740992"},
           {R"({"repeatedDouble":[0.1,1e21,123456.75]})",
            "repeated_double:0.1 repeated_double:1e21 "
            "repeated_double:123456.75"},
       }) {
    ExpectValid<test::Every3>(row.json, row.text);
    ExpectValid<test::Every2>(row.json, row.text);
  }
  for (const char* value :
       {"\"\"", "\"abc\"", "\"nan\"", "\"inf\"", "\"+1\"", "\" 1\"", "\"0x1\"",
        "\"-NaN\"", "\"infinity\"", "true", "[]", "{}", "1e999", "-1e999",
        "\"1e999\""}) {
    ExpectInvalid<test::Every3>(std::string("{\"optionalDouble\":") + value +
                                "}");
    ExpectInvalid<test::Every3>(std::string("{\"optionalFloat\":") + value +
                                "}");
  }
  ExpectInvalid<test::Every3>(R"({"optionalFloat":3.502823e+38})");
  ExpectInvalid<test::Every3>(R"({"optionalFloat":-3.502823e+38})");
  ExpectInvalid<test::Every3>(R"({"optionalDouble":1.89769e+308})");
  ExpectInvalid<test::Every3>(R"({"optionalDouble":-1.89769e+308})");
  for (const Row& row : std::vector<Row>{
           {"0.1", "optional_double:0.1"},
           {"100000", "optional_double:1e5"},
           {"1e+21", "optional_double:1e21"},
           {"123456789012345683968", "optional_double:123456789012345683968"},
           {"0.000001", "optional_double:1e-6"},
           {"1e-07", "optional_double:1e-7"},
           {"5e-324", "optional_double:5e-324"},
           {"1.7976931348623157e+308",
            "optional_double:1.7976931348623157e308"},
           {"-0", "optional_double:-0.0"},
           {"\"NaN\"", "optional_double:nan"},
           {"\"Infinity\"", "optional_double:inf"},
           {"\"-Infinity\"", "optional_double:-inf"},
       }) {
    EXPECT_EQ(Written<test::Every3>(row.text),
              std::string("{\"optionalDouble\":") + row.json + "}");
  }
  EXPECT_EQ(Written<test::Every3>("optional_float:0.1"),
            R"({"optionalFloat":0.1})");
  // Whatever the other bits of a NaN are.
  test::Every3 numbers;
  for (const std::uint32_t bits : {0x7FA12345u, 0xFFB54321u}) {
    numbers.set_optional_float(absl::bit_cast<float>(bits));
    EXPECT_EQ(Written(numbers), R"({"optionalFloat":"NaN"})");
  }
  numbers.clear_optional_float();
  for (const std::uint64_t bits :
       {std::uint64_t{0x7FFA123456789ABC}, std::uint64_t{0xFFFBCBA987654321}}) {
    numbers.set_optional_double(absl::bit_cast<double>(bits));
    EXPECT_EQ(Written(numbers), R"({"optionalDouble":"NaN"})");
  }
}

TEST(JsonConformanceTest, BoolsStringsBytesAndEnums) {
  for (const Row& row : std::vector<Row>{
           {R"({"optionalBool":true})", "optional_bool:true"},
           {R"({"optionalBool":false})", "optional_bool:false"},
           {R"({"optionalString":"Hello, World!"})",
            "optional_string:'Hello, World!'"},
           {R"({"optionalString":""})", "optional_string:''"},
           {R"({"optionalString":"\"\\\/\b\f\n\r\t"})",
            R"(optional_string:'\"\\/\b\f\n\r\t')"},
           {R"({"optionalString":"\u8C37\u6B4C"})",
            R"(optional_string:'\350\260\267\346\255\214')"},
           {"{\"optionalString\":\"\xE8\xB0\xB7\xE6\xAD\x8C\"}",
            R"(optional_string:'\350\260\267\346\255\214')"},
           {R"({"repeatedString":["Hello","world"]})",
            "repeated_string:['Hello','world']"},
           {R"({"repeatedBytes":["AAEC","AQI="]})",
            R"(repeated_bytes:['\000\001\002','\001\002'])"},
           {R"({"optionalString":"\u8c37"})",
            R"(optional_string:'\350\260\267')"},
           {R"({"optionalString":"\uD83D\uDE01"})",
            R"(optional_string:'\360\237\230\201')"},
           {R"({"optionalString":"\u0000"})", R"(optional_string:'\000')"},
           {R"({"optionalBytes":"AQI="})", R"(optional_bytes:'\001\002')"},
           {R"({"optionalBytes":"AQI"})", R"(optional_bytes:'\001\002')"},
           {R"({"optionalBytes":"-_"})", R"(optional_bytes:'\373')"},
           {R"({"optionalBytes":"+\/8="})", R"(optional_bytes:'\373\377')"},
           {R"({"optionalNestedEnum":"FOO"})", "optional_nested_enum:FOO"},
           {R"({"optionalNestedEnum":"NEG"})", "optional_nested_enum:NEG"},
           {R"({"optionalNestedEnum":0})", "optional_nested_enum:FOO"},
           {R"({"optionalNestedEnum":1})", "optional_nested_enum:BAR"},
           {R"({"optionalNestedEnum":-1})", "optional_nested_enum:NEG"},
           {R"({"optionalNestedEnum":"B\u0041R"})", "optional_nested_enum:BAR"},
           {R"({"optionalAliasedEnum":"ALIAS_BAZ"})",
            "optional_aliased_enum:ALIAS_BAZ"},
           {R"({"optionalAliasedEnum":"MOO"})",
            "optional_aliased_enum:ALIAS_BAZ"},
           {R"({"optionalAliasedEnum":"moo"})",
            "optional_aliased_enum:ALIAS_BAZ"},
           {R"({"optionalAliasedEnum":"bAz"})",
            "optional_aliased_enum:ALIAS_BAZ"},
           {R"({"repeatedNestedEnum":["FOO","BAR","BAZ"]})",
            "repeated_nested_enum:[FOO,BAR,BAZ]"},
       }) {
    ExpectValid<test::Every3>(row.json, row.text);
    ExpectValid<test::Every2>(row.json, row.text);
  }
  ExpectValid<test::Every3>(R"({"optionalNestedEnum":123})",
                            "optional_nested_enum:123");
  EXPECT_EQ(Written<test::Every3>("optional_nested_enum:123"),
            R"({"optionalNestedEnum":123})");
  ExpectInvalid<test::Every2>(R"({"optionalNestedEnum":123})");
  for (const char* json : {R"({"optionalBool":0})",
                           R"({"optionalBool":1})",
                           R"({"optionalBool":"TRUE"})",
                           R"({"optionalBool":[true]})",
                           R"({"optionalBool":"true"})",
                           R"({"optionalBool":"false"})",
                           R"({"optionalBool":""})",
                           R"({"optionalString":12345})",
                           R"({"optionalString":true})",
                           R"({"optionalString":[]})",
                           R"({"optionalString":{}})",
                           R"({"optionalString":"\ud800"})",
                           R"({"optionalString":"\udc00"})",
                           R"({"optionalString":"\ud800\u0041"})",
                           R"({"optionalString":"\uDE01\uD83D"})",
                           R"({"optionalString":"\u12g4"})",
                           R"({"optionalString":"\x"})",
                           "{\"optionalString\":\"\xff\"}",
                           R"({"optionalBytes":"a"})",
                           R"({"optionalBytes":"AQI=="})",
                           R"({"optionalBytes":"AQ I"})",
                           R"({"optionalBytes":"===="})",
                           R"({"optionalBytes":"-_+/"})",
                           R"({"optionalBytes":1})",
                           R"({"optionalBytes":[1]})",
                           R"({"optionalNestedEnum":"UNKNOWN"})",
                           R"({"optionalNestedEnum":"foo"})",
                           R"({"optionalNestedEnum":0.5})",
                           R"({"optionalNestedEnum":""})",
                           R"({"optionalNestedEnum":true})",
                           R"({"optionalNestedEnum":2147483648})",
                           R"({"optionalNestedEnum":[]})",
                           R"({"optionalNestedEnum":{}})"}) {
    ExpectInvalid<test::Every3>(json);
    ExpectInvalid<test::Every2>(json);
  }
  EXPECT_EQ(Written<test::Every3>("optional_bool:true optional_string:'<a>' "
                                  "optional_bytes:'\\377' "
                                  "optional_nested_enum:BAR"),
            R"({"optionalBool":true,"optionalString":"\u003ca\u003e",)"
            R"("optionalBytes":"/w==","optionalNestedEnum":"BAR"})");
}

TEST(JsonConformanceTest, MessagesListsMapsAndOneofs) {
  for (const Row& row : std::vector<Row>{
           {R"({"optionalNestedMessage":{"a":1}})",
            "optional_nested_message:{a:1}"},
           {R"({"optionalNestedMessage":{}})", "optional_nested_message:{}"},
           {R"({"optionalNestedMessage":{"corecursive":{"optionalInt32":3}}})",
            "optional_nested_message:{corecursive:{optional_int32:3}}"},
           {R"({"repeatedInt32":[1,2,3,4]})", "repeated_int32:[1,2,3,4]"},
           {R"({"repeatedInt32":[]})", ""},
           {R"({"repeatedString":["a",""]})", "repeated_string:['a','']"},
           {R"({"repeatedBytes":["AQI=",""]})",
            R"(repeated_bytes:['\001\002',''])"},
           {R"({"repeatedNestedMessage":[{"a":1},{}]})",
            "repeated_nested_message:[{a:1},{}]"},
           {R"({"mapInt32Int32":{"1":2,"3":4}})",
            "map_int32_int32:{key:1 value:2} map_int32_int32:{key:3 value:4}"},
           {R"({"mapInt32Int32":{"\u0031":2}})",
            "map_int32_int32:{key:1 value:2}"},
           {R"({"mapInt64Int64":{"\u0031":2}})",
            "map_int64_int64:{key:1 value:2}"},
           {R"({"mapUint32Uint32":{"1":2,"3":4}})",
            "map_uint32_uint32:{key:1 value:2} "
            "map_uint32_uint32:{key:3 value:4}"},
           {R"({"mapUint64Uint64":{"1":2,"3":4}})",
            "map_uint64_uint64:{key:1 value:2} "
            "map_uint64_uint64:{key:3 value:4}"},
           {R"({"mapStringNestedMessage":{"hello":{"a":1},"world":{"a":2}}})",
            "map_string_nested_message:{key:'hello' value:{a:1}} "
            "map_string_nested_message:{key:'world' value:{a:2}}"},
           {R"({"oneofUint32":1,"oneofString":null,"oneofBool":null})",
            "oneof_uint32:1"},
           {R"({"mapInt64Int64":{"-9223372036854775808":"1"}})",
            "map_int64_int64:{key:-9223372036854775808 value:1}"},
           {R"({"mapUint64Uint64":{"18446744073709551615":"1"}})",
            "map_uint64_uint64:{key:18446744073709551615 value:1}"},
           {R"({"mapSint32Sint32":{"-1":-1},"mapFixed64Fixed64":{"1":"1"}})",
            "map_sint32_sint32:{key:-1 value:-1} "
            "map_fixed64_fixed64:{key:1 value:1}"},
           {R"({"mapInt32Float":{"1":0.5},"mapInt32Double":{"0":"NaN"}})",
            "map_int32_float:{key:1 value:0.5} "
            "map_int32_double:{key:0 value:nan}"},
           {R"({"mapBoolBool":{"true":true,"false":false}})",
            "map_bool_bool:{key:true value:true} "
            "map_bool_bool:{key:false value:false}"},
           {R"({"mapBoolBool":{"tr\u0075e":true}})",
            "map_bool_bool:{key:true value:true}"},
           {R"({"mapStringString":{"":"","\u0061":"b"}})",
            "map_string_string:{key:'' value:''} "
            "map_string_string:{key:'a' value:'b'}"},
           {R"({"mapStringBytes":{"a":"AQ"}})",
            R"(map_string_bytes:{key:'a' value:'\001'})"},
           {R"({"mapStringNestedMessage":{"hello":{"a":1234}}})",
            "map_string_nested_message:{key:'hello' value:{a:1234}}"},
           {R"({"mapStringNestedEnum":{"a":"BAR"}})",
            "map_string_nested_enum:{key:'a' value:BAR}"},
           {R"({"oneofUint32":0})", "oneof_uint32:0"},
           {R"({"oneofNestedMessage":{}})", "oneof_nested_message:{}"},
           {R"({"oneofString":""})", "oneof_string:''"},
           {R"({"oneofBytes":""})", "oneof_bytes:''"},
           {R"({"oneofBool":false})", "oneof_bool:false"},
           {R"({"oneofUint64":"0"})", "oneof_uint64:0"},
           {R"({"oneofFloat":0})", "oneof_float:0"},
           {R"({"oneofDouble":0.0})", "oneof_double:0"},
           {R"({"oneofEnum":"FOO"})", "oneof_enum:FOO"},
           {R"({"oneofUint32":null,"oneofString":"test"})",
            "oneof_string:'test'"},
           {R"({"oneofString":"test","oneofUint32":null})",
            "oneof_string:'test'"},
           {R"({"optionalInt32":null,"optionalString":null,)"
            R"("optionalBool":null,"optionalBytes":null,)"
            R"("optionalNestedEnum":null,"optionalNestedMessage":null,)"
            R"("repeatedInt32":null,"repeatedNestedMessage":null,)"
            R"("mapInt32Int32":null,"mapStringNestedMessage":null,)"
            R"("optionalDouble":null})",
            ""},
           {"{\"last\":1,\"optionalInt32\":2,\"late\":3}",
            "last:1 optional_int32:2 late:3"},
           {" {\t\"optionalInt32\"\n: 1 ,\r\"repeatedInt32\" : [ 1 , 2 ] } ",
            "optional_int32:1 repeated_int32:[1,2]"},
       }) {
    ExpectValid<test::Every3>(row.json, row.text);
    ExpectValid<test::Every2>(row.json, row.text);
  }
  for (const char* json :
       {R"({"repeatedInt32":1})",
        R"({"repeatedString":"x"})",
        R"({"repeatedNestedMessage":{"a":1}})",
        R"({"repeatedInt32":[1,null]})",
        R"({"repeatedInt32":[[1],[2,3]]})",
        R"({"repeatedInt32":["a"]})",
        R"({"repeatedInt32":[1,false,3,4]})",
        R"({"repeatedInt32":[1,2,"name",4]})",
        R"({"repeatedInt32":[1,2,3,{"a":4}]})",
        R"({"repeatedString":["1",2,"3"]})",
        R"({"repeatedString":["1","2",false]})",
        R"({"repeatedString":["1",{"a":4}]})",
        R"({"repeatedNestedMessage":[{"a":1},2]})",
        R"({"repeatedNestedMessage":[{"a":1},false]})",
        R"({"repeatedNestedMessage":[{"a":1},"2"]})",
        R"({"repeatedNestedMessage":[{"a":1},null,{"a":2}]})",
        R"({"repeatedInt32":[{}]})",
        R"({"repeatedString":[null]})",
        R"({"repeatedNestedMessage":[null]})",
        R"({"repeatedNestedMessage":[1,2]})",
        R"({"repeatedNestedMessage":[[]]})",
        R"({"repeatedNestedEnum":[null]})",
        R"({"optionalInt32":[1]})",
        R"({"optionalNestedMessage":[]})",
        R"({"optionalNestedMessage":[{}]})",
        R"({"optionalNestedMessage":1})",
        R"({"optionalNestedMessage":""})",
        R"({"mapInt32Int32":[]})",
        R"({"mapInt32Int32":1})",
        R"({"mapInt32Int32":{"a":1}})",
        R"({"mapInt32Int32":{"":1}})",
        R"({"mapInt32Int32":{"2147483648":1}})",
        R"({"mapInt32Int32":{"1":null}})",
        R"({"mapStringString":{"a":null}})",
        R"({"mapStringNestedMessage":{"a":null}})",
        R"({"mapBoolBool":{"yes":true}})",
        R"({"mapBoolBool":{"1":true}})",
        R"({"mapUint32Uint32":{"-1":1}})",
        R"({"oneofUint32":1,"oneofString":"test"})",
        R"({"oneofNestedMessage":{},"oneofNestedMessage":{}})",
        R"({"oneofUint32":1,"oneofUint32":1})"}) {
    ExpectInvalid<test::Every3>(json);
    ExpectInvalid<test::Every2>(json);
  }
  EXPECT_EQ(Written<test::Every3>(
                "repeated_int32:[1,2] repeated_nested_message:[{a:1},{}] "
                "map_int32_int32:{key:-1 value:2} "
                "map_bool_bool:{key:true value:false} "
                "map_string_nested_message:{key:'k' value:{a:1}} "
                "map_string_nested_enum:{key:'e' value:NEG} oneof_uint32:0 "
                "presence_int32:0 presence_string:''"),
            R"({"repeatedInt32":[1,2],"repeatedNestedMessage":[{"a":1},{}],)"
            R"("mapInt32Int32":{"-1":2},"mapBoolBool":{"true":false},)"
            R"("mapStringNestedMessage":{"k":{"a":1}},)"
            R"("mapStringNestedEnum":{"e":"NEG"},"oneofUint32":0,)"
            R"("presenceInt32":0,"presenceString":""})");
}

TEST(JsonConformanceTest, UnknownFieldsMayBeIgnored) {
  JsonOptions ignore;
  ignore.unknown_fields = JsonOptions::UnknownFields::kIgnore;
  for (const Row& row : std::vector<Row>{
           {R"({"unknown":1})", ""},
           {R"({"unknown":"a"})", ""},
           {R"({"unknown":true})", ""},
           {R"({"unknown":false})", ""},
           {R"({"unknown":null})", ""},
           {R"({"unknown":{"a":1}})", ""},
           {R"({"unknown":{"a":[1,{"b":null}],"c":"}"},"optionalInt32":1})",
            "optional_int32:1"},
           {R"({"unknown":[],"optionalNestedMessage":{"unknown":true,"a":1}})",
            "optional_nested_message:{a:1}"},
           {R"({"unknown":null,"x":1.5e3,"y":"\"","z":-0})", ""},
           {R"({"optionalNestedEnum":"UNKNOWN"})", ""},
           {R"({"oneofEnum":"UNKNOWN"})", ""},
           {R"({"repeatedNestedEnum":["FOO","UNKNOWN","BAR"]})",
            "repeated_nested_enum:[FOO,BAR]"},
           {R"({"repeatedNestedEnum":["UNKNOWN"]})", ""},
           {R"({"mapStringNestedEnum":{"a":"UNKNOWN","b":"BAR"}})",
            "map_string_nested_enum:{key:'b' value:BAR}"},
           {R"({"mapStringNestedEnum":{"b":"BAR","a":"UNKNOWN"}})",
            "map_string_nested_enum:{key:'b' value:BAR}"},
       }) {
    ExpectValid<test::Every3>(row.json, row.text, ignore);
    ExpectValid<test::Every2>(row.json, row.text, ignore);
    ExpectInvalid<test::Every3>(row.json);
  }
  ExpectValid<test::Every2>(R"({"repeatedNestedEnum":[1,123]})",
                            "repeated_nested_enum:BAR", ignore);
  ExpectInvalid<test::Every3>(R"({"optionalInt32":"x"})", ignore);
  ExpectInvalid<test::Every3>(R"({"optionalNestedEnum":0.5})", ignore);
}

TEST(JsonConformanceTest, GroupsAndExtensions) {
  for (const Row& row : std::vector<Row>{
           {R"({"data":{"groupInt32":202,"groupUint32":204}})",
            "Data:{group_int32:202 group_uint32:204}"},
           {R"({"data":{"inner":{"x":1}}})", "Data:{Inner:{x:1}}"},
           {R"({"data":{}})", "Data:{}"},
           {R"({"item":[{"x":1},{},{"x":3}],"optionalString":"a"})",
            "Item:[{x:1},{},{x:3}] optional_string:'a'"},
           {R"({"oneofgroup":{"x":1}})", "OneofGroup:{x:1}"},
           {R"({"[headgate.test.extension_int32]":1})",
            "[headgate.test.extension_int32]:1"},
           {R"({"[headgate.test.extension_strings]":["a","b"],)"
            R"("[headgate.test.extension_message]":{"c":1}})",
            "[headgate.test.extension_strings]:['a','b'] "
            "[headgate.test.extension_message]:{c:1}"},
           {R"({"[headgate.test.Extending.extension_enum]":"BAR",)"
            R"("[headgate.test.Extending.extension_packed]":[1,2],"late":1})",
            "[headgate.test.Extending.extension_enum]:BAR "
            "[headgate.test.Extending.extension_packed]:[1,2] late:1"},
           {R"({"withDefault":5,"enumWithDefault":"BAZ"})",
            "with_default:5 enum_with_default:BAZ"},
           {R"({"[headgate.test.extension_int32]":null})", ""},
       }) {
    ExpectValid<test::Every2>(row.json, row.text);
  }
  for (const char* json :
       {R"({"Data":{}})", R"({"data":[]})", R"({"data":1})",
        R"({"item":{"x":1}})", R"({"item":[null]})",
        R"({"[headgate.test.none]":1})", R"({"[]":1})", R"({"[":1})",
        R"({"headgate.test.extension_int32":1})",
        R"({"[headgate.test.extension_int32]":"x"})",
        R"({"[headgate.test.extension_int32]":1,)"
        R"("[headgate.test.extension_int32]":1})"}) {
    ExpectInvalid<test::Every2>(json);
  }
  ExpectInvalid<test::Every3>(R"({"[headgate.test.extension_int32]":1})");
  EXPECT_EQ(Written<test::Every2>("late:1 Data:{group_int32:1 Inner:{x:2}} "
                                  "Item:[{x:1},{}] optional_int32:0 "
                                  "[headgate.test.extension_int32]:1 "
                                  "[headgate.test.extension_message]:{c:1}"),
            R"({"optionalInt32":0,"data":{"groupInt32":1,"inner":{"x":2}},)"
            R"("item":[{"x":1},{}],"[headgate.test.extension_int32]":1,)"
            R"("[headgate.test.extension_message]":{"c":1},"late":1})");
}

TEST(JsonConformanceTest, RequiredFields) {
  ExpectValid<test::Required>(R"({"number":0})", "number:0");
  ExpectValid<test::Required>(R"({"number":0,"child":{"number":1}})",
                              "number:0 child:{number:1}");
  for (const char* json :
       {"{}", R"({"child":{"number":1}})", R"({"number":1,"child":{}})"}) {
    ExpectInvalid<test::Required>(json);
  }
}

// As grpc-gateway v2 writes it (protojson's EmitUnpopulated).
TEST(JsonConformanceTest, UnpopulatedFieldsMayBeWritten) {
  JsonOptions emit;
  emit.unpopulated = JsonOptions::Unpopulated::kEmit;
  EXPECT_EQ(Written(test::Foreign(), emit), R"({"c":0})");
  EXPECT_EQ(Written(test::Foreign2(), emit), R"({"c":null})");
  const std::string json = Written(test::Every3(), emit);
  for (const char* part :
       {R"({"optionalInt32":0,"optionalInt64":"0",)", R"("optionalDouble":0,)",
        R"("optionalBool":false,"optionalString":"","optionalBytes":"",)",
        R"("optionalNestedMessage":null,)", R"("optionalNestedEnum":"FOO",)",
        R"("repeatedInt32":[],)", R"("mapInt32Int32":{},)",
        R"("optionalNullValue":null,)", R"("optionalBoolWrapper":null,)",
        R"("optionalAny":null,)", R"("late":0,"last":0})"}) {
    EXPECT_THAT(json, ::testing::HasSubstr(part));
  }
  EXPECT_THAT(json, ::testing::Not(::testing::HasSubstr("oneof")));
  EXPECT_THAT(json, ::testing::Not(::testing::HasSubstr("presence")));
  JsonError error;
  EXPECT_EQ(
      EverySchema().JsonToProto("headgate.test.Every3", json, {}, error).ok(),
      true)
      << error.field << error.message;
  emit.enums = JsonOptions::Enums::kNumber;
  EXPECT_THAT(Written(test::Every3(), emit),
              ::testing::HasSubstr(R"("optionalNestedEnum":0,)"));
}

}  // namespace
}  // namespace headgate
