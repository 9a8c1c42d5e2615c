#include "gateway/codec/json.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/codec/json_failure.h"
#include "gateway/codec/json_location.h"
#include "gateway/codec/json_stream.h"

namespace headgate {
namespace {

class JsonCodec final : public Codec {
 public:
  JsonCodec(const JsonCodecOptions& options,
            std::shared_ptr<const Schema> schema, const Schema::Method& method)
      : options_(options),
        schema_(std::move(schema)),
        method_(method),
        stream_(options.max_message_bytes) {}

  CodecKind kind() const override { return CodecKind::kJson; }

  void Feed(WireMessage message) override {
    if (message.payload.empty()) {
      half_close_ = message.opcode == Opcode::kText;
      return;
    }
    stream_.Feed(std::move(message.payload));
  }

  Decoded Next() override {
    if (half_close_) {
      half_close_ = false;
      if (!stream_.inside_text()) return HalfClose{};
      return Fault(stream_.End(), "",
                   absl::InvalidArgumentError(
                       "the client ended its side inside a JSON text"));
    }
    const JsonStream::Event event = stream_.Next();
    if (const auto* text = std::get_if<JsonStream::Text>(&event)) {
      return Decode(text->json);
    }
    if (const auto* fault = std::get_if<JsonStream::Fault>(&event)) {
      Ending ending = Fault(fault->position, "", fault->status);
      // Too long is a matter of the WebSocket, all else of the call.
      if (absl::IsResourceExhausted(fault->status)) {
        ending.close = CloseCode::kMessageTooBig;
      }
      return ending;
    }
    return NeedInput{};
  }

  absl::StatusOr<WireMessage> EncodeAnswer(std::string message) override {
    absl::StatusOr<std::string> json =
        schema_->ProtoToJson(method_.output, message, options_.json);
    if (!json.ok()) return json.status();
    if (options_.envelope == JsonCodecOptions::Envelope::kResult &&
        !GivesOneAnswer(method_.kind)) {
      return WireMessage{Opcode::kText,
                         absl::StrCat("{\"result\":", *json, "}")};
    }
    return WireMessage{Opcode::kText, *std::move(json)};
  }

  std::optional<WireMessage> EncodeEnd(const Ending& ending) override {
    if (options_.envelope != JsonCodecOptions::Envelope::kResult ||
        ending.end.status.ok()) {
      return std::nullopt;
    }
    const std::string details = schema_->StatusDetailsToJson(
        SerializeRpcStatus(ending.end), options_.json);
    return WireMessage{Opcode::kText,
                       JsonFailure(ending.end.status, details, method_.kind,
                                   options_.error_shape)};
  }

 private:
  Decoded Decode(absl::string_view json) const {
    JsonError error;
    absl::StatusOr<std::string> message =
        schema_->JsonToProto(method_.input, json, options_.json, error);
    if (message.ok()) return RequestMessage{*std::move(message)};
    const std::size_t offset = LocateJsonField(json, error.field);
    return Fault(stream_.PositionOf(offset), error.field,
                 absl::Status(message.status().code(), error.message));
  }

  static Ending Fault(const StreamPosition& position, absl::string_view field,
                      const absl::Status& status) {
    std::string place = ToString(position);
    if (!field.empty()) absl::StrAppend(&place, ", field ", field);
    return EndingOf(Annotate(status, place));
  }

  const JsonCodecOptions& options_;
  const std::shared_ptr<const Schema> schema_;
  const Schema::Method& method_;
  JsonStream stream_;
  bool half_close_ = false;
};

}  // namespace

std::unique_ptr<Codec> MakeJsonCodec(const JsonCodecOptions& options,
                                     std::shared_ptr<const Schema> schema,
                                     const Schema::Method& method) {
  return std::make_unique<JsonCodec>(options, std::move(schema), method);
}

}  // namespace headgate
