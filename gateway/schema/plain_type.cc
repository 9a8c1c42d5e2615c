#include "gateway/schema/plain_type.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gateway/schema/wire.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {
namespace {

namespace pb = ::google::protobuf;
using ::google::protobuf::FieldDescriptor;

// The JSON mapping has a form of its own for most of these types.
template <typename Descriptor>
bool IsWellKnown(const Descriptor& type) {
  return type.file()->package() == "google.protobuf";
}

bool IsTaken(const FieldDescriptor& field) {
  switch (field.type()) {
    case FieldDescriptor::TYPE_DOUBLE:
    case FieldDescriptor::TYPE_FLOAT:
    case FieldDescriptor::TYPE_GROUP:
      return false;
    case FieldDescriptor::TYPE_ENUM:
      return !IsWellKnown(*field.enum_type());
    case FieldDescriptor::TYPE_MESSAGE:
      return !field.is_map() && !IsWellKnown(*field.message_type());
    default:
      return true;
  }
}

// Whether no reader or writer of JSON would escape anything in `name`.
bool IsPlainName(absl::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-';
  });
}

PlainField MakeField(const FieldDescriptor& field) {
  const bool is_packed = field.is_packed();
  const pb::OneofDescriptor* const oneof = field.containing_oneof();
  return {&field,
          field.type(),
          IsTaken(field),
          field.is_repeated(),
          is_packed,
          field.has_presence(),
          WireTypeOf(field),
          static_cast<std::uint32_t>(field.number()) << 3 |
              static_cast<std::uint32_t>(is_packed ? WireType::kBytes
                                                   : WireTypeOf(field)),
          static_cast<std::size_t>(oneof == nullptr ? field.index()
                                                    : oneof->field(0)->index()),
          absl::StrCat("\"", field.json_name(), "\":"),
          absl::StrCat("\"", field.name(), "\":")};
}

}  // namespace

PlainType::PlainType(const pb::Descriptor& descriptor)
    : descriptor_(descriptor),
      taken_(!IsWellKnown(descriptor) &&
             !descriptor.options().message_set_wire_format()) {
  fields_.reserve(static_cast<std::size_t>(descriptor.field_count()));
  for (int i = 0; i < descriptor.field_count(); ++i) {
    fields_.push_back(MakeField(*descriptor.field(i)));
  }
  std::sort(fields_.begin(), fields_.end(),
            [](const PlainField& a, const PlainField& b) {
              return a.descriptor->number() < b.descriptor->number();
            });
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const FieldDescriptor& field = *fields_[i].descriptor;
    for (const absl::string_view name : {absl::string_view(field.json_name()),
                                         absl::string_view(field.name())}) {
      const auto found = by_name_.emplace(name, i).first;
      taken_ = taken_ && found->second == i && IsPlainName(name);
    }
    taken_ = taken_ && !field.is_required();
  }
}

const PlainType* PlainTypes::Find(absl::string_view full_name) {
  if (const auto found = by_name_.find(full_name); found != by_name_.end()) {
    return found->second;
  }
  const pb::Descriptor* const descriptor =
      pool_->FindMessageTypeByName(std::string(full_name));
  if (descriptor == nullptr) return nullptr;
  const PlainType* const type = &Of(*descriptor);
  by_name_.emplace(full_name, type);
  return type;
}

const PlainType& PlainTypes::Of(const pb::Descriptor& descriptor) {
  std::unique_ptr<const PlainType>& type = types_[&descriptor];
  if (type == nullptr) type = std::make_unique<PlainType>(descriptor);
  return *type;
}

}  // namespace headgate
