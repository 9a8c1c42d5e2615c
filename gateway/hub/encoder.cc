#include "gateway/hub/encoder.h"

#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/codec/json_stream.h"

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

}  // namespace

absl::StatusOr<HubFrame> EncodePayload(const v1::Payload& payload,
                                       HubCodec codec, const HubForm& form,
                                       const Schema* schema) {
  switch (codec) {
    case HubCodec::kPacket:
      return ForPacket(payload, form);
    case HubCodec::kJson:
      return ForJson(payload, form, schema);
    case HubCodec::kProtobuf:
      return ForProtobuf(payload);
    case HubCodec::kRaw:
      return ForRaw(payload, form);
  }
  return absl::InternalError("codec");
}

const absl::StatusOr<HubFrame>& PayloadFrames::For(HubCodec codec) {
  auto& frame = frames_[static_cast<std::size_t>(codec)];
  if (!frame) {
    frame = EncodePayload(payload_, codec, form_, schema_);
    ++encoded_;
  }
  return *frame;
}

}  // namespace headgate
