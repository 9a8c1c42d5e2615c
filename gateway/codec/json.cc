#include "gateway/codec/json.h"

#include <optional>
#include <utility>

#include "gateway/codec/dialect.h"
#include "gateway/codec/json_stream.h"
#include "gateway/codec/json_text.h"

namespace headgate {
namespace {

class JsonCodec final : public Codec {
 public:
  JsonCodec(const JsonCodecOptions& options,
            JsonCodecOptions::Envelope envelope,
            std::shared_ptr<const Schema> schema, const Schema::Method& method)
      : options_(options),
        schema_(schema),
        method_(method),
        stream_(options.max_message_bytes, options.json.max_depth),
        responses_(options, envelope, std::move(schema), method, "") {}

  void Feed(WireMessage message) override {
    if (message.payload.empty()) {
      half_close_ = message.opcode == Opcode::kText;
      return;
    }
    stream_.Feed(std::move(message.payload));
  }

  Decoded Next() override {
    if (waiting_) return Decode(*std::exchange(waiting_, std::nullopt));
    if (half_close_) {
      half_close_ = false;
      if (!stream_.inside_text()) return HalfClose{};
      return JsonFault(stream_.End(),
                       absl::InvalidArgumentError(
                           "the client ended its side inside a JSON text"));
    }
    const JsonStream::Event event = stream_.Next();
    if (const auto* text = std::get_if<JsonStream::Text>(&event)) {
      return Decode(text->json);
    }
    if (const auto* fault = std::get_if<JsonStream::Fault>(&event)) {
      return JsonFault(*fault);
    }
    return NeedInput{};
  }

  bool inside_message() const override { return stream_.inside_text(); }
  std::size_t held_bytes() const override { return stream_.held_bytes(); }

  void EncodeHead(const Metadata& headers, Outgoing& out) override {
    responses_.EncodeHead(headers, out);
  }
  absl::Status EncodeMessage(std::string&& message, Outgoing& out) override {
    return responses_.EncodeMessage(message, out);
  }
  void EncodeEnd(const Ending& ending, Outgoing& out) override {
    responses_.EncodeEnd(ending, out);
  }

 private:
  Decoded Decode(absl::string_view json) {
    JsonError error;
    absl::StatusOr<std::string> message =
        schema_->JsonToProto(method_.input, json, options_.json, error);
    if (message.ok()) return RequestMessage{*std::move(message)};
    if (!type_wait_.IsFor(error)) return JsonMismatch(stream_, error);
    waiting_ = json;
    return NeedType{type_wait_.type()};
  }

  const JsonCodecOptions& options_;
  const std::shared_ptr<const Schema> schema_;
  const Schema::Method& method_;
  JsonStream stream_;
  JsonResponses responses_;
  bool half_close_ = false;
  TypeWait type_wait_;
  // The stream's text that waits for a type.
  std::optional<absl::string_view> waiting_;
};

// What the client asked for, else what the route has.
JsonCodecOptions::Envelope EnvelopeOf(const CodecInputs& inputs) {
  return inputs.wants_status ? JsonCodecOptions::Envelope::kStatus
                             : inputs.json.envelope;
}

}  // namespace

std::unique_ptr<Codec> MakeJsonCodec(const JsonCodecOptions& options,
                                     JsonCodecOptions::Envelope envelope,
                                     std::shared_ptr<const Schema> schema,
                                     const Schema::Method& method) {
  return std::make_unique<JsonCodec>(options, envelope, std::move(schema),
                                     method);
}

constinit const Dialect kJsonDialect = {
    .name = "json",
    .token = "headgate.json.v1",
    .needs_descriptor = true,
    .wants_metadata =
        [](const CodecInputs& inputs) {
          return EnvelopeOf(inputs) == JsonCodecOptions::Envelope::kStatus;
        },
    .make = [](const CodecInputs& inputs)
        -> absl::StatusOr<std::unique_ptr<Codec>> {
      if (inputs.binding == nullptr) {
        return MakeJsonCodec(inputs.json, EnvelopeOf(inputs), inputs.schema,
                             *inputs.method);
      }
      return MakeBoundJsonCodec(inputs.json, EnvelopeOf(inputs), inputs.schema,
                                *inputs.method, *inputs.binding);
    },
};

}  // namespace headgate
