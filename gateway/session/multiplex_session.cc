#include "gateway/session/multiplex_session.h"

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/codec/dialect.h"
#include "gateway/session/numbered_call.h"

namespace headgate {
namespace {

// Numbers that are kept for the rest of a stream that was broken off; the
// oldest is given up for a newer one.
constexpr std::size_t kMostBarred = 1024;

// Calls that a client may open and end by its own packets between two ticks;
// then its packets wait for the next. Without this bound one message of 1 MiB
// opens and resets 85,000 streams in one event loop iteration.
constexpr std::size_t kMostCutShort = 64;

CallEnd Failed(absl::Status status) { return CallEnd{std::move(status), ""}; }

}  // namespace

MultiplexSession::MultiplexSession(
    SessionRequest request, std::shared_ptr<const SessionContext> context,
    Transport& transport)
    : SessionCore(std::move(request), std::move(context), transport) {
  report_.codec = &kPacketDialect;
  if (packet_options().coalesce == PacketOptions::Coalesce::kOn) {
    set_join_bytes(packet_options().coalesce_bytes);
  }
}

MultiplexSession::~MultiplexSession() = default;

void MultiplexSession::Begin(absl::Time now) { now_ = now; }

// --- Packets of the client ---

void MultiplexSession::OnMessage(WireMessage message) {
  if (!Admit(message)) return;
  if (message.opcode == Opcode::kText) {
    Decoded decoded =
        DecodeTextOfBinaryCodec(kPacketDialect.name, message.payload);
    if (auto* fault = std::get_if<Ending>(&decoded)) {
      return EndWith(std::move(*fault));
    }
    HalfCloseAll();
  } else {
    incoming_ = std::move(message.payload);
    taken_ = 0;
  }
  Pump();
}

void MultiplexSession::Pump() {
  while (is_open() && !is_full()) {
    if (wind_down().is_draining()) incoming_.reset();
    if (!incoming_) return ReadTransport();
    if (cut_short_ >= kMostCutShort) return;  // OnTick goes on.
    const absl::StatusOr<FramedPacket> packet =
        FindPacket(*incoming_, taken_, incoming_->size(), packet_options());
    if (!packet.ok()) return EndWithFault(packet.status());
    if (packet->header.type == kEndPacket && packet->header.content_bytes > 0) {
      return EndWithFault(
          PacketFault(taken_, "length: an end packet with content"));
    }
    taking_ = true;
    Take(*packet);
    taking_ = false;
    taken_ = packet->end;
    if (taken_ == incoming_->size()) incoming_.reset();
  }
}

void MultiplexSession::Take(const FramedPacket& packet) {
  const std::uint32_t type = packet.header.type;
  const std::uint32_t who = packet.header.who;
  const auto open = calls_.find(who);
  if (type == kEndPacket) {
    // It may have crossed the call's status on its way.
    sending_.erase(who);
    barred_.erase(who);
    if (open != calls_.end()) open->second->HalfClose();
    return;
  }
  const absl::string_view content =
      absl::string_view(*incoming_)
          .substr(packet.content, packet.header.content_bytes);
  if (open != calls_.end()) {
    NumberedCall& call = *open->second;
    if (call.type() != type) {
      return BreakOff(
          who, Failed(absl::InvalidArgumentError(absl::StrCat(
                   "type ", type, " for a call of type ", call.type()))));
    }
    return call.Send(content);
  }

  if (barred_.contains(who)) return;  // The rest of what was broken off.

  const auto& multiplex = std::get<MethodTable>(request_.route->target);
  const auto method = multiplex.methods.find(type);
  if (method == multiplex.methods.end()) {
    return EndCall(who, Failed(absl::UnimplementedError(absl::StrCat(
                            "there is no method of type ", type))));
  }
  if (calls_.size() >= static_cast<std::size_t>(multiplex.max_calls)) {
    return EndCall(
        who, Failed(absl::ResourceExhaustedError(absl::StrCat(
                 "more than max_calls (", multiplex.max_calls, ") are open"))));
  }
  const auto added = calls_.emplace(
      who, std::make_unique<NumberedCall>(*this, type, who, method->second));
  sending_.insert(who);
  added.first->second->Start();
  // It may have ended.
  const auto started = calls_.find(who);
  if (started != calls_.end()) started->second->Send(content);
}

void MultiplexSession::HalfCloseAll() {
  const absl::flat_hash_set<std::uint32_t> numbers =
      std::exchange(sending_, {});
  for (const std::uint32_t who : numbers) calls_.at(who)->HalfClose();
}

// --- Packets for the client ---

void MultiplexSession::Answer(NumberedCall& call, std::string message) {
  wind_down().OnResponse();
  const std::uint32_t who = call.who();
  const absl::StatusOr<std::string> content = call.Encode(std::move(message));
  if (!content.ok()) return BreakOff(who, Failed(content.status()));
  if (content->size() > packet_options().max_packet_bytes) {
    return BreakOff(who, Failed(absl::ResourceExhaustedError(absl::StrCat(
                             "an answer of ", content->size(),
                             " bytes is over max_packet_bytes (",
                             packet_options().max_packet_bytes, ")"))));
  }
  SendPacket(call.type(), who, *content);
  if (is_full()) {
    withheld_.push_back(who);
  } else {
    call.Read();
  }
}

void MultiplexSession::BreakOff(std::uint32_t who, const CallEnd& end) {
  if (calls_.at(who)->may_send_more() && barred_.insert(who).second) {
    barred_order_.push_back(who);
    if (barred_order_.size() > kMostBarred) {
      barred_.erase(barred_order_.front());
      barred_order_.pop_front();
    }
  }
  EndCall(who, end);
}

void MultiplexSession::EndCall(std::uint32_t who, const CallEnd& end) {
  SendPacket(kEndPacket, who, SerializeRpcStatus(end));
  sending_.erase(who);
  const auto call = calls_.find(who);
  if (call == calls_.end()) return;  // It was refused.
  if (taking_) ++cut_short_;
  TellCallEnded(call->second->method(), end.status, call->second->began());
  calls_.erase(call);
}

void MultiplexSession::SendPacket(std::uint32_t type, std::uint32_t who,
                                  absl::string_view content) {
  std::string packet;
  packet.reserve(kPacketHeaderBytes + content.size());
  AppendPacketHeader({type, who, content.size()}, packet_options(), packet);
  packet.append(content.data(), content.size());
  outgoing().Data({Opcode::kBinary, std::move(packet)});
  Flush();
}

void MultiplexSession::OnWritten() {
  FinishWrite();
  if (is_full()) return;
  ResumeReads();
  Pump();  // The rest of a message may be waiting to be taken.
}

void MultiplexSession::ResumeReads() {
  const std::vector<std::uint32_t> numbers = std::exchange(withheld_, {});
  for (const std::uint32_t who : numbers) {
    const auto open = calls_.find(who);
    if (open != calls_.end()) open->second->Read();
  }
}

// --- How it ends ---

void MultiplexSession::EncodeEnding(const Ending& ending, Outgoing& out) {
  for (const std::uint32_t who : OpenNumbers()) EndCall(who, ending.end);
  out.End({ending});
}

void MultiplexSession::EndCalls(const absl::Status& status) {
  for (const auto& [who, call] : calls_) {
    TellCallEnded(call->method(), status, call->began());
  }
  calls_.clear();
}

void MultiplexSession::EndWithFault(absl::Status status) {
  EndWith(Ending{CloseCode::kProtocolError, Failed(std::move(status))});
}

Outlook MultiplexSession::outlook() const {
  Outlook outlook;
  outlook.has_ended = calls_.empty();
  outlook.reads_are_withheld = !withheld_.empty();
  outlook.response_is_due = incoming_.has_value();
  for (const auto& [who, call] : calls_) {
    outlook.response_is_due |= call->answer_is_due();
    outlook.may_respond |= call->may_answer();
  }
  return outlook;
}

void MultiplexSession::TickCalls(absl::Time now) {
  now_ = now;
  for (const std::uint32_t who : OpenNumbers()) {
    const auto open = calls_.find(who);
    if (open != calls_.end()) open->second->OnTick(now);
  }
  if (std::exchange(cut_short_, 0) >= kMostCutShort) Pump();
}

std::vector<std::uint32_t> MultiplexSession::OpenNumbers() const {
  std::vector<std::uint32_t> numbers;
  numbers.reserve(calls_.size());
  for (const auto& [who, call] : calls_) numbers.push_back(who);
  return numbers;
}

// --- What it holds ---

std::size_t MultiplexSession::held_by_calls() const {
  std::size_t bytes = incoming_ ? incoming_->size() : 0;
  for (const auto& [who, call] : calls_) bytes += call->held_bytes();
  return bytes;
}

std::size_t MultiplexSession::waiting_bytes() const {
  std::size_t bytes = incoming_ ? incoming_->size() - taken_ : 0;
  for (const auto& [who, call] : calls_) bytes += call->pending_bytes();
  return bytes;
}

}  // namespace headgate
