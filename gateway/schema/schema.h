#ifndef GATEWAY_SCHEMA_SCHEMA_H_
#define GATEWAY_SCHEMA_SCHEMA_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/util/type_resolver.h"

namespace headgate {

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
};

// A JSON text that does not fit its message.
struct JsonError {
  // The place of the fault in JSON, "kids[1].name"; empty: the whole text.
  // An entry of a map is "map[INDEX].value" in protobuf's way of speaking.
  std::string field;
  // What is wrong there, without the place.
  std::string message;
};

// Immutable descriptors of one upstream, and the conversion between protobuf
// and JSON that they allow.
//
// Thread:   one thread at a time (protobuf's type resolver caches).
// Lifetime: shared by whoever still uses it after a newer one was fetched; the
//           Methods live as long as their Schema.
class Schema {
 public:
  struct Method {
    std::string path;  // "/package.Service/Method"
    MethodKind kind;
    std::string input;   // Full name of the request message.
    std::string output;  // Full name of the answer's.
  };

  // Builds what can be built of `files`, in any order; those that cannot
  // (a missing import, a name defined twice) are left out, each with a line in
  // `warnings`. The well-known types are always the protobuf library's, as its
  // JSON conversion relies on their shape; other google/protobuf/*.proto that
  // are imported and not among `files` are taken from it too. Of two files of
  // one name the first counts.
  static std::shared_ptr<const Schema> Build(
      std::vector<google::protobuf::FileDescriptorProto> files,
      std::vector<std::string>* warnings);

  // The services that are part of the gateway itself: headgate.v1. A new one
  // each time, as a Schema is for one thread.
  static std::shared_ptr<const Schema> BuiltIn();

  ~Schema();
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;

  // Null when there is no such method. `path`: "/package.Service/Method".
  const Method* FindMethod(absl::string_view path) const;

  // In order of their paths.
  std::vector<const Method*> methods() const;

  // One JSON text -> the serialized message `type` (a full name). On failure
  // the status is INVALID_ARGUMENT and `error` says where.
  // JSON that nests deeper than 100 brackets does not fit.
  // Requires: `json` is one well-formed JSON value.
  absl::StatusOr<std::string> JsonToProto(absl::string_view type,
                                          absl::string_view json,
                                          const JsonOptions& options,
                                          JsonError& error) const;

  // A serialized message `type` -> JSON on one line. Fails with INTERNAL when
  // the bytes are not such a message, or nest deeper than protobuf's limits.
  absl::StatusOr<std::string> ProtoToJson(absl::string_view type,
                                          absl::string_view message,
                                          const JsonOptions& options) const;

  // A serialized google.rpc.Status -> the JSON array of its details. A detail
  // of a type that the schema does not know is
  // {"@type": "...", "value": "<base64>"}.
  std::string StatusDetailsToJson(absl::string_view rpc_status,
                                  const JsonOptions& options) const;

 private:
  Schema();

  std::unique_ptr<google::protobuf::DescriptorPool> pool_;
  std::unique_ptr<google::protobuf::util::TypeResolver> resolver_;
  absl::flat_hash_map<std::string, Method> methods_;
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_SCHEMA_H_
