#include "gateway/schema/json_type.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gateway/schema/editions.h"
#include "gateway/schema/json_string.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {
namespace {

namespace pb = ::google::protobuf;
using ::google::protobuf::FieldDescriptor;

JsonForm FormOf(const pb::Descriptor& type) {
  if (type.file()->package() != "google.protobuf") return JsonForm::kObject;
  static const auto& forms =
      *new absl::flat_hash_map<absl::string_view, JsonForm>{
          {"Any", JsonForm::kAny},
          {"Timestamp", JsonForm::kTimestamp},
          {"Duration", JsonForm::kDuration},
          {"FieldMask", JsonForm::kFieldMask},
          {"Struct", JsonForm::kStruct},
          {"ListValue", JsonForm::kListValue},
          {"Value", JsonForm::kValue},
          {"BoolValue", JsonForm::kWrapper},
          {"BytesValue", JsonForm::kWrapper},
          {"DoubleValue", JsonForm::kWrapper},
          {"FloatValue", JsonForm::kWrapper},
          {"Int32Value", JsonForm::kWrapper},
          {"Int64Value", JsonForm::kWrapper},
          {"StringValue", JsonForm::kWrapper},
          {"UInt32Value", JsonForm::kWrapper},
          {"UInt64Value", JsonForm::kWrapper}};
  const auto found = forms.find(absl::string_view(type.name()));
  return found == forms.end() ? JsonForm::kObject : found->second;
}

WireType WireTypeOf(const FieldDescriptor& field) {
  switch (field.type()) {
    case FieldDescriptor::TYPE_DOUBLE:
    case FieldDescriptor::TYPE_FIXED64:
    case FieldDescriptor::TYPE_SFIXED64:
      return WireType::kFixed64;
    case FieldDescriptor::TYPE_FLOAT:
    case FieldDescriptor::TYPE_FIXED32:
    case FieldDescriptor::TYPE_SFIXED32:
      return WireType::kFixed32;
    case FieldDescriptor::TYPE_STRING:
    case FieldDescriptor::TYPE_BYTES:
    case FieldDescriptor::TYPE_MESSAGE:
      return WireType::kBytes;
    case FieldDescriptor::TYPE_GROUP:
      return WireType::kStartGroup;
    default:
      return WireType::kVarint;
  }
}

bool TakesNull(const FieldDescriptor& field) {
  if (field.type() == FieldDescriptor::TYPE_ENUM) {
    return field.enum_type()->full_name() == "google.protobuf.NullValue";
  }
  return field.type() == FieldDescriptor::TYPE_MESSAGE &&
         FormOf(*field.message_type()) == JsonForm::kValue;
}

// The name in lower camel case, as protobufjs has it: of an underscore and a
// lower-case letter an upper-case one.
std::string CamelOf(absl::string_view name) {
  std::string camel;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool raise = i > 0 && name[i] == '_' && i + 1 < name.size() &&
                       absl::ascii_islower(name[i + 1]);
    camel.push_back(raise ? absl::ascii_toupper(name[++i]) : name[i]);
  }
  return camel;
}

// The name that is `camel` in lower camel case.
std::string SnakeOf(absl::string_view camel) {
  std::string name;
  for (const char c : camel) {
    if (absl::ascii_isupper(c)) name.push_back('_');
    name.push_back(absl::ascii_tolower(c));
  }
  return name;
}

std::string KeyOf(absl::string_view name) {
  std::string key = ",";
  AppendJsonString(name, key);
  key.push_back(':');
  return key;
}

// `bit`: see JsonField; of its message.
JsonField MakeField(const FieldDescriptor& field, std::size_t bit,
                    std::size_t oneof_bit) {
  const bool is_packed = field.is_packed();
  const std::string in_brackets = absl::StrCat("[", field.full_name(), "]");
  return {
      &field,
      field.type(),
      field.number(),
      field.is_repeated(),
      field.is_map(),
      is_packed,
      HasPresence(field),
      field.is_required(),
      TakesNull(field),
      field.type() == FieldDescriptor::TYPE_ENUM &&
          IsClosed(*field.enum_type()),
      WireTypeOf(field),
      static_cast<std::uint32_t>(field.number()) << 3 |
          static_cast<std::uint32_t>(is_packed ? WireType::kBytes
                                               : WireTypeOf(field)),
      bit,
      oneof_bit,
      KeyOf(field.is_extension() ? in_brackets
                                 : std::string(field.json_name())),
      KeyOf(field.is_extension() ? in_brackets : std::string(field.name()))};
}

}  // namespace

const FieldDescriptor* FindFieldByProtoName(const pb::Descriptor& type,
                                            absl::string_view name) {
  const FieldDescriptor* const field = type.FindFieldByName(std::string(name));
  return field != nullptr || name.find('_') == absl::string_view::npos
             ? field
             : type.FindFieldByName(CamelOf(name));
}

JsonType::JsonType(const pb::Descriptor& descriptor)
    : descriptor_(descriptor),
      form_(FormOf(descriptor)),
      has_oneofs_(descriptor.real_oneof_decl_count() > 0),
      has_extensions_(descriptor.extension_range_count() > 0 &&
                      !descriptor.options().message_set_wire_format()) {
  const auto field_count = static_cast<std::size_t>(descriptor.field_count());
  fields_.reserve(field_count);
  bits_ = field_count +
          static_cast<std::size_t>(descriptor.real_oneof_decl_count());
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    const pb::OneofDescriptor* const oneof = field.real_containing_oneof();
    const auto bit = static_cast<std::size_t>(i);
    fields_.push_back(MakeField(
        field, bit,
        oneof == nullptr
            ? bit
            : field_count + static_cast<std::size_t>(oneof->index())));
    has_required_ = has_required_ || field.is_required();
  }
  std::sort(fields_.begin(), fields_.end(),
            [](const JsonField& a, const JsonField& b) {
              return a.number < b.number;
            });
  // Of several fields with one JSON name (protoc refuses that, a server's
  // reflection need not) the one with the lowest number has it.
  std::vector<std::size_t> nameless;
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    if (!by_name_.emplace(fields_[i].descriptor->json_name(), i).second) {
      nameless.push_back(i);
    }
  }
  // The others have their name in the .proto file, unless that is another
  // field's JSON name; then also their number.
  for (const std::size_t i : nameless) {
    std::string name(fields_[i].descriptor->name());
    while (!by_name_.emplace(name, i).second) {
      absl::StrAppend(&name, "_", fields_[i].number);
    }
    fields_[i].json_key = KeyOf(name);
  }
  // A JSON name that is also another field's name in the .proto file is the
  // JSON name.
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    by_name_.emplace(fields_[i].descriptor->name(), i);
  }
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const absl::string_view name = fields_[i].descriptor->name();
    std::string snake = SnakeOf(name);
    if (snake != name && CamelOf(snake) == name) {
      by_name_.emplace(std::move(snake), i);
    }
  }
}

const JsonField* JsonType::FindByNumber(int number) const {
  const auto found = std::lower_bound(
      fields_.begin(), fields_.end(), number,
      [](const JsonField& field, int value) { return field.number < value; });
  return found == fields_.end() || found->number != number ? nullptr : &*found;
}

const JsonType* JsonTypes::Lookup(absl::string_view full_name) {
  const auto found = by_name_.find(full_name);
  const JsonType* type = found == by_name_.end() ? nullptr : found->second;
  if (type == nullptr) {
    const pb::Descriptor* const descriptor =
        pool_->FindMessageTypeByName(std::string(full_name));
    if (descriptor == nullptr) return nullptr;
    type = &Of(*descriptor);
    by_name_.emplace(full_name, type);
  }
  std::swap(last_[0], last_[1]);
  last_[0].name.assign(full_name.data(), full_name.size());
  last_[0].type = type;
  return type;
}

const JsonType* JsonTypes::FindLearned(absl::string_view full_name,
                                       bool& is_awaited) {
  constexpr std::size_t kMaxNameBytes = 256;
  const bool is_name =
      !full_name.empty() && full_name.size() <= kMaxNameBytes &&
      std::all_of(full_name.begin(), full_name.end(), [](char c) {
        return absl::ascii_isalnum(c) || c == '_' || c == '.';
      });
  if (learned_ == nullptr || !is_name) return nullptr;
  const std::string name(full_name);
  const pb::Descriptor* const descriptor = learned_->Find(name);
  if (descriptor == nullptr) {
    if (on_unknown_) is_awaited = on_unknown_(name);
    return nullptr;
  }
  const JsonType* const type = &Of(*descriptor);
  by_name_.emplace(name, type);
  return type;
}

const JsonType& JsonTypes::Of(const pb::Descriptor& descriptor) {
  std::unique_ptr<const JsonType>& type = types_[&descriptor];
  if (type == nullptr) type = std::make_unique<JsonType>(descriptor);
  return *type;
}

const JsonField* JsonTypes::FindExtension(const JsonType& type,
                                          absl::string_view full_name) {
  const FieldDescriptor* const field =
      pool_->FindExtensionByName(std::string(full_name));
  if (field == nullptr || field->containing_type() != &type.descriptor()) {
    return nullptr;
  }
  return Extension(field);
}

const JsonField* JsonTypes::FindExtension(const JsonType& type, int number) {
  if (!type.descriptor().IsExtensionNumber(number)) return nullptr;
  const FieldDescriptor* const field =
      pool_->FindExtensionByNumber(&type.descriptor(), number);
  return field == nullptr ? nullptr : Extension(field);
}

const JsonField* JsonTypes::Extension(const FieldDescriptor* descriptor) {
  std::unique_ptr<const JsonField>& field = extensions_[descriptor];
  if (field == nullptr) {
    field = std::make_unique<JsonField>(MakeField(*descriptor, 0, 0));
  }
  return field.get();
}

}  // namespace headgate
