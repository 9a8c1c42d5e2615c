#include "gateway/hub/decoder.h"

#include <optional>
#include <utility>

#include "gateway/codec/dialect.h"
#include "gateway/codec/json.h"
#include "gateway/codec/json_text.h"
#include "gateway/codec/packet.h"
#include "gateway/codec/passthrough.h"
#include "gateway/codec/protobuf_wire.h"

namespace headgate {
namespace {

// Fields of headgate.v1.Payload, ClientMessage and Event.
enum class PayloadField : std::uint32_t {
  kText = 1,
  kBinary = 2,
  kPacket = 3,
  kMessage = 4,
};
constexpr std::uint32_t kPayloadOfMessage = 1;
constexpr std::uint32_t kMessageOfEvent = 5;

std::size_t FieldBytes(std::size_t bytes) {
  return 1 + VarintSize(bytes) + bytes;
}

void AppendHead(std::uint32_t number, std::size_t bytes, std::string& out) {
  AppendVarint(WireTag(number, WireType::kBytes), out);
  AppendVarint(bytes, out);
}

HubEventBody EventOf(PayloadField field, absl::string_view bytes) {
  const std::size_t payload = FieldBytes(bytes.size());
  const std::size_t message = FieldBytes(payload);
  HubEventBody event;
  event.bytes.reserve(FieldBytes(message));
  AppendHead(kMessageOfEvent, message, event.bytes);
  AppendHead(kPayloadOfMessage, payload, event.bytes);
  AppendBytesField(static_cast<std::uint32_t>(field), bytes, event.bytes);
  return event;
}

class PacketDecoder final : public HubDecoder {
 public:
  explicit PacketDecoder(const HubForm& form)
      : codec_(MakePacketCodec(form.packet)) {}

  void Feed(WireMessage message) override { codec_->Feed(std::move(message)); }
  std::size_t held_bytes() const override { return codec_->held_bytes(); }
  Event Next() override {
    for (;;) {
      Decoded decoded = codec_->Next();
      if (std::holds_alternative<NeedInput>(decoded)) return NeedInput{};
      if (auto* ending = std::get_if<Ending>(&decoded))
        return std::move(*ending);
      if (const auto* packet = std::get_if<RequestMessage>(&decoded)) {
        return EventOf(PayloadField::kPacket, packet->payload);
      }
    }
  }

 private:
  const std::unique_ptr<Codec> codec_;
};

class PlainDecoder final : public HubDecoder {
 public:
  explicit PlainDecoder(HubCodec codec) : codec_(codec) {}

  void Feed(WireMessage message) override { message_ = std::move(message); }
  std::size_t held_bytes() const override {
    return message_ ? message_->payload.size() : 0;
  }
  Event Next() override {
    if (!message_) return NeedInput{};
    const WireMessage message = *std::exchange(message_, std::nullopt);
    const bool is_text = message.opcode == Opcode::kText;
    if (codec_ == HubCodec::kRaw) {
      return EventOf(is_text ? PayloadField::kText : PayloadField::kBinary,
                     message.payload);
    }
    if (!is_text) return EventOf(PayloadField::kMessage, message.payload);
    Decoded decoded =
        DecodeTextOfBinaryCodec(kProtobufDialect.name, message.payload);
    if (auto* ending = std::get_if<Ending>(&decoded)) return std::move(*ending);
    return NeedInput{};
  }

 private:
  const HubCodec codec_;
  std::optional<WireMessage> message_;
};

class JsonDecoder final : public HubDecoder {
 public:
  JsonDecoder(const HubForm& form, std::shared_ptr<const Schema> schema)
      : form_(form),
        schema_(std::move(schema)),
        stream_(form.max_message_bytes, form.json.max_depth) {}

  void Feed(WireMessage message) override {
    stream_.Feed(std::move(message.payload));
  }
  bool inside_message() const override { return stream_.inside_text(); }
  std::size_t held_bytes() const override { return stream_.held_bytes(); }
  Event Next() override {
    if (waiting_) return Decode(*std::exchange(waiting_, std::nullopt));
    const JsonStream::Event event = stream_.Next();
    if (std::holds_alternative<JsonStream::NeedBytes>(event)) {
      return NeedInput{};
    }
    if (const auto* fault = std::get_if<JsonStream::Fault>(&event)) {
      return JsonFault(*fault);
    }
    return Decode(std::get<JsonStream::Text>(event).json);
  }

 private:
  Event Decode(absl::string_view json) {
    if (form_.message.empty()) return EventOf(PayloadField::kText, json);
    JsonError error;
    const absl::StatusOr<std::string> message =
        schema_->JsonToProto(form_.message, json, form_.json, error);
    if (message.ok()) return EventOf(PayloadField::kMessage, *message);
    if (!type_wait_.IsFor(error)) return JsonMismatch(stream_, error);
    waiting_ = json;
    return NeedType{type_wait_.type()};
  }

  const HubForm& form_;
  const std::shared_ptr<const Schema> schema_;
  JsonStream stream_;
  TypeWait type_wait_;
  // The stream's text that waits for a type.
  std::optional<absl::string_view> waiting_;
};

}  // namespace

HubEventBody MessageEvent(const v1::Payload& payload) {
  std::string message;
  AppendBytesField(kPayloadOfMessage, payload.SerializeAsString(), message);
  HubEventBody event;
  AppendBytesField(kMessageOfEvent, message, event.bytes);
  return event;
}

void AppendBytesField(std::uint32_t number, absl::string_view bytes,
                      std::string& out) {
  AppendHead(number, bytes.size(), out);
  out.append(bytes.data(), bytes.size());
}

std::unique_ptr<HubDecoder> MakeHubDecoder(
    HubCodec codec, const HubForm& form, std::shared_ptr<const Schema> schema) {
  switch (codec) {
    case HubCodec::kPacket:
      return std::make_unique<PacketDecoder>(form);
    case HubCodec::kJson:
      return std::make_unique<JsonDecoder>(form, std::move(schema));
    case HubCodec::kHubJson:
    case HubCodec::kHubProtobuf:
      return MakeFrameDecoder(codec, form, std::move(schema));
    case HubCodec::kProtobuf:
    case HubCodec::kRaw:
      break;
  }
  return std::make_unique<PlainDecoder>(codec);
}

}  // namespace headgate
