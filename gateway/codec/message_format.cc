#include "gateway/codec/message_format.h"

#include <utility>
#include <variant>

#include "gateway/codec/dialect.h"
#include "gateway/codec/json.h"

namespace headgate {

MessageFormat MessageFormat::Json(const CodecInputs& inputs) {
  MessageFormat format;
  format.options_ = &inputs.json.json;
  format.schema_ = inputs.schema;
  format.method_ = inputs.method;
  return format;
}

Decoded MessageFormat::Request(std::string bytes) const {
  if (!is_json()) return RequestMessage{std::move(bytes)};
  std::variant<std::string, Ending> message =
      DecodeJsonText(*schema_, method_->input, bytes, *options_);
  if (auto* fault = std::get_if<Ending>(&message)) return std::move(*fault);
  return RequestMessage{std::get<std::string>(std::move(message))};
}

absl::StatusOr<std::string> MessageFormat::Response(std::string message) const {
  if (!is_json()) return message;
  return schema_->ProtoToJson(method_->output, message, *options_);
}

}  // namespace headgate
