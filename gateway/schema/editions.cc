#include "gateway/schema/editions.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/unknown_field_set.h"

// The first that knows edition 2023.
#define HEADGATE_LIBRARY_KNOWS_EDITIONS (GOOGLE_PROTOBUF_VERSION >= 5027000)

namespace headgate {

namespace pb = ::google::protobuf;

#if HEADGATE_LIBRARY_KNOWS_EDITIONS

void TranslateEditions(std::vector<pb::FileDescriptorProto>& /*files*/) {}

bool HasPresence(const pb::FieldDescriptor& field) {
  return field.has_presence() && !field.is_repeated();
}

bool IsClosed(const pb::EnumDescriptor& type) { return type.is_closed(); }

#else

namespace {

using Field = pb::FieldDescriptorProto;

// google.protobuf.FeatureSet: the numbers of its fields, and their values.
constexpr int kFieldPresence = 1;
constexpr int kEnumType = 2;
constexpr int kRepeatedFieldEncoding = 3;
constexpr int kMessageEncoding = 5;
enum Presence { kExplicit = 1, kImplicit = 2, kLegacyRequired = 3 };
enum EnumType { kOpen = 1, kClosed = 2 };
enum RepeatedEncoding { kPacked = 1, kExpanded = 2 };
enum MessageEncoding { kLengthPrefixed = 1, kDelimited = 2 };

// The number of the field `features` of each kind of options.
constexpr int kInFile = 50;
constexpr int kInMessage = 12;
constexpr int kInField = 21;
constexpr int kInOneof = 1;
constexpr int kInEnum = 7;

// Its defaults are those of edition 2023, and of 2024.
struct Features {
  int presence = kExplicit;
  int enum_type = kOpen;
  int repeated = kPacked;
  int encoding = kLengthPrefixed;
};
constexpr Features kProto3 = {kImplicit, kOpen, kPacked, kLengthPrefixed};

// `features`, as far as `options` do not say otherwise.
Features Override(Features features, const pb::Message& options, int number) {
  const pb::UnknownFieldSet& unknown =
      options.GetReflection()->GetUnknownFields(options);
  for (int i = 0; i < unknown.field_count(); ++i) {
    pb::UnknownFieldSet set;
    if (unknown.field(i).number() != number ||
        unknown.field(i).type() != pb::UnknownField::TYPE_LENGTH_DELIMITED ||
        !set.ParseFromString(unknown.field(i).length_delimited())) {
      continue;
    }
    for (int j = 0; j < set.field_count(); ++j) {
      const pb::UnknownField& feature = set.field(j);
      if (feature.type() != pb::UnknownField::TYPE_VARINT ||
          feature.varint() == 0 || feature.varint() > 3) {
        continue;
      }
      const auto value = static_cast<int>(feature.varint());
      if (feature.number() == kFieldPresence) features.presence = value;
      if (feature.number() == kEnumType) features.enum_type = value;
      if (feature.number() == kRepeatedFieldEncoding) features.repeated = value;
      if (feature.number() == kMessageEncoding) features.encoding = value;
    }
  }
  return features;
}

// Makes `feature` all that `options` say of features.
void Note(pb::Message& options, int number, int feature, int value) {
  pb::UnknownFieldSet set;
  set.AddVarint(feature, static_cast<std::uint64_t>(value));
  std::string bytes;
  set.SerializeToString(&bytes);
  pb::UnknownFieldSet& unknown =
      *options.GetReflection()->MutableUnknownFields(&options);
  unknown.DeleteByNumber(number);
  unknown.AddLengthDelimited(number, bytes);
}

void TranslateEnum(const Features& around, pb::EnumDescriptorProto& type) {
  const Features features = Override(around, type.options(), kInEnum);
  if (features.enum_type == kOpen) {
    Note(*type.mutable_options(), kInEnum, kEnumType, kOpen);
  }
}

bool IsPackable(const Field& field) {
  switch (field.type()) {
    case Field::TYPE_STRING:
    case Field::TYPE_BYTES:
    case Field::TYPE_MESSAGE:
    case Field::TYPE_GROUP:
      return false;
    default:
      return true;
  }
}

// `may_be_group`: it is neither a map nor part of one.
void TranslateField(const Features& around, bool may_be_group, Field& field) {
  Features features = Override(around, field.options(), kInField);
  // In proto3 only.
  if (field.proto3_optional()) features.presence = kExplicit;
  field.clear_proto3_optional();
  if (field.label() == Field::LABEL_REPEATED) {
    if (IsPackable(field) && !field.options().has_packed()) {
      field.mutable_options()->set_packed(features.repeated == kPacked);
    }
  } else if (features.presence == kLegacyRequired) {
    field.set_label(Field::LABEL_REQUIRED);
  } else if (features.presence == kImplicit && !field.has_oneof_index() &&
             !field.has_extendee() && field.type() != Field::TYPE_MESSAGE) {
    Note(*field.mutable_options(), kInField, kFieldPresence, kImplicit);
  }
  if (field.type() == Field::TYPE_MESSAGE && may_be_group &&
      features.encoding == kDelimited) {
    field.set_type(Field::TYPE_GROUP);
  }
}

void TranslateMessage(const Features& around, pb::DescriptorProto& message) {
  const Features features = Override(around, message.options(), kInMessage);
  absl::flat_hash_set<std::string> map_entries;
  for (pb::DescriptorProto& nested : *message.mutable_nested_type()) {
    if (nested.options().map_entry()) map_entries.insert(nested.name());
    TranslateMessage(features, nested);
  }
  for (Field& field : *message.mutable_field()) {
    Features of_parent = features;
    if (field.has_oneof_index() && field.oneof_index() >= 0 &&
        field.oneof_index() < message.oneof_decl_size()) {
      of_parent =
          Override(features, message.oneof_decl(field.oneof_index()).options(),
                   kInOneof);
    }
    const std::string type =
        field.type_name().substr(field.type_name().rfind('.') + 1);
    const bool is_map =
        field.label() == Field::LABEL_REPEATED && map_entries.contains(type);
    TranslateField(of_parent, !is_map && !message.options().map_entry(), field);
  }
  for (Field& field : *message.mutable_extension()) {
    TranslateField(features, true, field);
  }
  for (pb::EnumDescriptorProto& type : *message.mutable_enum_type()) {
    TranslateEnum(features, type);
  }
}

void TranslateFile(pb::FileDescriptorProto& file) {
  const Features features = file.syntax() == "proto3"
                                ? kProto3
                                : Override(Features(), file.options(), kInFile);
  for (pb::DescriptorProto& message : *file.mutable_message_type()) {
    TranslateMessage(features, message);
  }
  for (pb::EnumDescriptorProto& type : *file.mutable_enum_type()) {
    TranslateEnum(features, type);
  }
  for (Field& field : *file.mutable_extension()) {
    TranslateField(features, true, field);
  }
  file.clear_syntax();
}

// Whether `options` have this note.
bool HasNote(const pb::Message& options, int number, int feature, int value) {
  Features none = {0, 0, 0, 0};
  none = Override(none, options, number);
  return (feature == kFieldPresence ? none.presence : none.enum_type) == value;
}

}  // namespace

void TranslateEditions(std::vector<pb::FileDescriptorProto>& files) {
  absl::flat_hash_map<absl::string_view, std::vector<pb::FileDescriptorProto*>>
      importers;  // Of a name.
  std::vector<pb::FileDescriptorProto*> found;
  absl::flat_hash_set<const pb::FileDescriptorProto*> seen;
  for (pb::FileDescriptorProto& file : files) {
    if (file.syntax() == "editions" && seen.insert(&file).second) {
      found.push_back(&file);
    }
    if (file.syntax() != "proto3") continue;
    for (const std::string& import : file.dependency()) {
      importers[import].push_back(&file);
    }
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (pb::FileDescriptorProto* importer : importers[found[i]->name()]) {
      if (seen.insert(importer).second) found.push_back(importer);
    }
  }
  for (pb::FileDescriptorProto* file : found) TranslateFile(*file);
}

bool HasPresence(const pb::FieldDescriptor& field) {
  return field.has_presence() && !field.is_repeated() &&
         !HasNote(field.options(), kInField, kFieldPresence, kImplicit);
}

bool IsClosed(const pb::EnumDescriptor& type) {
  return type.file()->syntax() == pb::FileDescriptor::SYNTAX_PROTO2 &&
         !HasNote(type.options(), kInEnum, kEnumType, kOpen);
}

#endif

}  // namespace headgate
