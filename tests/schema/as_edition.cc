#include "tests/schema/as_edition.h"

#include <string>

#include "gtest/gtest.h"

namespace headgate::testing {
namespace {

using ::google::protobuf::DescriptorProto;
using ::google::protobuf::FieldDescriptorProto;

// The field `features` of FileOptions (50) and FieldOptions (21).
constexpr char kOfFile[] = "\x92\x03";
constexpr char kOfField[] = "\xaa\x01";

const std::string kExplicit = "\x08\x01";
const std::string kImplicit = "\x08\x02";
const std::string kRequired = "\x08\x03";
const std::string kClosedEnums = "\x10\x02";
const std::string kPacked = "\x18\x01";
const std::string kExpanded = "\x18\x02";
const std::string kUnverified = "\x20\x03";
const std::string kDelimited = "\x28\x02";
const std::string kBestEffortJson = "\x30\x02";

template <typename Options>
void AddFeatures(const std::string& tag, const std::string& features,
                 Options* options) {
  ASSERT_TRUE(options->MergeFromString(
      tag + static_cast<char>(features.size()) + features));
}

void Translate(FieldDescriptorProto& field, bool is_proto3) {
  std::string features;
  if (field.proto3_optional()) {
    features += kExplicit;
    field.clear_proto3_optional();
    field.clear_oneof_index();
  }
  if (field.label() == FieldDescriptorProto::LABEL_REQUIRED) {
    features += kRequired;
    field.set_label(FieldDescriptorProto::LABEL_OPTIONAL);
  }
  if (field.type() == FieldDescriptorProto::TYPE_GROUP) {
    features += kDelimited;
    field.set_type(FieldDescriptorProto::TYPE_MESSAGE);
  }
  if (field.options().has_packed()) {
    if (field.options().packed() != is_proto3) {
      features += field.options().packed() ? kPacked : kExpanded;
    }
    field.mutable_options()->clear_packed();
  }
  if (!features.empty()) {
    AddFeatures(kOfField, features, field.mutable_options());
  }
}

void Translate(DescriptorProto& message, bool is_proto3) {
  // Those of optional fields of proto3 are the last.
  int oneofs = message.oneof_decl_size();
  for (FieldDescriptorProto& field : *message.mutable_field()) {
    if (field.proto3_optional()) --oneofs;
    Translate(field, is_proto3);
  }
  message.mutable_oneof_decl()->DeleteSubrange(
      oneofs, message.oneof_decl_size() - oneofs);
  for (FieldDescriptorProto& field : *message.mutable_extension()) {
    Translate(field, is_proto3);
  }
  for (DescriptorProto& nested : *message.mutable_nested_type()) {
    Translate(nested, is_proto3);
  }
}

}  // namespace

google::protobuf::FileDescriptorProto AsEdition2023(
    google::protobuf::FileDescriptorProto file) {
  const bool is_proto3 = file.syntax() == "proto3";
  AddFeatures(kOfFile,
              is_proto3
                  ? kImplicit
                  : kClosedEnums + kExpanded + kUnverified + kBestEffortJson,
              file.mutable_options());
  for (DescriptorProto& message : *file.mutable_message_type()) {
    Translate(message, is_proto3);
  }
  for (FieldDescriptorProto& field : *file.mutable_extension()) {
    Translate(field, is_proto3);
  }
  file.set_syntax("editions");
  EXPECT_TRUE(file.MergeFromString("\x70\xe8\x07"));  // `edition`: 2023.
  return file;
}

}  // namespace headgate::testing
