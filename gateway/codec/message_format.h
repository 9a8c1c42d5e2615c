#ifndef GATEWAY_CODEC_MESSAGE_FORMAT_H_
#define GATEWAY_CODEC_MESSAGE_FORMAT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gateway/codec/codec.h"
#include "gateway/schema/schema.h"

namespace headgate {

struct CodecInputs;

// What the messages of a dialect are that carries either: serialized protobuf,
// which is not looked into, or JSON.
class MessageFormat {
 public:
  static MessageFormat Protobuf() { return MessageFormat(); }
  // With the route's JSON options, which must outlive it.
  // Requires: `inputs` has a schema and a method.
  static MessageFormat Json(const CodecInputs& inputs);

  bool is_json() const { return method_ != nullptr; }

  // A RequestMessage; or the client's fault, with the place in its text.
  Decoded Request(std::string bytes) const;
  // INTERNAL: the backend's message has no such form.
  absl::StatusOr<std::string> Response(std::string message) const;

 private:
  MessageFormat() = default;

  const JsonOptions* options_ = nullptr;
  std::shared_ptr<const Schema> schema_;
  const Schema::Method* method_ = nullptr;  // Null: protobuf.
};

}  // namespace headgate

#endif  // GATEWAY_CODEC_MESSAGE_FORMAT_H_
