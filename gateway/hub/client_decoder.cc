// What clients send that speak a codec of hubs.

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include "gateway/codec/dialect.h"
#include "gateway/codec/json_text.h"
#include "gateway/hub/client_frames.h"
#include "gateway/hub/decoder.h"

namespace headgate {
namespace {

using Event = HubDecoder::Event;

// What frames mean, whatever their form is.
class FrameDecoder : public HubDecoder {
 public:
  Event Next() override {
    if (answer_) return *std::exchange(answer_, std::nullopt);
    for (;;) {
      if (std::optional<Event> event = NextFrame()) return *std::move(event);
    }
  }

 protected:
  // Nothing for a frame that changes nothing.
  virtual std::optional<Event> NextFrame() = 0;

  // `bytes`: of the frame on the wire.
  std::optional<Event> EventsOf(v1::HubClientFrame frame, std::size_t bytes) {
    const std::uint32_t id = frame.id();
    const bool is_first = std::exchange(is_first_, false);
    switch (frame.kind_case()) {
      case v1::HubClientFrame::kPayload: {
        if (frame.payload().kind_case() == v1::Payload::KIND_NOT_SET) {
          return Failed(id, absl::InvalidArgumentError("payload: is empty"));
        }
        if (id != 0) answer_ = HubAnswer{OkFrame(id)};
        return MessageEvent(frame.payload());
      }
      case v1::HubClientFrame::kJoin:
      case v1::HubClientFrame::kLeave:
      case v1::HubClientFrame::kPublish:
      case v1::HubClientFrame::kToken:
        return HubRequest{
            std::make_unique<v1::HubClientFrame>(std::move(frame)), bytes};
      case v1::HubClientFrame::kResume:
        if (id == 0) {
          return Failed(id, absl::InvalidArgumentError("resume: needs an id"));
        }
        if (!is_first) {
          return Failed(id, absl::FailedPreconditionError(
                                "resume: must be the first frame"));
        }
        return HubRequest{
            std::make_unique<v1::HubClientFrame>(std::move(frame)), bytes};
      case v1::HubClientFrame::kHalfClose:
        if (id == 0) return std::nullopt;
        return HubAnswer{OkFrame(id)};
      case v1::HubClientFrame::KIND_NOT_SET:
        break;
    }
    return Failed(id, absl::InvalidArgumentError(
                          "the frame has none of payload, join, leave, "
                          "publish, resume, token and half_close"));
  }

  // Without an `id` there is no other way to report it than the session's end.
  static Event Failed(std::uint32_t id, const absl::Status& status) {
    if (id == 0) return EndingOf(status);
    return HubAnswer{FailureFrame(id, status)};
  }

 private:
  std::optional<HubAnswer> answer_;
  bool is_first_ = true;  // There was no frame before.
};

class ProtobufFrames final : public FrameDecoder {
 public:
  void Feed(WireMessage message) override { message_ = std::move(message); }
  std::size_t held_bytes() const override {
    return message_ ? message_->payload.size() : 0;
  }

 private:
  std::optional<Event> NextFrame() override {
    if (!message_) return NeedInput{};
    const WireMessage message = *std::exchange(message_, std::nullopt);
    if (message.opcode == Opcode::kText) {
      Decoded decoded =
          DecodeTextOfBinaryCodec(kHubProtobufDialect.name, message.payload);
      if (auto* ending = std::get_if<Ending>(&decoded)) {
        return std::move(*ending);
      }
      return NeedInput{};
    }
    absl::StatusOr<v1::HubClientFrame> frame =
        ParseClientFrame(message.payload);
    if (!frame.ok()) return EndingOf(frame.status());
    return EventsOf(*std::move(frame), message.payload.size());
  }

  std::optional<WireMessage> message_;
};

class JsonFrames final : public FrameDecoder {
 public:
  JsonFrames(const HubForm& form, std::shared_ptr<const Schema> schema)
      : form_(form),
        schema_(std::move(schema)),
        stream_(form.max_message_bytes, form.json.max_depth) {}

  void Feed(WireMessage message) override {
    stream_.Feed(std::move(message.payload));
  }
  bool inside_message() const override { return stream_.inside_text(); }
  std::size_t held_bytes() const override { return stream_.held_bytes(); }

 private:
  std::optional<Event> NextFrame() override {
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

  std::optional<Event> Decode(absl::string_view json) {
    JsonError error;
    absl::StatusOr<JsonClientFrame> parsed =
        ParseJsonClientFrame(json, form_.json, error);
    if (!parsed.ok()) return JsonMismatch(stream_, error);
    if (parsed->payload.empty()) {
      return EventsOf(std::move(parsed->frame), json.size());
    }
    v1::Payload& payload =
        parsed->frame.has_payload()
            ? *parsed->frame.mutable_payload()
            : *parsed->frame.mutable_publish()->mutable_payload();
    if (form_.message.empty()) {
      payload.set_text(std::string(parsed->payload));
      return EventsOf(std::move(parsed->frame), json.size());
    }
    absl::StatusOr<std::string> message =
        schema_->JsonToProto(form_.message, parsed->payload, form_.json, error);
    if (message.ok()) {
      payload.set_message(*std::move(message));
      return EventsOf(std::move(parsed->frame), json.size());
    }
    if (type_wait_.IsFor(error)) {
      waiting_ = json;
      return NeedType{type_wait_.type()};
    }
    error.offset +=
        static_cast<std::size_t>(parsed->payload.data() - json.data());
    Ending ending = JsonMismatch(stream_, error);
    if (parsed->frame.id() == 0) return ending;
    return Failed(parsed->frame.id(), ending.end.status);
  }

  const HubForm& form_;
  const std::shared_ptr<const Schema> schema_;
  JsonStream stream_;
  TypeWait type_wait_;
  // The stream's text that waits for a type.
  std::optional<absl::string_view> waiting_;
};

}  // namespace

std::unique_ptr<HubDecoder> MakeFrameDecoder(
    HubCodec codec, const HubForm& form, std::shared_ptr<const Schema> schema) {
  if (codec == HubCodec::kHubJson) {
    return std::make_unique<JsonFrames>(form, std::move(schema));
  }
  return std::make_unique<ProtobufFrames>();
}

}  // namespace headgate
