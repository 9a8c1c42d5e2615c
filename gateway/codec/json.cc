#include "gateway/codec/json.h"

#include <utility>

#include "gateway/codec/dialect.h"
#include "gateway/codec/json_stream.h"
#include "gateway/codec/json_text.h"

namespace headgate {
namespace {

class JsonCodec final : public Codec {
 public:
  JsonCodec(const JsonCodecOptions& options,
            std::shared_ptr<const Schema> schema, const Schema::Method& method)
      : options_(options),
        schema_(std::move(schema)),
        method_(method),
        stream_(options.max_message_bytes, options.json.max_depth) {}

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
      return JsonFault(stream_.End(), "",
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

  absl::StatusOr<WireMessage> EncodeAnswer(std::string message) override {
    absl::StatusOr<std::string> json =
        schema_->ProtoToJson(method_.output, message, options_.json);
    if (!json.ok()) return json.status();
    return JsonAnswer(*std::move(json), method_, options_);
  }

  std::optional<WireMessage> EncodeEnd(const Ending& ending) override {
    if (options_.envelope == JsonCodecOptions::Envelope::kNone) {
      return std::nullopt;
    }
    return JsonEnd(ending, *schema_, method_, options_);
  }

 private:
  Decoded Decode(absl::string_view json) const {
    JsonError error;
    absl::StatusOr<std::string> message =
        schema_->JsonToProto(method_.input, json, options_.json, error);
    if (message.ok()) return RequestMessage{*std::move(message)};
    return JsonMismatch(stream_, error);
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

constinit const Dialect kJsonDialect = {
    .name = "json",
    .token = "headgate.json.v1",
    .needs_descriptor = true,
    .make = [](const CodecInputs& inputs)
        -> absl::StatusOr<std::unique_ptr<Codec>> {
      if (inputs.binding == nullptr) {
        return MakeJsonCodec(inputs.json, inputs.schema, *inputs.method);
      }
      return MakeBoundJsonCodec(inputs.json, inputs.wire, inputs.schema,
                                *inputs.method, *inputs.binding,
                                inputs.media_type);
    },
};

}  // namespace headgate
