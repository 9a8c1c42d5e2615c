#include "gateway/admin/tap_redaction.h"

#include <optional>
#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

namespace json = boost::json;

constexpr char kTypeName[] = "@type";
constexpr char kAny[] = "google.protobuf.Any";

// Its JSON form is an object with members of the client's choice.
bool HasFreeNames(absl::string_view type) {
  return type == "google.protobuf.Struct" || type == "google.protobuf.Value" ||
         type == "google.protobuf.ListValue";
}

class Redaction {
 public:
  explicit Redaction(const Schema* schema) : schema_(schema) {}

  // `type`: empty: no name in it is known.
  json::value Of(const json::value& value, absl::string_view type) const {
    switch (value.kind()) {
      case json::kind::object:
        if (HasFreeNames(type)) type = "";
        return type == kAny ? OfAny(value.get_object())
                            : OfFields(value.get_object(), type);
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

  json::object OfMap(const json::object& entries,
                     absl::string_view type) const {
    json::object object;
    for (const auto& [name, value] : entries) {
      PutUnnamed(Of(value, type), object);
    }
    return object;
  }

  json::object OfFields(const json::object& fields,
                        absl::string_view type) const {
    json::object object;
    for (const auto& [name, value] : fields) {
      std::optional<Schema::JsonMember> member;
      if (schema_ != nullptr) {
        member = schema_->FindJsonMember(
            type, absl::string_view(name.data(), name.size()));
      }
      if (!member) {
        PutUnnamed(Of(value, ""), object);
      } else if (member->is_map && value.is_object()) {
        object[name] = OfMap(value.get_object(), member->message);
      } else {
        object[name] = Of(value, member->message);
      }
    }
    return object;
  }

  json::object OfAny(const json::object& any) const {
    const json::value* const url = any.if_contains(kTypeName);
    absl::string_view type;
    if (url != nullptr && url->is_string()) {
      type = {url->get_string().data(), url->get_string().size()};
      type.remove_prefix(type.rfind('/') + 1);  // npos + 1 is 0.
    }
    json::object inner;
    for (const auto& [name, value] : any) {
      if (name != kTypeName) inner[name] = value;
    }
    // Types with a JSON form of their own have it in "value".
    const json::value* const value = inner.if_contains("value");
    const bool has_form = value != nullptr && inner.size() == 1 &&
                          absl::StartsWith(type, "google.protobuf.");
    json::object object;
    if (has_form) {
      object["value"] = Of(*value, type);
    } else {
      object = OfFields(inner, type);
    }
    if (url != nullptr) object[kTypeName] = Of(*url, "");
    return object;
  }

  const Schema* const schema_;
};

}  // namespace

json::value Redacted(const json::value& message, const Schema* schema,
                     absl::string_view type) {
  return Redaction(schema).Of(message, type);
}

}  // namespace headgate
