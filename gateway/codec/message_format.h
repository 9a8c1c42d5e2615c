#ifndef GATEWAY_CODEC_MESSAGE_FORMAT_H_
#define GATEWAY_CODEC_MESSAGE_FORMAT_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "gateway/codec/codec.h"
#include "gateway/codec/json_text.h"
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

  // A RequestMessage; the client's fault, with the place in its text; or
  // NeedType, and the bytes are kept for Again.
  Decoded Request(std::string bytes);
  bool waits() const { return waiting_.has_value(); }
  // Requires: waits.
  Decoded Again() { return Request(*std::exchange(waiting_, std::nullopt)); }
  std::size_t held_bytes() const { return waiting_ ? waiting_->size() : 0; }

  // INTERNAL: the backend's message has no such form. AwaitsType: `message` is
  // as it was.
  absl::StatusOr<std::string> Response(std::string&& message);

 private:
  MessageFormat() = default;

  const JsonOptions* options_ = nullptr;
  std::shared_ptr<const Schema> schema_;
  const Schema::Method* method_ = nullptr;  // Null: protobuf.
  TypeWait type_wait_, response_wait_;
  std::optional<std::string> waiting_;  // For a type.
};

}  // namespace headgate

#endif  // GATEWAY_CODEC_MESSAGE_FORMAT_H_
