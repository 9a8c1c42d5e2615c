#include "gateway/admin/tap_redaction.h"

#include <cstddef>
#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"

namespace headgate {
namespace {

namespace json = boost::json;
namespace pb = ::google::protobuf;

constexpr char kTypeName[] = "@type";

const pb::FieldDescriptor* FieldOf(const pb::Descriptor& type,
                                   absl::string_view name) {
  for (int i = 0; i < type.field_count(); ++i) {
    const pb::FieldDescriptor* const field = type.field(i);
    if (field->json_name() == name || field->name() == name) return field;
  }
  return nullptr;
}

// Its JSON form is an object with members of the client's choice.
bool HasFreeNames(const pb::Descriptor& type) {
  const std::string& name = type.full_name();
  return name == "google.protobuf.Struct" || name == "google.protobuf.Value" ||
         name == "google.protobuf.ListValue";
}

class Redaction {
 public:
  explicit Redaction(const pb::DescriptorPool* pool) : pool_(pool) {}

  const pb::Descriptor* Find(absl::string_view type) const {
    return pool_ == nullptr ? nullptr
                            : pool_->FindMessageTypeByName(std::string(type));
  }

  // `type`: null: no name in it is known.
  json::value Of(const json::value& value, const pb::Descriptor* type) const {
    switch (value.kind()) {
      case json::kind::object:
        if (type == nullptr || HasFreeNames(*type)) {
          return OfEntries(value.get_object(), nullptr);
        }
        if (type->full_name() == "google.protobuf.Any") {
          return OfAny(value.get_object());
        }
        return OfFields(value.get_object(), *type);
      case json::kind::array: {
        json::array array;
        for (const json::value& inner : value.get_array()) {
          array.push_back(Of(inner, type));
        }
        return array;
      }
      case json::kind::string:
        return json::string(
            absl::StrCat("<string ", value.get_string().size(), ">"));
      case json::kind::bool_:
        return "<bool>";
      case json::kind::null:
        return nullptr;
      default:
        return "<number>";
    }
  }

 private:
  static void PutUnnamed(json::value value, json::object& object) {
    object[absl::StrCat("<name ", object.size() + 1, ">")] = std::move(value);
  }

  // Of a map, or a Struct.
  json::object OfEntries(const json::object& entries,
                         const pb::Descriptor* type) const {
    json::object object;
    for (const auto& [name, value] : entries) {
      PutUnnamed(Of(value, type), object);
    }
    return object;
  }

  json::object OfFields(const json::object& fields,
                        const pb::Descriptor& type) const {
    json::object object;
    for (const auto& [name, value] : fields) {
      const pb::FieldDescriptor* const field =
          FieldOf(type, absl::string_view(name.data(), name.size()));
      if (field == nullptr) {
        PutUnnamed(Of(value, nullptr), object);
      } else if (field->is_map() && value.is_object()) {
        object[name] =
            OfEntries(value.get_object(),
                      field->message_type()->map_value()->message_type());
      } else {
        object[name] = Of(value, field->message_type());
      }
    }
    return object;
  }

  json::object OfAny(const json::object& any) const {
    const json::value* const url = any.if_contains(kTypeName);
    absl::string_view name;
    if (url != nullptr && url->is_string()) {
      name = {url->get_string().data(), url->get_string().size()};
      name.remove_prefix(name.rfind('/') + 1);  // npos + 1 is 0.
    }
    const pb::Descriptor* const type = Find(name);
    json::object inner;
    for (const auto& [member, value] : any) {
      if (member != kTypeName) inner[member] = value;
    }
    json::object object;
    // Types with a JSON form of their own have it in "value".
    const json::value* const value = inner.if_contains("value");
    if (value != nullptr && inner.size() == 1 &&
        absl::StartsWith(name, "google.protobuf.")) {
      object["value"] = Of(*value, type);
    } else if (type != nullptr) {
      object = OfFields(inner, *type);
    } else {
      object = OfEntries(inner, nullptr);
    }
    if (url != nullptr) object[kTypeName] = Of(*url, nullptr);
    return object;
  }

  const pb::DescriptorPool* const pool_;
};

}  // namespace

json::value Redacted(const json::value& message, const Schema* schema,
                     absl::string_view type) {
  const Redaction redaction(schema == nullptr ? nullptr : &schema->pool());
  return redaction.Of(message, redaction.Find(type));
}

}  // namespace headgate
