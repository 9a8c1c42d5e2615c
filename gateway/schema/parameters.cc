// What a request's path and query contribute to its message: text for fields.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gateway/base/status.h"
#include "gateway/base/utf8.h"
#include "gateway/base/varint.h"
#include "gateway/schema/json_conversion.h"
#include "gateway/schema/json_string.h"
#include "gateway/schema/message_merge.h"
#include "gateway/schema/schema.h"
#include "google/protobuf/dynamic_message.h"

namespace headgate {
namespace {

namespace pb = google::protobuf;
using pb::FieldDescriptor;

// How many names a parameter may join.
constexpr std::size_t kMaxNames = 32;

// The field of that name in the .proto file or, if there is none, in JSON.
const JsonField* FindField(const JsonType& type, const std::string& name) {
  const FieldDescriptor* const by_name =
      FindFieldByProtoName(type.descriptor(), name);
  return by_name == nullptr ? type.FindByName(name)
                            : type.FindByNumber(by_name->number(), 0);
}

// A parameter's field: the way to it, and for a map its key.
struct Target {
  std::vector<const JsonField*> way;  // Never empty.
  std::string key;
  std::string canonical;  // "book.author.full_name", "copies[main]".
};

// NOT_FOUND: there is no such field. INVALID_ARGUMENT: there is, and it cannot
// be named so.
absl::StatusOr<Target> Resolve(JsonTypes& types, const JsonType& type,
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
  const JsonType* message = &type;
  for (const std::string& name : names) {
    const JsonField* const field =
        message == nullptr ? nullptr : FindField(*message, name);
    if (field == nullptr) {
      return absl::NotFoundError(absl::StrCat(
          std::string(type.descriptor().full_name()), " has no such field"));
    }
    target.way.push_back(field);
    absl::StrAppend(&target.canonical, target.canonical.empty() ? "" : ".",
                    std::string(field->descriptor->name()));
    const bool has_fields =
        !field->is_repeated && field->descriptor->message_type() != nullptr;
    message = has_fields ? &types.MessageOf(*field) : nullptr;
  }
  const JsonField& field = *target.way.back();
  if (field.is_map != has_key) {
    return absl::InvalidArgumentError(
        field.is_map
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

// Appends what `text`, the JSON of a value without its quotes, is in JSON.
absl::Status AppendJson(JsonTypes& types, const JsonField& field,
                        const std::string& text, std::string& json) {
  const auto quoted = [&]() -> absl::Status {
    if (AppendJsonString(text, json)) return absl::OkStatus();
    return absl::InvalidArgumentError("must be UTF-8");
  };
  const pb::Descriptor* const message = field.descriptor->message_type();
  if (message == nullptr) {
    const bool is_bool = field.type == FieldDescriptor::TYPE_BOOL;
    if (is_bool && (text == "true" || text == "1")) {
      json += "true";
    } else if (is_bool && (text == "false" || text == "0")) {
      json += "false";
    } else if (field.takes_null && text == "null") {
      json += "null";
    } else {
      return quoted();
    }
    return absl::OkStatus();
  }
  const JsonType& type = types.MessageOf(field);
  switch (type.form()) {
    case JsonForm::kWrapper:
      return AppendJson(types, type.fields()[0], text, json);
    case JsonForm::kTimestamp:
    case JsonForm::kDuration:
    case JsonForm::kFieldMask:
      return quoted();
    case JsonForm::kStruct:
    case JsonForm::kListValue:
    case JsonForm::kValue:
      json += text;
      return absl::OkStatus();
    case JsonForm::kObject:
    case JsonForm::kAny:
      break;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("is a ", std::string(message->full_name()),
                   ", which text cannot be: set its fields, "
                   "one parameter each"));
}

// The message that the parameters make.
class Builder {
 public:
  explicit Builder(JsonTypes& types) : types_(types) {}

  // `values`: as many as the parameter has for a repeated field; else one.
  absl::Status Set(const Target& target, const std::vector<std::string>& values,
                   const JsonOptions& options) {
    const JsonField& field = *target.way.back();
    if (!set_.insert(target.canonical).second &&
        (!field.is_repeated || field.is_map)) {
      return absl::InvalidArgumentError("is there twice");
    }
    if (absl::Status free = CheckOneofs(target); !free.ok()) return free;
    std::string json;
    if (absl::Status made = AppendField(target, values, json); !made.ok()) {
      return made;
    }
    std::string bytes;
    JsonError error;
    if (!JsonToProtoField(types_, field, json, options, bytes, error)) {
      return WithMessageForLog(
          absl::InvalidArgumentError(
              FaultOf(field, error, error.field, error.message)),
          FaultOf(field, error, error.field_for_log, error.message_for_log));
    }
    Node* node = &root_;
    for (std::size_t i = 0; i + 1 < target.way.size(); ++i) {
      std::unique_ptr<Node>& child = node->children[target.way[i]->number];
      if (child == nullptr) {
        child = std::make_unique<Node>();
        child->field = target.way[i];
      }
      node = child.get();
    }
    node->bytes += bytes;
    return absl::OkStatus();
  }

  std::string TakeMessage() { return BytesOf(std::move(root_)); }

 private:
  // A message on the way to a parameter's field. Each is serialized once, as
  // not every parser merges the pieces of a message (message_merge.h).
  struct Node {
    const JsonField* field = nullptr;  // That it is; of the root null.
    std::string bytes;                 // Of the fields that are parameters.
    std::map<int, std::unique_ptr<Node>> children;
  };

  static std::string BytesOf(Node node) {
    std::string bytes = std::move(node.bytes);
    for (auto& [number, child] : node.children) {
      const JsonField& field = *child->field;
      std::string of_child = BytesOf(std::move(*child));
      Wrap(field, of_child);
      bytes += of_child;
    }
    return bytes;
  }

  absl::Status AppendField(const Target& target,
                           const std::vector<std::string>& values,
                           std::string& json) {
    const JsonField& field = *target.way.back();
    if (field.is_map) {
      json.push_back('{');
      if (!AppendJsonString(target.key, json)) {
        return absl::InvalidArgumentError("the key must be UTF-8");
      }
      json.push_back(':');
      absl::Status status = AppendJson(
          types_, types_.MessageOf(field).fields()[1], values[0], json);
      json.push_back('}');
      return status;
    }
    if (!field.is_repeated) return AppendJson(types_, field, values[0], json);
    json.push_back('[');
    for (const std::string& value : values) {
      if (json.size() > 1) json.push_back(',');
      absl::Status status = AppendJson(types_, field, value, json);
      if (!status.ok()) return status;
    }
    json.push_back(']');
    return absl::OkStatus();
  }

  // What is wrong with the value, without the field's own name.
  static std::string FaultOf(const JsonField& field, const JsonError& error,
                             absl::string_view within,
                             absl::string_view message) {
    if (field.is_map && error.offset == 1) {
      return absl::StrCat("the key ", message);
    }
    if (field.is_repeated) {  // "[0]" or "[\"key\"]"; the value is behind it.
      within.remove_prefix(std::min(within.find(']') + 1, within.size()));
      within.remove_prefix(absl::StartsWith(within, ".") ? 1 : 0);
    }
    return absl::StrCat(within, within.empty() ? "" : ": ", message);
  }

  // Of each oneof on the way, no other member may be set.
  absl::Status CheckOneofs(const Target& target) {
    std::string way;
    for (const JsonField* const field : target.way) {
      const pb::OneofDescriptor* const oneof =
          field->descriptor->real_containing_oneof();
      if (oneof != nullptr) {
        const auto [chosen, is_new] = chosen_.emplace(
            absl::StrCat(way, std::string(oneof->name())), field);
        if (chosen->second != field) {
          return absl::InvalidArgumentError(
              absl::StrCat(std::string(field->descriptor->name()), " and ",
                           std::string(chosen->second->descriptor->name()),
                           " exclude each other"));
        }
      }
      absl::StrAppend(&way, std::string(field->descriptor->name()), ".");
    }
    return absl::OkStatus();
  }

  // Makes of the bytes of a message those of one that has it as `field`.
  static void Wrap(const JsonField& field, std::string& bytes) {
    std::string wrapped;
    AppendVarint(field.tag, wrapped);
    if (field.type == FieldDescriptor::TYPE_GROUP) {
      wrapped += bytes;
      AppendVarint(static_cast<std::uint32_t>(field.number) << 3 |
                       static_cast<std::uint32_t>(WireType::kEndGroup),
                   wrapped);
    } else {
      AppendVarint(bytes.size(), wrapped);
      wrapped += bytes;
    }
    bytes = std::move(wrapped);
  }

  JsonTypes& types_;
  Node root_;
  absl::flat_hash_set<std::string> set_;  // Canonical names.
  // By the oneof, with the way to it.
  absl::flat_hash_map<std::string, const JsonField*> chosen_;
};

// What is wrong with a parameter. `target`: what it was found to be, which is
// all that a log may show of its name.
absl::Status Named(absl::string_view kind, absl::string_view name,
                   const absl::StatusOr<Target>& target,
                   const absl::Status& status) {
  const auto text = [kind](absl::string_view shown, absl::string_view message) {
    return absl::StrCat(kind, " \"", shown, "\": ", message);
  };
  const absl::string_view known =
      target.ok() ? absl::string_view(target->canonical)
                        .substr(0, target->canonical.find('['))
                  : "...";
  return WithMessageForLog(
      absl::InvalidArgumentError(
          text(ToUtf8(name.substr(0, kMaxShownBytes)), status.message())),
      text(known, MessageForLog(status)));
}

}  // namespace

absl::StatusOr<std::string> Schema::BindParameters(
    absl::string_view type, const RequestBinding& binding,
    const JsonOptions& options) const {
  const JsonType* const of_type = json_types_->Find(type);
  if (of_type == nullptr) {
    return absl::InternalError(absl::StrCat("unknown message type ", type));
  }
  Builder builder(*json_types_);
  std::vector<std::string> bound;
  if (!binding.body.empty() && binding.body != "*") {
    bound.push_back(binding.body);
  }
  for (const Parameter& variable : binding.variables) {
    const absl::StatusOr<Target> target =
        Resolve(*json_types_, *of_type, variable.field);
    absl::Status status = target.status();
    if (status.ok()) {
      // As grpc-gateway does: "/v1/things/1,2" for a repeated field.
      std::vector<std::string> values = {variable.value};
      if (target->way.back()->is_repeated && target->key.empty()) {
        values = absl::StrSplit(variable.value, ',');
      }
      status = builder.Set(*target, values, JsonOptions());
    }
    if (!status.ok())
      return Named("path variable", variable.field, target, status);
    bound.push_back(target->canonical);
  }
  const bool lenient =
      options.unknown_fields == JsonOptions::UnknownFields::kIgnore;
  for (const Parameter& parameter : binding.query) {
    const absl::StatusOr<Target> target =
        Resolve(*json_types_, *of_type, parameter.field);
    absl::Status status = target.status();
    if (absl::IsNotFound(status)) {
      if (lenient) continue;
      return Named("query parameter", parameter.field, target, status);
    }
    if (status.ok()) {
      bool taken = binding.body == "*";
      for (const std::string& other : bound) {
        taken = taken || Overlap(other, target->canonical);
      }
      if (taken && lenient) continue;
      status = taken ? absl::InvalidArgumentError(
                           "is set by the path or the body of the request")
                     : builder.Set(*target, {parameter.value}, options);
    }
    if (!status.ok())
      return Named("query parameter", parameter.field, target, status);
  }
  return builder.TakeMessage();
}

std::string Schema::MergeParameters(absl::string_view type, std::string message,
                                    absl::string_view parameters) const {
  const JsonType* const of_type = json_types_->Find(type);
  if (of_type == nullptr || parameters.empty()) return message;
  return MergeMessages(*json_types_, *of_type, std::move(message), parameters);
}

absl::StatusOr<std::string> Schema::FieldFromJson(absl::string_view type,
                                                  absl::string_view field,
                                                  absl::string_view json,
                                                  const JsonOptions& options,
                                                  JsonError& error) const {
  const JsonField* const found = JsonFieldOf(type, field);
  if (found == nullptr) {
    error.message = error.message_for_log =
        absl::StrCat(type, " has no field ", field);
    return absl::InvalidArgumentError(error.message);
  }
  std::string message;
  if (JsonToProtoField(*json_types_, *found, json, options, message, error)) {
    return message;
  }
  return ToStatus(error);
}

const JsonField* Schema::JsonFieldOf(absl::string_view type,
                                     absl::string_view field) const {
  const JsonType* const of_type = json_types_->Find(type);
  const FieldDescriptor* const descriptor =
      of_type == nullptr ? nullptr
                         : FindFieldByProtoName(of_type->descriptor(), field);
  return descriptor == nullptr ? nullptr
                               : of_type->FindByNumber(descriptor->number(), 0);
}

std::string Schema::FieldFromProto(absl::string_view type,
                                   absl::string_view field,
                                   absl::string_view message) const {
  const pb::Descriptor& descriptor =
      *pool_->FindMessageTypeByName(std::string(type));
  const std::unique_ptr<pb::Message> whole(
      factory_->GetPrototype(&descriptor)->New());
  const FieldDescriptor* const of_field =
      FindFieldByProtoName(descriptor, field);
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
      ->GetMessage(*whole, FindFieldByProtoName(descriptor, field))
      .SerializePartialAsString();
}

absl::StatusOr<std::string> Schema::FieldToJson(
    absl::string_view type, absl::string_view field, absl::string_view message,
    const JsonOptions& options, std::string* awaited_type) const {
  const JsonField* const found = JsonFieldOf(type, field);
  if (found == nullptr) {
    return absl::InternalError(absl::StrCat(type, " has no field ", field));
  }
  std::string json;
  absl::Status status =
      ProtoFieldToJson(*json_types_, *json_types_->Find(type), *found, message,
                       options, json, awaited_type);
  if (!status.ok()) return status;
  return json;
}

}  // namespace headgate
