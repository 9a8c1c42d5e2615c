// What a request's path and query contribute to its message: text for fields.

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gateway/base/status.h"
#include "gateway/base/utf8.h"
#include "gateway/schema/json_conversion.h"
#include "gateway/schema/json_string.h"
#include "gateway/schema/schema.h"
#include "google/protobuf/dynamic_message.h"

namespace headgate {
namespace {

namespace pb = google::protobuf;
using pb::FieldDescriptor;

// How many names a parameter may join.
constexpr std::size_t kMaxNames = 32;

absl::Status MustBe(absl::string_view what, absl::string_view value) {
  const bool cut = value.size() > kMaxShownBytes;
  return absl::InvalidArgumentError(absl::StrCat(
      "must be ", what, ", is \"", ToUtf8(value.substr(0, kMaxShownBytes)),
      cut ? "...\"" : "\""));
}

template <typename Number>
absl::StatusOr<Number> ParseNumber(absl::string_view name,
                                   absl::string_view value) {
  Number number;
  if (!absl::SimpleAtoi(value, &number)) return MustBe(name, value);
  return number;
}

absl::StatusOr<double> ParseDouble(absl::string_view value) {
  double number;
  if (!absl::SimpleAtod(value, &number) ||
      (std::isinf(number) &&
       !absl::StrContains(absl::AsciiStrToLower(value), "inf"))) {
    return MustBe("a number", value);
  }
  return number;
}

absl::StatusOr<float> ParseFloat(absl::string_view value) {
  const absl::StatusOr<double> number = ParseDouble(value);
  if (!number.ok()) return number.status();
  if (std::isfinite(*number) &&
      std::abs(*number) > std::numeric_limits<float>::max()) {
    return MustBe("a float", value);
  }
  return static_cast<float>(*number);
}

absl::StatusOr<bool> ParseBool(absl::string_view value) {
  if (value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  return MustBe("true or false", value);
}

absl::StatusOr<int> ParseEnum(const pb::EnumDescriptor& type,
                              absl::string_view value) {
  const auto* const by_name = type.FindValueByName(std::string(value));
  if (by_name != nullptr) return by_name->number();
  int number;
  if (absl::SimpleAtoi(value, &number)) return number;
  return MustBe(absl::StrCat("a value of ", std::string(type.full_name())),
                value);
}

absl::StatusOr<std::string> ParseBytes(absl::string_view value) {
  std::string bytes;
  if (absl::Base64Unescape(value, &bytes) ||
      absl::WebSafeBase64Unescape(value, &bytes)) {
    return bytes;
  }
  return MustBe("base64", value);
}

// Sets `field` of `message`, or adds to it when it is repeated.
absl::Status SetScalar(pb::Message& message, const FieldDescriptor& field,
                       const std::string& value) {
  const pb::Reflection& reflection = *message.GetReflection();
  const auto put = [&](auto parsed, auto set, auto add) -> absl::Status {
    if (!parsed.ok()) return parsed.status();
    const auto method = field.is_repeated() ? add : set;
    (reflection.*method)(&message, &field, *std::move(parsed));
    return absl::OkStatus();
  };
  using R = pb::Reflection;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return put(ParseNumber<std::int32_t>("an int32", value), &R::SetInt32,
                 &R::AddInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return put(ParseNumber<std::int64_t>("an int64", value), &R::SetInt64,
                 &R::AddInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return put(ParseNumber<std::uint32_t>("a uint32", value), &R::SetUInt32,
                 &R::AddUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return put(ParseNumber<std::uint64_t>("a uint64", value), &R::SetUInt64,
                 &R::AddUInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return put(ParseDouble(value), &R::SetDouble, &R::AddDouble);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return put(ParseFloat(value), &R::SetFloat, &R::AddFloat);
    case FieldDescriptor::CPPTYPE_BOOL:
      return put(ParseBool(value), &R::SetBool, &R::AddBool);
    case FieldDescriptor::CPPTYPE_ENUM:
      return put(ParseEnum(*field.enum_type(), value), &R::SetEnumValue,
                 &R::AddEnumValue);
    case FieldDescriptor::CPPTYPE_STRING: {
      absl::StatusOr<std::string> text = value;
      if (field.type() == FieldDescriptor::TYPE_BYTES) {
        text = ParseBytes(value);
      } else if (!IsUtf8(value)) {
        return absl::InvalidArgumentError("must be UTF-8");
      }
      if (!text.ok()) return text.status();
      if (field.is_repeated()) {
        reflection.AddString(&message, &field, *std::move(text));
      } else {
        reflection.SetString(&message, &field, *std::move(text));
      }
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return absl::InvalidArgumentError("cannot be set by text");
}

bool IsWrapper(absl::string_view type) {
  static const auto& types = *new absl::flat_hash_set<std::string>{
      "google.protobuf.BoolValue",   "google.protobuf.BytesValue",
      "google.protobuf.DoubleValue", "google.protobuf.FloatValue",
      "google.protobuf.Int32Value",  "google.protobuf.Int64Value",
      "google.protobuf.StringValue", "google.protobuf.UInt32Value",
      "google.protobuf.UInt64Value"};
  return types.contains(type);
}

// Messages whose JSON form is a string.
bool IsTextual(absl::string_view type) {
  return type == "google.protobuf.Timestamp" ||
         type == "google.protobuf.Duration" ||
         type == "google.protobuf.FieldMask";
}

const FieldDescriptor* FindField(const pb::Descriptor& type,
                                 const std::string& name) {
  const FieldDescriptor* field = type.FindFieldByName(name);
  for (int i = 0; field == nullptr && i < type.field_count(); ++i) {
    if (type.field(i)->json_name() == name) field = type.field(i);
  }
  return field;
}

// A parameter's field: the way to it, and for a map its key.
struct Target {
  std::vector<const FieldDescriptor*> way;  // Never empty.
  std::string key;
  std::string canonical;  // "book.author.full_name", "copies[main]".
};

// NOT_FOUND: there is no such field. INVALID_ARGUMENT: there is, and it cannot
// be named so.
absl::StatusOr<Target> Resolve(const pb::Descriptor& type,
                               absl::string_view path) {
  Target target;
  // A map's key may have dots in it.
  const std::size_t bracket = path.find('[');
  bool has_key = false;
  if (bracket != absl::string_view::npos && absl::EndsWith(path, "]")) {
    has_key = true;
    target.key =
        std::string(path.substr(bracket + 1, path.size() - bracket - 2));
    path = path.substr(0, bracket);
  }
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  if (names.size() > kMaxNames) {
    return absl::InvalidArgumentError(
        absl::StrCat("joins more than ", kMaxNames, " names"));
  }
  const pb::Descriptor* message = &type;
  for (const std::string& name : names) {
    const FieldDescriptor* const field =
        message == nullptr ? nullptr : FindField(*message, name);
    if (field == nullptr) {
      return absl::NotFoundError(
          absl::StrCat(std::string(type.full_name()), " has no such field"));
    }
    target.way.push_back(field);
    absl::StrAppend(&target.canonical, target.canonical.empty() ? "" : ".",
                    std::string(field->name()));
    message = field->is_repeated() ? nullptr : field->message_type();
  }
  const FieldDescriptor& field = *target.way.back();
  if (field.is_map() != has_key) {
    return absl::InvalidArgumentError(
        field.is_map()
            ? absl::StrCat("is a map: set its values by ", path, "[KEY]")
            : std::string("is not a map"));
  }
  if (has_key) absl::StrAppend(&target.canonical, "[", target.key, "]");
  return target;
}

// Whether one of the two is the other, or leads to it.
bool Overlap(absl::string_view a, absl::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  return absl::StartsWith(b, a) &&
         (b.size() == a.size() || b[a.size()] == '.' || b[a.size()] == '[');
}

// The message that the parameters make.
class Builder {
 public:
  Builder(const Schema& schema, pb::Message& message)
      : schema_(schema), message_(message) {}

  absl::Status Set(const Target& target, const std::string& value) {
    pb::Message* message = &message_;
    for (std::size_t i = 0; i + 1 < target.way.size(); ++i) {
      const FieldDescriptor& field = *target.way[i];
      if (absl::Status free = CheckOneof(*message, field); !free.ok()) {
        return free;
      }
      message = message->GetReflection()->MutableMessage(message, &field);
    }
    const FieldDescriptor& field = *target.way.back();
    if (!set_.insert(target.canonical).second &&
        (!field.is_repeated() || field.is_map())) {
      return absl::InvalidArgumentError("is there twice");
    }
    if (absl::Status free = CheckOneof(*message, field); !free.ok()) {
      return free;
    }
    if (field.is_map()) return SetEntry(*message, field, target.key, value);
    if (field.message_type() != nullptr) {
      return SetMessage(*message, field, value);
    }
    return SetScalar(*message, field, value);
  }

 private:
  static absl::Status CheckOneof(const pb::Message& message,
                                 const FieldDescriptor& field) {
    const pb::OneofDescriptor* const oneof = field.real_containing_oneof();
    if (oneof == nullptr) return absl::OkStatus();
    const FieldDescriptor* const other =
        message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
    if (other == nullptr || other == &field) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(field.name()), " and ",
                     std::string(other->name()), " exclude each other"));
  }

  absl::Status SetEntry(pb::Message& message, const FieldDescriptor& field,
                        const std::string& key, const std::string& value) {
    const pb::Descriptor& type = *field.message_type();
    const FieldDescriptor& of_value = *type.FindFieldByNumber(2);
    pb::Message& entry = *message.GetReflection()->AddMessage(&message, &field);
    absl::Status status = SetScalar(entry, *type.FindFieldByNumber(1), key);
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the key ", status.message()));
    }
    if (of_value.message_type() != nullptr) {
      return SetMessage(entry, of_value, value);
    }
    return SetScalar(entry, of_value, value);
  }

  absl::Status SetMessage(pb::Message& message, const FieldDescriptor& field,
                          const std::string& value) {
    const std::string type(field.message_type()->full_name());
    const pb::Reflection& reflection = *message.GetReflection();
    const auto target = [&]() -> pb::Message& {
      return field.is_repeated() ? *reflection.AddMessage(&message, &field)
                                 : *reflection.MutableMessage(&message, &field);
    };
    if (IsWrapper(type)) {
      return SetScalar(target(), *field.message_type()->FindFieldByNumber(1),
                       value);
    }
    if (!IsTextual(type)) {
      return absl::InvalidArgumentError(
          absl::StrCat("is a ", type,
                       ", which text cannot be: set its fields, "
                       "one parameter each"));
    }
    std::string json;
    if (!AppendJsonString(value, json)) {
      return absl::InvalidArgumentError("must be UTF-8");
    }
    JsonError ignored;
    const absl::StatusOr<std::string> bytes =
        schema_.JsonToProto(type, json, JsonOptions(), ignored);
    if (!bytes.ok() || !target().ParseFromString(*bytes)) {
      return MustBe(absl::StrCat("a ", type), value);
    }
    return absl::OkStatus();
  }

  const Schema& schema_;
  pb::Message& message_;
  absl::flat_hash_set<std::string> set_;
};

absl::Status Named(absl::string_view kind, absl::string_view name,
                   const absl::Status& status) {
  return absl::InvalidArgumentError(
      absl::StrCat(kind, " \"", ToUtf8(name.substr(0, kMaxShownBytes)),
                   "\": ", status.message()));
}

}  // namespace

absl::StatusOr<std::string> Schema::BindParameters(
    absl::string_view type, const RequestBinding& binding,
    const JsonOptions& options) const {
  const pb::Descriptor* const descriptor =
      pool_->FindMessageTypeByName(std::string(type));
  if (descriptor == nullptr) {
    return absl::InternalError(absl::StrCat("unknown message type ", type));
  }
  if (binding.variables.empty() && binding.query.empty()) return std::string();
  const std::unique_ptr<pb::Message> message(
      factory_->GetPrototype(descriptor)->New());
  Builder builder(*this, *message);
  std::vector<std::string> bound;
  if (!binding.body.empty() && binding.body != "*") {
    bound.push_back(binding.body);
  }
  for (const Parameter& variable : binding.variables) {
    const absl::StatusOr<Target> target = Resolve(*descriptor, variable.field);
    absl::Status status = target.status();
    if (status.ok()) status = builder.Set(*target, variable.value);
    if (!status.ok()) return Named("path variable", variable.field, status);
    bound.push_back(target->canonical);
  }
  const bool lenient =
      options.unknown_fields == JsonOptions::UnknownFields::kIgnore;
  for (const Parameter& parameter : binding.query) {
    const absl::StatusOr<Target> target = Resolve(*descriptor, parameter.field);
    absl::Status status = target.status();
    if (absl::IsNotFound(status)) {
      if (lenient) continue;
      return Named("query parameter", parameter.field, status);
    }
    if (status.ok()) {
      bool taken = binding.body == "*";
      for (const std::string& other : bound) {
        taken = taken || Overlap(other, target->canonical);
      }
      if (taken && lenient) continue;
      status = taken ? absl::InvalidArgumentError(
                           "is set by the path or the body of the request")
                     : builder.Set(*target, parameter.value);
    }
    if (!status.ok()) return Named("query parameter", parameter.field, status);
  }
  return message->SerializePartialAsString();
}

absl::StatusOr<std::string> Schema::FieldFromJson(absl::string_view type,
                                                  absl::string_view field,
                                                  absl::string_view json,
                                                  const JsonOptions& options,
                                                  JsonError& error) const {
  const JsonField* const found = JsonFieldOf(type, field);
  if (found == nullptr) {
    error = {"", absl::StrCat(type, " has no field ", field), 0};
    return absl::InvalidArgumentError(error.message);
  }
  std::string message;
  if (JsonToProtoField(*json_types_, *found, json, options, message, error)) {
    return message;
  }
  return Annotate(absl::InvalidArgumentError(error.message),
                  error.field.empty() ? "invalid JSON" : error.field);
}

const JsonField* Schema::JsonFieldOf(absl::string_view type,
                                     absl::string_view field) const {
  const JsonType* const of_type = json_types_->Find(type);
  const JsonField* const found =
      of_type == nullptr ? nullptr : of_type->FindByName(field);
  return found != nullptr && found->descriptor->name() == field ? found
                                                                : nullptr;
}

std::string Schema::FieldFromProto(absl::string_view type,
                                   absl::string_view field,
                                   absl::string_view message) const {
  const pb::Descriptor& descriptor =
      *pool_->FindMessageTypeByName(std::string(type));
  const std::unique_ptr<pb::Message> whole(
      factory_->GetPrototype(&descriptor)->New());
  const FieldDescriptor* const of_field =
      descriptor.FindFieldByName(std::string(field));
  whole->GetReflection()
      ->MutableMessage(whole.get(), of_field)
      ->ParsePartialFromArray(message.data(), static_cast<int>(message.size()));
  return whole->SerializePartialAsString();
}

absl::StatusOr<std::string> Schema::FieldToProto(
    absl::string_view type, absl::string_view field,
    absl::string_view message) const {
  const pb::Descriptor& descriptor =
      *pool_->FindMessageTypeByName(std::string(type));
  const std::unique_ptr<pb::Message> whole(
      factory_->GetPrototype(&descriptor)->New());
  if (message.size() > std::numeric_limits<int>::max() ||
      !whole->ParsePartialFromArray(message.data(),
                                    static_cast<int>(message.size()))) {
    return absl::InternalError(absl::StrCat("not a ", type));
  }
  return whole->GetReflection()
      ->GetMessage(*whole, descriptor.FindFieldByName(std::string(field)))
      .SerializePartialAsString();
}

absl::StatusOr<std::string> Schema::FieldToJson(
    absl::string_view type, absl::string_view field, absl::string_view message,
    const JsonOptions& options) const {
  const JsonField* const found = JsonFieldOf(type, field);
  if (found == nullptr) {
    return absl::InternalError(absl::StrCat(type, " has no field ", field));
  }
  std::string json;
  absl::Status status = ProtoFieldToJson(*json_types_, *json_types_->Find(type),
                                         *found, message, options, json);
  if (!status.ok()) return status;
  return json;
}

}  // namespace headgate
