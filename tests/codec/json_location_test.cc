#include "gateway/codec/json_location.h"

#include <gtest/gtest.h>

#include <string>

namespace headgate {
namespace {

// The text from the place on.
std::string At(absl::string_view json, absl::string_view field) {
  return std::string(json.substr(LocateJsonField(json, field)));
}

TEST(JsonLocationTest, EmptyPathIsTheWholeText) {
  EXPECT_EQ(At("{\"a\":1}", ""), "{\"a\":1}");
  EXPECT_EQ(At("  7", ""), "7");
}

TEST(JsonLocationTest, NameLeadsToTheValueOfTheMember) {
  const absl::string_view json =
      "{ \"a\" : 1 , \"b\":{\"a\":[true,null], \"c\" :\"x\"},\"d\":[]}";
  EXPECT_EQ(At(json, "a"),
            "1 , \"b\":{\"a\":[true,null], \"c\" :\"x\"},\"d\":[]}");
  EXPECT_EQ(At(json, "b.c"), "\"x\"},\"d\":[]}");
  EXPECT_EQ(At(json, "b.a"), "[true,null], \"c\" :\"x\"},\"d\":[]}");
  EXPECT_EQ(At(json, "d"), "[]}");
}

TEST(JsonLocationTest, IndexLeadsToTheElement) {
  const absl::string_view json =
      "{\"kids\":[ {\"n\":1} , {\"m\":[[],{}], \"n\":\"x\"}, -2.5e3 ]}";
  EXPECT_EQ(At(json, "kids[0].n"),
            "1} , {\"m\":[[],{}], \"n\":\"x\"}, -2.5e3 ]}");
  EXPECT_EQ(At(json, "kids[1].n"), "\"x\"}, -2.5e3 ]}");
  EXPECT_EQ(At(json, "kids[1].m[1]"), "{}], \"n\":\"x\"}, -2.5e3 ]}");
  EXPECT_EQ(At(json, "kids[2]"), "-2.5e3 ]}");
  EXPECT_EQ(At("[1,[2,3]]", "[1][1]"), "3]]");
}

// protobuf counts the entries of a map in the order of the text.
TEST(JsonLocationTest, EntryOfAMapIsAnIndexWithKeyAndValue) {
  const absl::string_view json =
      "{\"m\":{\"x\":{\"n\":1},\"value\":{\"n\":2}, \"z\":3}}";
  EXPECT_EQ(At(json, "m[0].value.n"), "1},\"value\":{\"n\":2}, \"z\":3}}");
  EXPECT_EQ(At(json, "m[1].value.n"), "2}, \"z\":3}}");
  EXPECT_EQ(At(json, "m[2].value"), "3}}");
  EXPECT_EQ(At(json, "m[2].key"), "\"z\":3}}");
  EXPECT_EQ(At(json, "m[2]"), "\"z\":3}}");
}

// A key of the text is the proto name or the JSON name, whatever the path has.
TEST(JsonLocationTest, BothNamesOfAFieldAreKnown) {
  EXPECT_EQ(At("{\"fooBar\":1}", "foo_bar"), "1}");
  EXPECT_EQ(At("{\"foo_bar\":1}", "fooBar"), "1}");
  EXPECT_EQ(At("{\"foo_bar\":1}", "foo_bar"), "1}");
  EXPECT_EQ(At("{\"fooBar\":{\"aB\":2}}", "foo_bar.a_b"), "2}}");
  EXPECT_EQ(At("{\"foobar\":1}", "foo_bar"), "{\"foobar\":1}");
}

TEST(JsonLocationTest, StringsMayHoldWhatLooksLikeJson) {
  const absl::string_view json =
      "{\"s\":\"}],\\\"{[\\\\\",\"t\":[\"]\",\"\\\\\"],\"a\":1}";
  EXPECT_EQ(At(json, "a"), "1}");
  EXPECT_EQ(At(json, "t[1]"), "\"\\\\\"],\"a\":1}");
  EXPECT_EQ(At("{\"s\":\"\\\"}\",\"a\":1}", "a"), "1}");
}

TEST(JsonLocationTest, EscapedKeysAreTheirCharacters) {
  EXPECT_EQ(At("{\"\\u0061b\":1}", "ab"), "1}");
  EXPECT_EQ(At("{\"a\\n\":1,\"\xC3\xA4\":2}", "\xC3\xA4"), "2}");
}

// A key of a client's own making may have the path's own marks in it.
TEST(JsonLocationTest, KeysMayHoldDotsAndBrackets) {
  EXPECT_EQ(At("{\"a\":0,\"a.b[0]\":1}", "a.b[0]"), "0,\"a.b[0]\":1}");
  EXPECT_EQ(At("{\"a.b[0]\":{\"c\":1}}", "a.b[0].c"), "1}}");
}

TEST(JsonLocationTest, PathThatLeadsNowhereEndsAtTheInnermostValue) {
  const absl::string_view json = "{\"a\":{\"b\":[1]}}";
  EXPECT_EQ(At(json, "x"), json);
  EXPECT_EQ(At(json, "a.x"), "{\"b\":[1]}}");
  EXPECT_EQ(At(json, "a.b[1]"), "[1]}}");
  EXPECT_EQ(At(json, "a.b[0].c"), "1]}}");
  EXPECT_EQ(At(json, "a.b.c"), "[1]}}");
  EXPECT_EQ(At(json, "a[0].x"), "\"b\":[1]}}");
  EXPECT_EQ(At(json, "a[x]"), "{\"b\":[1]}}");
  EXPECT_EQ(At(json, "a["), "{\"b\":[1]}}");
  EXPECT_EQ(At(json, "a[99999999999999999999]"), "{\"b\":[1]}}");
  EXPECT_EQ(At(json, ".."), json);
  EXPECT_EQ(At("7", "a"), "7");
}

// Not valid, but an offset in the text comes out, and an end.
TEST(JsonLocationTest, InvalidTextDoesNoHarm) {
  for (absl::string_view json :
       {"", "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "[", "[1", "[,,,", "{]}",
        "}", "\"\\", "{\"a\":}", "[[[[", "{1:2}"}) {
    for (absl::string_view field :
         {"", "a", "a.b", "[0]", "[3]", "a[0].value"}) {
      EXPECT_LE(LocateJsonField(json, field), json.size()) << json;
    }
  }
}

}  // namespace
}  // namespace headgate
