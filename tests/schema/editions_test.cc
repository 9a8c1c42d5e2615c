#include "gateway/schema/editions.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gateway/schema/schema.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace headgate {
namespace {

using ::google::protobuf::FileDescriptorProto;
using ::testing::IsEmpty;

// google.protobuf.FeatureSet, as `features` of options whose number for it this
// is.
void Add(google::protobuf::Message& options, int number,
         const std::string& features) {
  std::string bytes;
  bytes.push_back(static_cast<char>((number << 3 & 0x7F) | 2));
  if (number >= 16) {
    bytes.back() = static_cast<char>(bytes.back() | 0x80);
    bytes.push_back(static_cast<char>(number >> 4));
  }
  bytes.push_back(static_cast<char>(features.size()));
  bytes += features;
  ASSERT_TRUE(options.MergeFromString(bytes));
}

constexpr int kInFile = 50;
constexpr int kInMessage = 12;
constexpr int kInField = 21;
constexpr int kInEnum = 7;
const std::string kImplicit = "\x08\x02";
const std::string kRequired = "\x08\x03";
const std::string kClosed = "\x10\x02";
const std::string kExpanded = "\x18\x02";
const std::string kDelimited = "\x28\x02";

FileDescriptorProto Parse(const std::string& text) {
  FileDescriptorProto file;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &file));
  return file;
}

// package e, messages M (with a field of every kind that features touch) and
// Part, enum E.
FileDescriptorProto File() {
  FileDescriptorProto file = Parse(R"(
    name: "e.proto" package: "e" syntax: "editions"
    message_type {
      name: "M"
      field { name: "n" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
      field { name: "list" number: 2 label: LABEL_REPEATED type: TYPE_INT32 }
      field { name: "part" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE
              type_name: ".e.Part" }
      field { name: "e" number: 4 label: LABEL_OPTIONAL type: TYPE_ENUM
              type_name: ".e.E" }
      field { name: "map" number: 5 label: LABEL_REPEATED type: TYPE_MESSAGE
              type_name: ".e.M.MapEntry" }
      field { name: "one" number: 6 label: LABEL_OPTIONAL type: TYPE_INT32
              oneof_index: 0 }
      field { name: "parts" number: 7 label: LABEL_REPEATED type: TYPE_MESSAGE
              type_name: ".e.Part" }
      oneof_decl { name: "choice" }
      nested_type {
        name: "MapEntry" options { map_entry: true }
        field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
        field { name: "value" number: 2 label: LABEL_OPTIONAL
                type: TYPE_MESSAGE type_name: ".e.Part" }
      }
    }
    message_type {
      name: "Part"
      field { name: "x" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
    }
    enum_type {
      name: "E"
      value { name: "E_ZERO" number: 0 }
      value { name: "E_ONE" number: 1 }
    })");
  // `edition`: 2023.
  EXPECT_TRUE(file.MergeFromString("\x70\xe8\x07"));
  return file;
}

class EditionsTest : public ::testing::Test {
 protected:
  void Build(std::vector<FileDescriptorProto> files) {
    std::vector<std::string> warnings;
    schema_ = Schema::Build(std::move(files), &warnings);
    EXPECT_THAT(warnings, IsEmpty());
  }
  google::protobuf::FieldDescriptorProto& Field(int index) {
    return *file_.mutable_message_type(0)->mutable_field(index);
  }
  // In hexadecimal.
  std::string Bytes(const std::string& json, const std::string& type = "e.M") {
    JsonError error;
    const auto bytes = schema_->JsonToProto(type, json, {}, error);
    return bytes.ok() ? absl::BytesToHexString(*bytes) : error.message;
  }
  std::string Json(const std::string& hex, const std::string& type = "e.M") {
    const auto json =
        schema_->ProtoToJson(type, absl::HexStringToBytes(hex), {});
    return json.ok() ? *json : std::string(json.status().message());
  }

  FileDescriptorProto file_ = File();
  std::shared_ptr<const Schema> schema_;
};

TEST_F(EditionsTest, TheDefaultsAreThoseOfEdition2023) {
  Build({file_});
  // Explicit presence.
  EXPECT_EQ(Bytes(R"({"n":0})"), "0800");
  EXPECT_EQ(Json("0800"), R"({"n":0})");
  EXPECT_EQ(Bytes(R"({"list":[1,2]})"), "12020102");
  EXPECT_EQ(Json("12020102"), R"({"list":[1,2]})");
  EXPECT_EQ(Json("10011002"), R"({"list":[1,2]})");
  EXPECT_EQ(Bytes(R"({"part":{"x":1}})"), "1a020801");
  // Open enums.
  EXPECT_EQ(Bytes(R"({"e":7})"), "2007");
  EXPECT_EQ(Json("2007"), R"({"e":7})");
  EXPECT_EQ(Bytes(R"({"map":{"a":{"x":1}}})"),
            "2a070a01611202"
            "0801");
  EXPECT_EQ(Bytes("{}"), "");
}

TEST_F(EditionsTest, AFieldMayHaveFeatures) {
  Add(*Field(0).mutable_options(), kInField, kImplicit);
  Add(*Field(1).mutable_options(), kInField, kExpanded);
  Add(*Field(2).mutable_options(), kInField, kDelimited);
  Add(*Field(6).mutable_options(), kInField, kDelimited);
  Build({file_});
  EXPECT_EQ(Json("0800"), "{}");
  EXPECT_EQ(Json("0801"), R"({"n":1})");
  EXPECT_EQ(Bytes(R"({"list":[1,2]})"), "10011002");
  EXPECT_EQ(Bytes(R"({"part":{"x":1}})"), "1b08011c");
  EXPECT_EQ(Json("1b08011c"), R"({"part":{"x":1}})");
  EXPECT_EQ(Bytes(R"({"parts":[{"x":1},{}]})"), "3b08013c3b3c");
  // A member of a oneof is set or not, whatever the file says.
  EXPECT_EQ(Json("3000"), R"({"one":0})");
}

TEST_F(EditionsTest, AFileHasFeaturesForAllInIt) {
  Add(*file_.mutable_options(), kInFile, kImplicit + kClosed + kExpanded);
  Add(*Field(0).mutable_options(), kInField, "\x08\x01");
  Build({file_});
  EXPECT_EQ(Json("0800"), R"({"n":0})");
  EXPECT_EQ(Json("0800", "e.Part"), "{}");
  EXPECT_EQ(Json("3000"), R"({"one":0})");
  EXPECT_EQ(Bytes(R"({"list":[1,2]})"), "10011002");
  EXPECT_THAT(Bytes(R"({"e":7})"), ::testing::StartsWith("must be a value"));
  EXPECT_EQ(Bytes(R"({"e":1})"), "2001");
}

// Maps and their values stay as they are.
TEST_F(EditionsTest, AMessageHasFeaturesForAllInIt) {
  Add(*file_.mutable_message_type(0)->mutable_options(), kInMessage,
      kDelimited);
  Build({file_});
  EXPECT_EQ(Bytes(R"({"part":{"x":1}})"), "1b08011c");
  EXPECT_EQ(Bytes(R"({"map":{"a":{"x":1}}})"), "2a070a016112020801");
  EXPECT_EQ(Json("2a070a016112020801"), R"({"map":{"a":{"x":1}}})");
}

TEST_F(EditionsTest, AnEnumMayBeClosed) {
  Add(*file_.mutable_enum_type(0)->mutable_options(), kInEnum, kClosed);
  Build({file_});
  EXPECT_THAT(Bytes(R"({"e":7})"), ::testing::StartsWith("must be a value"));
}

TEST_F(EditionsTest, AFieldMayBeRequired) {
  Add(*Field(0).mutable_options(), kInField, kRequired);
  Build({file_});
  EXPECT_EQ(Bytes("{}"), "is required and missing");
  EXPECT_EQ(Bytes(R"({"n":0})"), "0800");
}

// proto3 may use an open enum of an edition, which is proto2 here; it stays
// proto3 in all it means, and so do files that import it in turn.
TEST_F(EditionsTest, Proto3MayImportAnEdition) {
  const FileDescriptorProto user = Parse(R"(
    name: "p.proto" package: "p" syntax: "proto3" dependency: "e.proto"
    message_type {
      name: "M"
      field { name: "n" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
      field { name: "e" number: 2 label: LABEL_OPTIONAL type: TYPE_ENUM
              type_name: ".e.E" }
      field { name: "maybe" number: 3 label: LABEL_OPTIONAL type: TYPE_INT32
              oneof_index: 0 proto3_optional: true }
      field { name: "list" number: 4 label: LABEL_REPEATED type: TYPE_INT32 }
      field { name: "loose" number: 5 label: LABEL_REPEATED type: TYPE_INT32
              options { packed: false } }
      oneof_decl { name: "_maybe" }
    }
    enum_type { name: "F" value { name: "F_ZERO" number: 0 } })");
  const FileDescriptorProto second = Parse(R"(
    name: "q.proto" package: "q" syntax: "proto3" dependency: "p.proto"
    message_type {
      name: "M"
      field { name: "f" number: 1 label: LABEL_OPTIONAL type: TYPE_ENUM
              type_name: ".p.F" }
    })");
  Build({second, user, file_});
  EXPECT_EQ(Json("080010001800", "p.M"), R"({"maybe":0})");
  EXPECT_EQ(Bytes(R"({"e":7,"maybe":0,"list":[1],"loose":[1]})", "p.M"),
            "100718002201012801");
  EXPECT_EQ(Json("0807", "q.M"), R"({"f":7})");
  EXPECT_EQ(Json("0800", "q.M"), "{}");
}

}  // namespace
}  // namespace headgate
