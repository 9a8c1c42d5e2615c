#ifndef GATEWAY_SCHEMA_JSON_CONVERTER_H_
#define GATEWAY_SCHEMA_JSON_CONVERTER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/schema/schema.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/type_resolver.h"

namespace headgate {

// protobuf's own conversion between messages and JSON, with what it leaves to
// its caller: it is told only what it may trust, and its errors are taken
// apart. It knows every type; plain_json.h is the cheap way for most messages.
//
// Thread:   one thread at a time (the type resolver caches).
// Lifetime: the pool must outlive it.
class JsonConverter {
 public:
  explicit JsonConverter(const google::protobuf::DescriptorPool* pool);
  ~JsonConverter();

  // As Schema::JsonToProto.
  absl::StatusOr<std::string> JsonToProto(absl::string_view type,
                                          absl::string_view json,
                                          const JsonOptions& options,
                                          JsonError& error) const;

  // As Schema::ProtoToJson. Requires: `type` is of the pool.
  absl::StatusOr<std::string> ProtoToJson(
      const google::protobuf::Descriptor& type, absl::string_view message,
      const JsonOptions& options) const;

 private:
  std::unique_ptr<google::protobuf::util::TypeResolver> resolver_;
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_JSON_CONVERTER_H_
