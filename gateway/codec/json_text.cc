#include "gateway/codec/json_text.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/codec/json_failure.h"

namespace headgate {

Ending JsonFault(const StreamPosition& position, const absl::Status& status) {
  return EndingOf(Annotate(status, ToString(position)));
}

Ending JsonFault(const JsonStream::Fault& fault) {
  Ending ending = JsonFault(fault.position, fault.status);
  // Too long is a matter of the WebSocket, all else of the call.
  if (absl::IsResourceExhausted(fault.status)) {
    ending.close = CloseCode::kMessageTooBig;
  }
  return ending;
}

Ending JsonMismatch(const JsonStream& stream, const JsonError& error) {
  const std::string place = ToString(stream.PositionOf(error.offset));
  const auto text = [&](const std::string& field, const std::string& message) {
    return absl::StrCat(place, field.empty() ? "" : ", field ", field, ": ",
                        message);
  };
  return EndingOf(WithMessageForLog(
      absl::InvalidArgumentError(text(error.field, error.message)),
      text(error.field_for_log, error.message_for_log)));
}

std::variant<std::string, Ending> DecodeJsonText(const Schema& schema,
                                                 absl::string_view type,
                                                 absl::string_view json,
                                                 const JsonOptions& options,
                                                 std::string* awaited_type) {
  JsonStream stream(json.size() + 1, options.max_depth);
  stream.Feed(std::string(json));
  const JsonStream::Event event = stream.Next();
  if (const auto* fault = std::get_if<JsonStream::Fault>(&event)) {
    return JsonFault(*fault);
  }
  const auto* text = std::get_if<JsonStream::Text>(&event);
  if (text == nullptr) {
    return JsonFault(stream.End(), absl::InvalidArgumentError(
                                       "the JSON text is empty, or cut short"));
  }
  JsonError error;
  absl::StatusOr<std::string> message =
      schema.JsonToProto(type, text->json, options, error);
  if (!message.ok()) {
    if (awaited_type != nullptr) *awaited_type = error.awaited_type;
    return JsonMismatch(stream, error);
  }
  const JsonStream::Event more = stream.Next();
  if (!std::holds_alternative<JsonStream::NeedBytes>(more) ||
      stream.inside_text()) {
    return EndingOf(absl::InvalidArgumentError(
        "there is more than one JSON text, and it must be one message"));
  }
  return *std::move(message);
}

JsonResponses::JsonResponses(const JsonCodecOptions& options,
                             JsonCodecOptions::Envelope envelope,
                             std::shared_ptr<const Schema> schema,
                             const Schema::Method& method, std::string field)
    : options_(options),
      envelope_(envelope),
      schema_(std::move(schema)),
      method_(method),
      field_(std::move(field)) {}

void JsonResponses::EncodeHead(const Metadata& headers, Outgoing& out) const {
  if (envelope_ != JsonCodecOptions::Envelope::kStatus || headers.empty()) {
    return;
  }
  out.Data({Opcode::kText,
            absl::StrCat("{\"headers\":", JsonMetadata(headers), "}")});
}

absl::StatusOr<std::string> JsonResponses::TextOf(absl::string_view message) {
  absl::StatusOr<std::string> json =
      type_wait_.Convert([&](std::string* awaited_type) {
        return field_.empty()
                   ? schema_->ProtoToJson(method_.output, message,
                                          options_.json, awaited_type)
                   : schema_->FieldToJson(method_.output, field_, message,
                                          options_.json, awaited_type);
      });
  if (!json.ok()) return json;
  if (envelope_ == JsonCodecOptions::Envelope::kResult &&
      !GivesOneAnswer(method_.kind)) {
    return absl::StrCat("{\"result\":", *json, "}");
  }
  return json;
}

absl::Status JsonResponses::EncodeMessage(absl::string_view message,
                                          Outgoing& out) {
  absl::StatusOr<std::string> text = TextOf(message);
  if (!text.ok()) return text.status();
  out.Data({Opcode::kText, *std::move(text)});
  return absl::OkStatus();
}

std::string JsonResponses::FailureOf(const Ending& ending) const {
  if (ending.end.status.ok()) return "";
  return JsonFailure(ending.end.status,
                     schema_->StatusDetailsToJson(
                         SerializeRpcStatus(ending.end), options_.json),
                     method_.kind, options_.error_shape);
}

void JsonResponses::EncodeEnd(const Ending& ending, Outgoing& out) const {
  switch (envelope_) {
    case JsonCodecOptions::Envelope::kNone:
      break;
    case JsonCodecOptions::Envelope::kResult:
      if (std::string failure = FailureOf(ending); !failure.empty()) {
        out.Data({Opcode::kText, std::move(failure)});
      }
      break;
    case JsonCodecOptions::Envelope::kStatus:
      out.Data({Opcode::kText,
                JsonStatus(ending.end, schema_->StatusDetailsToJson(
                                           SerializeRpcStatus(ending.end),
                                           options_.json))});
      break;
  }
  out.End({ending});
}

}  // namespace headgate
