#include "gateway/session/packet_session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/codec/dialect.h"
#include "gateway/codec/json.h"
#include "gateway/codec/json_text.h"
#include "gateway/session/numbered_call.h"

namespace headgate {
namespace {

std::string PacketOf(std::uint32_t type, std::uint32_t who,
                     absl::string_view content, const PacketOptions& options) {
  std::string packet;
  packet.reserve(kPacketHeaderBytes + content.size());
  AppendPacketHeader({type, who, content.size()}, options, packet);
  packet.append(content.data(), content.size());
  return packet;
}

}  // namespace

class PacketSession::PacketCall final : public NumberedCall {
 public:
  PacketCall(PacketSession& session, std::uint32_t type, std::uint32_t who,
             const std::string& method)
      : NumberedCall(
            session, who,
            {{method, session.request_.metadata, session.request_.timeout},
             session.table().call_window_bytes,
             session.table().content == PacketContent::kJson}),
        route_(*session.request_.route),
        type_(type) {}

  std::uint32_t type() const { return type_; }

  absl::StatusOr<std::string> Encode(std::string&& response) override {
    const PacketOptions& options = route_.packet;
    if (is_json()) {
      absl::StatusOr<std::string> json =
          response_wait_.Convert([&](std::string* awaited_type) {
            return resolved().schema->ProtoToJson(resolved().method->output,
                                                  response, route_.json.json,
                                                  awaited_type);
          });
      if (!json.ok()) return json;
      response = *std::move(json);
    }
    if (response.size() > options.max_packet_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "an answer of ", response.size(), " bytes is over max_packet_bytes (",
          options.max_packet_bytes, ")"));
    }
    return PacketOf(type_, number(), response, options);
  }

 private:
  bool is_json() const {
    return std::get<MethodTable>(route_.target).content == PacketContent::kJson;
  }
  Decoded Decode(std::string& content) override {
    if (!is_json()) return RequestMessage{std::move(content)};
    std::string awaited_type;
    std::variant<std::string, Ending> message =
        DecodeJsonText(*resolved().schema, resolved().method->input, content,
                       route_.json.json, &awaited_type);
    if (auto* decoded = std::get_if<std::string>(&message)) {
      return RequestMessage{std::move(*decoded)};
    }
    if (request_wait_.IsFor(awaited_type)) {
      return NeedType{std::move(awaited_type)};
    }
    return std::get<Ending>(std::move(message));
  }

  const Route& route_;  // The session's.
  const std::uint32_t type_;
  TypeWait request_wait_, response_wait_;
};

PacketSession::PacketSession(SessionRequest request,
                             std::shared_ptr<const SessionContext> context,
                             Transport& transport)
    : MultiplexSession(std::move(request), std::move(context), transport,
                       Reuse::kAtOnce) {
  report_.codec = &kPacketDialect;
  if (packet_options().coalesce == PacketOptions::Coalesce::kOn) {
    set_join_bytes(packet_options().coalesce_bytes);
  }
}

void PacketSession::TakeIn(WireMessage message) {
  if (message.opcode == Opcode::kText) {
    Decoded decoded =
        DecodeTextOfBinaryCodec(kPacketDialect.name, message.payload);
    if (auto* fault = std::get_if<Ending>(&decoded)) {
      return EndWith(*fault);
    }
    return HalfCloseAll();
  }
  incoming_ = std::move(message.payload);
  taken_ = 0;
}

bool PacketSession::TakeNext() {
  const absl::StatusOr<FramedPacket> packet =
      FindPacket(*incoming_, taken_, incoming_->size(), packet_options());
  if (!packet.ok()) {
    EndWithFault(packet.status());
    return false;
  }
  if (packet->header.type == kEndPacket && packet->header.content_bytes > 0) {
    EndWithFault(PacketFault(taken_, "length: an end packet with content"));
    return false;
  }
  Take(*packet);
  taken_ = packet->end;
  // The session may have ended meanwhile, and dropped it.
  if (incoming_ && taken_ == incoming_->size()) incoming_.reset();
  return true;
}

void PacketSession::Take(const FramedPacket& packet) {
  const std::uint32_t type = packet.header.type;
  const std::uint32_t who = packet.header.who;
  auto* call = static_cast<PacketCall*>(Find(who));
  if (type == kEndPacket) {
    // It may have crossed the call's status on its way.
    EndSending(who);
    if (call != nullptr) call->HalfClose();
    return;
  }
  std::string content =
      incoming_->substr(packet.content, packet.header.content_bytes);
  if (call != nullptr) {
    if (call->type() != type) {
      return call->Fail(
          {absl::InvalidArgumentError(absl::StrCat(
               "type ", type, " for a call of type ", call->type())),
           ""});
    }
    return call->Send(std::move(content));
  }

  if (IsBarred(who)) return;  // The rest of what was broken off.

  const auto method = table().methods.find(type);
  if (method == table().methods.end()) {
    return Refuse(who,
                  absl::UnimplementedError(
                      absl::StrCat("there is no method of type ", type)),
                  false);
  }
  if (open_calls() >= max_calls()) {
    return Refuse(who,
                  absl::ResourceExhaustedError(absl::StrCat(
                      "more than max_calls (", max_calls(), ") are open")),
                  false);
  }
  NumberedCall* opened =
      Open(std::make_unique<PacketCall>(*this, type, who, method->second));
  if (opened != nullptr) opened->Send(std::move(content));
}

void PacketSession::SendStatus(std::uint32_t number, NumberedCall*,
                               const CallEnd& end) {
  Send(PacketOf(kEndPacket, number, SerializeRpcStatus(end), packet_options()));
}

void PacketSession::EndWithFault(absl::Status status) {
  EndWith(Ending{CloseCode::kProtocolError, CallEnd{std::move(status), ""}});
}

}  // namespace headgate
