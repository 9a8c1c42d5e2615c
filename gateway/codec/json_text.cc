#include "gateway/codec/json_text.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/codec/json_failure.h"

namespace headgate {

Ending JsonFault(const StreamPosition& position, absl::string_view field,
                 const absl::Status& status) {
  std::string place = ToString(position);
  if (!field.empty()) absl::StrAppend(&place, ", field ", field);
  return EndingOf(Annotate(status, place));
}

Ending JsonFault(const JsonStream::Fault& fault) {
  Ending ending = JsonFault(fault.position, "", fault.status);
  // Too long is a matter of the WebSocket, all else of the call.
  if (absl::IsResourceExhausted(fault.status)) {
    ending.close = CloseCode::kMessageTooBig;
  }
  return ending;
}

Ending JsonMismatch(const JsonStream& stream, const JsonError& error) {
  return JsonFault(stream.PositionOf(error.offset), error.field,
                   absl::InvalidArgumentError(error.message));
}

std::variant<std::string, Ending> DecodeJsonText(const Schema& schema,
                                                 absl::string_view type,
                                                 absl::string_view json,
                                                 const JsonOptions& options) {
  JsonStream stream(json.size() + 1, options.max_depth);
  stream.Feed(std::string(json));
  const JsonStream::Event event = stream.Next();
  if (const auto* fault = std::get_if<JsonStream::Fault>(&event)) {
    return JsonFault(*fault);
  }
  const auto* text = std::get_if<JsonStream::Text>(&event);
  if (text == nullptr) {
    return JsonFault(
        stream.End(), "",
        absl::InvalidArgumentError("the JSON text is empty, or cut short"));
  }
  JsonError error;
  absl::StatusOr<std::string> message =
      schema.JsonToProto(type, text->json, options, error);
  if (!message.ok()) return JsonMismatch(stream, error);
  const JsonStream::Event more = stream.Next();
  if (!std::holds_alternative<JsonStream::NeedBytes>(more) ||
      stream.inside_text()) {
    return EndingOf(absl::InvalidArgumentError(
        "there is more than one JSON text, and it must be one message"));
  }
  return *std::move(message);
}

WireMessage JsonAnswer(std::string json, const Schema::Method& method,
                       const JsonCodecOptions& options) {
  if (options.envelope == JsonCodecOptions::Envelope::kResult &&
      !GivesOneAnswer(method.kind)) {
    return {Opcode::kText, absl::StrCat("{\"result\":", json, "}")};
  }
  return {Opcode::kText, std::move(json)};
}

std::optional<WireMessage> JsonEnd(const Ending& ending, const Schema& schema,
                                   const Schema::Method& method,
                                   const JsonCodecOptions& options) {
  if (ending.end.status.ok()) return std::nullopt;
  const std::string details =
      schema.StatusDetailsToJson(SerializeRpcStatus(ending.end), options.json);
  return WireMessage{Opcode::kText,
                     JsonFailure(ending.end.status, details, method.kind,
                                 options.error_shape)};
}

}  // namespace headgate
