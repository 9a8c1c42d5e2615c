#ifndef GATEWAY_SCHEMA_SCHEMA_H_
#define GATEWAY_SCHEMA_SCHEMA_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/schema/http_rule.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/dynamic_message.h"

namespace headgate {

class JsonTypes;
struct JsonField;

enum class MethodKind {
  kUnary,
  kServerStreaming,
  kClientStreaming,
  kBidiStreaming,
};

// Whether a call of this kind takes exactly one request message.
inline bool TakesOneRequest(MethodKind kind) {
  return kind == MethodKind::kUnary || kind == MethodKind::kServerStreaming;
}
// Whether a call of this kind gives at most one answer.
inline bool GivesOneAnswer(MethodKind kind) {
  return kind == MethodKind::kUnary || kind == MethodKind::kClientStreaming;
}

// How protobuf messages are written as JSON and read from it. The defaults are
// those of proto3's JSON mapping.
struct JsonOptions {
  enum class FieldNames { kJson, kProto };
  enum class Unpopulated { kOmit, kEmit };
  enum class Enums { kName, kNumber };
  enum class UnknownFields { kReject, kIgnore };

  FieldNames field_names = FieldNames::kJson;
  Unpopulated unpopulated = Unpopulated::kOmit;
  Enums enums = Enums::kName;
  // Of requests; an answer's unknown fields have no names and are left out.
  UnknownFields unknown_fields = UnknownFields::kReject;
  // The deepest nesting of JSON's brackets, in requests and responses. An Any
  // and the message in it are one object.
  int max_depth = 100;
};

// A JSON text that does not fit its message. What it repeats of the client's is
// short, on one line and UTF-8.
struct JsonError {
  // The field in its JSON names, "kids[1].name", "labels[\"a b\"]"; empty: the
  // whole text.
  std::string field;
  // What is wrong there, without the field.
  std::string message;
  // Where in the text, bytes.
  std::size_t offset = 0;
  // Both for a log: without what the client has written, be it a value, the key
  // of a map or the name of a field that is not there.
  std::string field_for_log = {};
  std::string message_for_log = {};
  // The full name of the type, where what is wrong is an Any of a type that no
  // descriptor defines, and for which the server is being asked.
  std::string awaited_type = {};
};

// Text for a field of a request: from a path template's variable or from a
// query parameter.
struct Parameter {
  std::string field;  // "book.author.name": names of fields, joined by dots.
  std::string value;
};

// What a request's path and query contribute to the call's first message, and
// what of the messages the bodies are.
struct RequestBinding {
  // From the path: the field must exist.
  std::vector<Parameter> variables;
  // From the query: one that names no field, or one that the path or the body
  // has set, is a fault or ignored, as JsonOptions::unknown_fields says.
  std::vector<Parameter> query;
  // As in HttpRule.
  std::string body = "*";
  std::string response_body;
};

// Immutable descriptors of one upstream, and the conversion between protobuf
// and JSON that they allow.
//
// Thread:   one thread at a time (what the conversion knows of types is
//           cached), but for FindMethod, methods, HasField and MessageTypeOf;
//           each thread takes a Share.
// Lifetime: shared by whoever still uses it after a newer one was fetched; the
//           Methods live as long as their Schema.
class Schema {
 public:
  struct Method {
    std::string path;  // "/package.Service/Method"
    MethodKind kind;
    std::string input;   // Full name of the request message.
    std::string output;  // Full name of the answer's.
    // Its google.api.http bindings.
    std::vector<HttpRule> http_rules = {};
    // Its idempotency_level is NO_SIDE_EFFECTS.
    bool has_no_side_effects = false;
  };

  // Builds what can be built of `files`, in any order; those that cannot
  // (a missing import, a name defined twice) are left out, each with a line in
  // `warnings`. The well-known types are always the protobuf library's, as the
  // JSON conversion relies on their shape; other google/protobuf/*.proto that
  // are imported and not among `files` are taken from it too. Of two files of
  // one name the first counts. `rules` replace the annotations of methods.
  static std::shared_ptr<const Schema> Build(
      std::vector<google::protobuf::FileDescriptorProto> files,
      std::vector<std::string>* warnings, const HttpRuleOverrides& rules = {});

  // The services that are part of the gateway itself: headgate.v1.
  static std::shared_ptr<const Schema> BuiltIn();

  // Another one with the same descriptors and Methods, for another thread: a
  // small part of what building costs. Keeps `of` alive; null of null.
  // `on_unknown_type` hears of each type of an Any that nobody knows, on the
  // thread of the conversion and during it; true: the server is being asked.
  using OnUnknownType = std::function<bool(const std::string& full_name)>;
  static std::shared_ptr<const Schema> Share(
      std::shared_ptr<const Schema> of,
      OnUnknownType on_unknown_type = nullptr);

  // Adds types for Anys, for all Shares; see LearnedTypes. One thread at a
  // time, which need not be that of a Share.
  void Learn(std::vector<google::protobuf::FileDescriptorProto> files) const;

  ~Schema();
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;

  // Null when there is no such method. `path`: "/package.Service/Method".
  const Method* FindMethod(absl::string_view path) const;

  // In order of their paths.
  std::vector<const Method*> methods() const;
  // The selectors of `rules` that name none of the methods, sorted.
  std::vector<std::string> Unmatched(const HttpRuleOverrides& rules) const;

  // Where the types and services are.
  const google::protobuf::DescriptorPool& pool() const { return *pool_; }

  // One JSON text -> the serialized message `type` (a full name). On failure
  // the status is INVALID_ARGUMENT and `error` says where.
  // JSON that nests deeper than JsonOptions::max_depth does not fit, nor does
  // one with a field twice.
  // Requires: `json` is one well-formed JSON value.
  absl::StatusOr<std::string> JsonToProto(absl::string_view type,
                                          absl::string_view json,
                                          const JsonOptions& options,
                                          JsonError& error) const;

  // A serialized message `type` -> JSON on one line. Fails with INTERNAL when
  // the bytes are not such a message, nest deeper than JsonOptions::max_depth,
  // or have no form in JSON. An Any of a type that nobody knows is
  // {"@type": "...", "value": "<base64>"}. With `awaited_type` it fails where
  // the server is being asked for the type, whose name is put there.
  absl::StatusOr<std::string> ProtoToJson(
      absl::string_view type, absl::string_view message,
      const JsonOptions& options, std::string* awaited_type = nullptr) const;

  // A message `type` with nothing set but what `binding` takes from path and
  // query, serialized; MergeParameters overrides a body's fields with it.
  // Values are read as the JSON mapping writes them, without quotes: enums by
  // name or number, well-known types in their JSON form, bytes as base64 or
  // base64url; repeated fields take one parameter each, map fields
  // `field[key]=value`, messages `field.sub`. INVALID_ARGUMENT names the
  // parameter, and what its field takes.
  absl::StatusOr<std::string> BindParameters(absl::string_view type,
                                             const RequestBinding& binding,
                                             const JsonOptions& options) const;

  // A serialized message `type` with what BindParameters has made.
  std::string MergeParameters(absl::string_view type, std::string message,
                              absl::string_view parameters) const;

  // One JSON value for `field` of `type` -> a serialized message `type` with
  // that field alone. Errors as JsonToProto's, their places within `json`.
  // INVALID_ARGUMENT when there is no such field.
  absl::StatusOr<std::string> FieldFromJson(absl::string_view type,
                                            absl::string_view field,
                                            absl::string_view json,
                                            const JsonOptions& options,
                                            JsonError& error) const;

  // A serialized message for the message field `field` of `type` -> a
  // serialized message `type` with that field alone.
  // Requires: MessageTypeOf(type, field) is not empty.
  std::string FieldFromProto(absl::string_view type, absl::string_view field,
                             absl::string_view message) const;

  // `field` of a serialized message `type` -> its serialized message; empty
  // when it is absent. INTERNAL when the bytes are not such a message.
  // Requires: MessageTypeOf(type, field) is not empty.
  absl::StatusOr<std::string> FieldToProto(absl::string_view type,
                                           absl::string_view field,
                                           absl::string_view message) const;

  // `field` of a serialized message `type` -> its JSON value on one line; of
  // an absent field its default: "", 0, [], {} and so on, null for a message.
  // `awaited_type`: see ProtoToJson.
  absl::StatusOr<std::string> FieldToJson(
      absl::string_view type, absl::string_view field,
      absl::string_view message, const JsonOptions& options,
      std::string* awaited_type = nullptr) const;

  // The full name of the message type of `field` (one field name, not a path)
  // of `type`; empty when it is not a singular message or does not exist.
  std::string MessageTypeOf(absl::string_view type,
                            absl::string_view field) const;

  // What a member of an object in JSON is.
  struct JsonMember {
    bool is_map = false;
    // The full name of the message type of its value, or values; else empty.
    std::string message;
  };
  // The member `name` of the JSON form of `type`, by either of a field's names;
  // absent when no field has it. Takes time for each field of `type`.
  std::optional<JsonMember> FindJsonMember(absl::string_view type,
                                           absl::string_view name) const;
  // Whether `type` has a field of that name (FindFieldByProtoName).
  bool HasField(absl::string_view type, absl::string_view field) const;

  // A serialized google.rpc.Status -> the JSON array of its details, Anys.
  // `awaited_type`: see ProtoToJson; the details have it as base64.
  std::string StatusDetailsToJson(absl::string_view rpc_status,
                                  const JsonOptions& options,
                                  std::string* awaited_type = nullptr) const;

 private:
  struct Descriptors;
  Schema(std::shared_ptr<const Schema> original,
         std::shared_ptr<const Descriptors> descriptors,
         OnUnknownType on_unknown_type);

  // The field of that name in the .proto file; null if there is none.
  const JsonField* JsonFieldOf(absl::string_view type,
                               absl::string_view field) const;

  const std::shared_ptr<const Schema> original_;  // Of a Share.
  const std::shared_ptr<const Descriptors> descriptors_;
  const google::protobuf::DescriptorPool* const pool_;  // Of descriptors_.
  std::unique_ptr<JsonTypes> json_types_;
  // After the pool, for its messages must go first.
  std::unique_ptr<google::protobuf::DynamicMessageFactory> factory_;
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_SCHEMA_H_
