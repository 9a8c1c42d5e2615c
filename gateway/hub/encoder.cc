#include "gateway/hub/encoder.h"

#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/codec/json_stream.h"
#include "gateway/hub/client_frames.h"

namespace headgate {
namespace {

using Kind = v1::Payload::KindCase;

HubFrame FrameOf(Opcode opcode, std::string payload) {
  return std::make_shared<const WireMessage>(
      WireMessage{opcode, std::move(payload)});
}

// Failures of a codec are the backend's fault here, and told to it.
absl::Status Unfit(const absl::Status& status) {
  return absl::InvalidArgumentError(
      absl::StrCat("payload: ", status.message()));
}

absl::Status CheckJsonText(const std::string& text, const HubForm& form) {
  JsonStream stream(text.size() + 1, form.json.max_depth);
  stream.Feed(text);
  const JsonStream::Event event = stream.Next();
  const bool is_text = std::holds_alternative<JsonStream::Text>(event);
  if (is_text && std::holds_alternative<JsonStream::NeedBytes>(stream.Next()) &&
      !stream.inside_text()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "payload.text: json clients get it, and it is not one JSON text");
}

absl::StatusOr<HubFrame> EncodePacket(const v1::Packet& packet,
                                      const HubForm& form) {
  Outgoing out{Watermarks{}};
  const absl::Status status =
      MakePacketCodec(form.packet)
          ->EncodeMessage(packet.SerializeAsString(), out);
  if (!status.ok()) return Unfit(status);
  return std::make_shared<const WireMessage>(out.TakeMessage(0));
}

absl::StatusOr<HubFrame> EncodeContent(const std::string& content,
                                       const HubForm& form) {
  if (content.size() > form.packet.max_packet_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "payload: ", content.size(), " bytes are over max_packet_bytes (",
        form.packet.max_packet_bytes, ")"));
  }
  std::string bytes;
  bytes.reserve(kPacketHeaderBytes + content.size());
  AppendPacketHeader({form.packet_type, 0, content.size()}, form.packet, bytes);
  bytes += content;
  return FrameOf(Opcode::kBinary, std::move(bytes));
}

absl::StatusOr<HubFrame> ForPacket(const v1::Payload& payload,
                                   const HubForm& form) {
  switch (payload.kind_case()) {
    case Kind::kText:
      return EncodeContent(payload.text(), form);
    case Kind::kBinary:
      return EncodeContent(payload.binary(), form);
    case Kind::kPacket:
      return EncodePacket(payload.packet(), form);
    case Kind::kMessage:
      return EncodeContent(payload.message(), form);
    case Kind::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("payload: is empty");
}

absl::StatusOr<HubFrame> ForJson(const v1::Payload& payload,
                                 const HubForm& form, const Schema* schema) {
  switch (payload.kind_case()) {
    case Kind::kText: {
      const absl::Status status = CheckJsonText(payload.text(), form);
      if (!status.ok()) return status;
      return FrameOf(Opcode::kText, payload.text());
    }
    case Kind::kBinary:
      return FrameOf(
          Opcode::kText,
          absl::StrCat("\"", absl::Base64Escape(payload.binary()), "\""));
    case Kind::kPacket: {
      const v1::Packet& packet = payload.packet();
      if (packet.packets_size() > 0) {
        return absl::InvalidArgumentError(
            "payload.packet: a container has no form in JSON");
      }
      return FrameOf(Opcode::kText,
                     absl::StrCat("{\"type\":", packet.type(),
                                  ",\"who\":", packet.who(), ",\"content\":\"",
                                  absl::Base64Escape(packet.content()), "\"}"));
    }
    case Kind::kMessage: {
      if (form.message.empty()) {
        return absl::InvalidArgumentError(
            "payload.message: json clients get it, and the route has no "
            "hub.message");
      }
      if (schema == nullptr) {
        return absl::UnavailableError(
            "payload.message: the descriptors are not known");
      }
      absl::StatusOr<std::string> json =
          schema->ProtoToJson(form.message, payload.message(), form.json);
      if (!json.ok()) return Unfit(json.status());
      return FrameOf(Opcode::kText, *std::move(json));
    }
    case Kind::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("payload: is empty");
}

absl::StatusOr<HubFrame> ForProtobuf(const v1::Payload& payload) {
  switch (payload.kind_case()) {
    case Kind::kText:
      return FrameOf(Opcode::kBinary, payload.text());
    case Kind::kBinary:
      return FrameOf(Opcode::kBinary, payload.binary());
    case Kind::kPacket:
      return FrameOf(Opcode::kBinary, payload.packet().SerializeAsString());
    case Kind::kMessage:
      return FrameOf(Opcode::kBinary, payload.message());
    case Kind::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("payload: is empty");
}

absl::StatusOr<HubFrame> ForRaw(const v1::Payload& payload,
                                const HubForm& form) {
  switch (payload.kind_case()) {
    case Kind::kText:
      return FrameOf(Opcode::kText, payload.text());
    case Kind::kBinary:
      return FrameOf(Opcode::kBinary, payload.binary());
    case Kind::kPacket:
      return EncodePacket(payload.packet(), form);
    case Kind::kMessage:
      return FrameOf(Opcode::kBinary, payload.message());
    case Kind::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("payload: is empty");
}

// `json`: the payload's for json clients.
absl::StatusOr<HubFrame> FramedJson(const absl::StatusOr<HubFrame>& json,
                                    absl::string_view group,
                                    std::uint64_t offset) {
  if (!json.ok()) return json.status();
  return std::make_shared<const WireMessage>(
      EncodeDelivery((*json)->payload, group, offset, HubCodec::kHubJson));
}

absl::StatusOr<HubFrame> FramedProtobuf(const v1::Payload& payload,
                                        absl::string_view group,
                                        std::uint64_t offset) {
  if (payload.kind_case() == Kind::KIND_NOT_SET) {
    return absl::InvalidArgumentError("payload: is empty");
  }
  return std::make_shared<const WireMessage>(EncodeDelivery(
      payload.SerializeAsString(), group, offset, HubCodec::kHubProtobuf));
}

}  // namespace

absl::StatusOr<HubFrame> EncodePayload(const v1::Payload& payload,
                                       HubCodec codec, const HubForm& form,
                                       const Schema* schema,
                                       absl::string_view group,
                                       std::uint64_t offset) {
  switch (codec) {
    case HubCodec::kPacket:
      return ForPacket(payload, form);
    case HubCodec::kJson:
      return ForJson(payload, form, schema);
    case HubCodec::kProtobuf:
      return ForProtobuf(payload);
    case HubCodec::kRaw:
      return ForRaw(payload, form);
    case HubCodec::kHubJson:
      return FramedJson(ForJson(payload, form, schema), group, offset);
    case HubCodec::kHubProtobuf:
      return FramedProtobuf(payload, group, offset);
  }
  return absl::InternalError("codec");
}

PayloadFrames::PayloadFrames(const v1::Payload& payload, const HubForm& form,
                             const Schema* schema, const Groups* groups,
                             std::uint64_t offset)
    : payload_(payload),
      form_(form),
      schema_(schema),
      groups_(groups),
      offset_(offset) {
  const int names = groups_ == nullptr ? 0 : groups_->size();
  frames_.resize(KindOf(HubCodec::kHubProtobuf,
                        names == 0 ? 0 : static_cast<std::size_t>(names - 1)) +
                 1);
}

// The codecs, and behind them the last two again for each group more.
std::size_t PayloadFrames::KindOf(HubCodec codec, std::size_t group) {
  return static_cast<std::size_t>(codec) + (IsHubClient(codec) ? 2 * group : 0);
}

const absl::StatusOr<HubFrame>& PayloadFrames::For(std::size_t kind) {
  auto& frame = frames_[kind];
  if (frame) return *frame;
  ++encoded_;
  std::size_t codec = kind;
  std::size_t group = 0;
  if (codec >= kHubCodecs) {
    group = (codec - kHubCodecs) / 2 + 1;
    codec -= 2 * group;
  }
  const bool has_group =
      groups_ != nullptr && group < static_cast<std::size_t>(groups_->size());
  frame = Encode(
      static_cast<HubCodec>(codec),
      has_group ? (*groups_)[static_cast<int>(group)] : absl::string_view());
  return *frame;
}

absl::StatusOr<HubFrame> PayloadFrames::Encode(HubCodec codec,
                                               absl::string_view group) {
  if (codec != HubCodec::kJson && codec != HubCodec::kHubJson) {
    return EncodePayload(payload_, codec, form_, schema_, group, offset_);
  }
  if (!json_) json_ = ForJson(payload_, form_, schema_);
  return codec == HubCodec::kJson ? *json_ : FramedJson(*json_, group, offset_);
}

}  // namespace headgate
