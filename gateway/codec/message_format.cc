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

Decoded MessageFormat::Request(std::string bytes) {
  if (!is_json()) return RequestMessage{std::move(bytes)};
  std::string awaited_type;
  std::variant<std::string, Ending> message =
      DecodeJsonText(*schema_, method_->input, bytes, *options_, &awaited_type);
  if (auto* decoded = std::get_if<std::string>(&message)) {
    return RequestMessage{std::move(*decoded)};
  }
  if (!type_wait_.IsFor(awaited_type)) {
    return std::get<Ending>(std::move(message));
  }
  waiting_ = std::move(bytes);
  return NeedType{std::move(awaited_type)};
}

absl::StatusOr<std::string> MessageFormat::Response(std::string&& message) {
  if (!is_json()) return std::move(message);
  return response_wait_.Convert([&](std::string* awaited_type) {
    return schema_->ProtoToJson(method_->output, message, *options_,
                                awaited_type);
  });
}

}  // namespace headgate
