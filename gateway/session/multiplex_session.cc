#include "gateway/session/multiplex_session.h"

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/codec/json.h"
#include "gateway/session/call.h"
#include "gateway/upstream/schema_source.h"

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

// One call of the session, from its first packet to its status.
//
// It tells its session of its end, which destroys it: nothing is touched
// afterwards.
class MultiplexSession::NumberedCall final : private CallObserver {
 public:
  NumberedCall(MultiplexSession& session, std::uint32_t type, std::uint32_t who,
               const std::string& method)
      : session_(session),
        type_(type),
        who_(who),
        method_(method),
        began_(session.Clock()) {}

  std::uint32_t type() const { return type_; }
  std::uint32_t who() const { return who_; }
  const std::string& method() const { return method_; }
  absl::Time began() const { return began_; }
  std::size_t pending_bytes() const {
    return call_ == nullptr ? early_bytes_ : call_->pending_bytes();
  }

  std::size_t held_bytes() const {
    return call_ == nullptr ? early_bytes_ : call_->held_bytes();
  }

  // May end the call.
  void Start() {
    std::unique_ptr<SchemaSource::Ticket> ticket =
        session_.context_->schemas->Resolve(
            method_, session_.now_,
            [this, alive = std::weak_ptr<int>(alive_)](
                const ResolvedMethod& resolved) {
              if (!alive.expired()) OnResolved(resolved);
            });
    // Null when the answer has come already, and may have ended the call.
    if (ticket != nullptr) ticket_ = std::move(ticket);
  }

  // One message of the client's. May end the call.
  void Send(absl::string_view content) {
    answer_is_due_ = true;
    if (client_ended_) {
      return End(Failed(absl::InvalidArgumentError("data after half-close")));
    }
    if (call_ != nullptr) return Forward(content);
    // As the call's own queue counts.
    if (early_bytes_ > window()) return Overrun();
    early_bytes_ += content.size() + sizeof(std::string);
    early_.emplace_back(content);
  }

  // The client's end packet. May end the call.
  void HalfClose() {
    if (client_ended_) {
      return BreakOff(
          Failed(absl::InvalidArgumentError("half-close after half-close")));
    }
    client_ended_ = true;
    answer_is_due_ = true;
    if (call_ == nullptr) return;  // OnResolved sees to it.
    if (std::optional<Ending> fault = call_->HalfClose()) {
      End(std::move(fault->end));
    }
  }

  // Whether more of the client's messages may be on their way.
  bool may_send_more() const {
    if (client_ended_) return false;
    if (call_ == nullptr) return early_.size() > 1;
    return resolved_.method == nullptr ||
           !TakesOneRequest(resolved_.method->kind);
  }

  // Whether the backend may still answer what the client has sent so far.
  bool may_answer() const {
    return call_ == nullptr ? !early_.empty() || client_ended_
                            : call_->may_answer();
  }
  // And has not begun to since it was sent the last of it.
  bool answer_is_due() const {
    if (call_ == nullptr) return may_answer();
    return call_->pending_bytes() > 0 || call_->awaits_only_answer() ||
           (answer_is_due_ && call_->may_answer());
  }

  // Asks for the next answer.
  void Read() { call_->Read(); }

  // `message` as the content of a packet.
  absl::StatusOr<std::string> Encode(std::string message) const {
    if (multiplex().content == PacketContent::kProtobuf) return message;
    return resolved_.schema->ProtoToJson(resolved_.method->output, message,
                                         session_.request_.route->json.json);
  }

  void OnTick(absl::Time now) {
    const absl::Duration timeout = session_.context_->limits.stall_timeout;
    if (call_ != nullptr && stall_.OnTick(*call_, now, timeout)) {
      BreakOff(Failed(StallStatus(timeout)));
    }
  }

 private:
  const MethodTable& multiplex() const {
    return std::get<MethodTable>(session_.request_.route->target);
  }
  std::size_t window() const { return multiplex().call_window_bytes; }

  void OnResolved(const ResolvedMethod& resolved) {
    resolved_ = resolved;
    if (resolved_.method == nullptr &&
        (resolved_.why_unknown.code() != absl::StatusCode::kUnimplemented ||
         multiplex().content == PacketContent::kJson)) {
      return End(Failed(multiplex().content == PacketContent::kJson
                            ? Annotate(resolved_.why_unknown,
                                       "JSON needs the method's descriptor")
                            : resolved_.why_unknown));
    }
    CallObserver& observer = *this;
    call_ = std::make_unique<Call>(
        resolved_.method != nullptr ? resolved_.method->kind
                                    : MethodKind::kBidiStreaming,
        CallRequest{method_, session_.request_.metadata,
                    session_.request_.timeout},
        // One mark: below the window there is always room for a message.
        Watermarks{window(), window()}, *session_.context_->upstream, observer);
    call_->Read();
    const std::weak_ptr<int> alive = alive_;
    const std::vector<std::string> early = std::move(early_);
    for (const std::string& content : early) {
      Forward(content);
      if (alive.expired()) return;
    }
    if (client_ended_) {
      if (std::optional<Ending> fault = call_->HalfClose()) {
        End(std::move(fault->end));
      }
    }
  }

  // Gives a message to the call, which must be there. May end it.
  void Forward(absl::string_view content) {
    if (call_->backlogged()) return Overrun();
    std::string message;
    if (multiplex().content == PacketContent::kJson) {
      std::variant<std::string, Ending> decoded =
          DecodeJsonText(*resolved_.schema, resolved_.method->input, content,
                         session_.request_.route->json.json);
      if (auto* fault = std::get_if<Ending>(&decoded)) {
        return BreakOff(fault->end);
      }
      message = std::get<std::string>(std::move(decoded));
    } else {
      message = std::string(content);
    }
    if (std::optional<Ending> fault = call_->Send(std::move(message))) {
      BreakOff(fault->end);
    }
  }

  void Overrun() {
    BreakOff(Failed(absl::ResourceExhaustedError(absl::StrCat(
        "more than call_window (", window(), ") waits for the backend"))));
  }

  void End(const CallEnd& end) { session_.EndCall(who_, end); }
  void BreakOff(const CallEnd& end) { session_.BreakOff(who_, end); }

  void OnCallMessage(std::string payload) override {
    answer_is_due_ = false;
    session_.Answer(*this, std::move(payload));
  }
  void OnCallWritable() override {}
  void OnCallDone(CallEnd end) override {
    if (absl::IsUnimplemented(end.status) && end.status.message().empty() &&
        resolved_.method == nullptr) {
      end.status = resolved_.why_unknown;
    }
    End(end);
  }

  MultiplexSession& session_;
  const std::uint32_t type_;
  const std::uint32_t who_;
  const std::string& method_;  // The route's.
  const absl::Time began_;     // As of Session::Clock.
  bool client_ended_ = false;
  // The backend has said nothing since the client has sent something.
  bool answer_is_due_ = false;

  // While the method is being asked for: what the client has sent.
  std::vector<std::string> early_;
  std::size_t early_bytes_ = 0;

  ResolvedMethod resolved_;
  std::unique_ptr<SchemaSource::Ticket> ticket_;
  std::unique_ptr<Call> call_;
  // Since when the client's messages wait, and how many the backend had taken.
  StallWatch stall_;
  // Tells those who may destroy the call that they have.
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

MultiplexSession::MultiplexSession(
    SessionRequest request, std::shared_ptr<const SessionContext> context,
    Transport& transport)
    : Session(std::move(request), std::move(context)),
      transport_(transport),
      answers_(context_->limits.answers) {
  report_.codec = &kPacketDialect;
}

MultiplexSession::~MultiplexSession() = default;

void MultiplexSession::Start(absl::Time now) {
  opened_at_ = now_ = now;
  guard_.Start(now);
  ReadTransport();
}

void MultiplexSession::OnMessage(WireMessage message) {
  reading_ = false;
  if (state_ == State::kEnding) return ReadTransport();  // Taken and dropped.
  if (state_ != State::kOpen) return;
  if (drain_) return ReadTransport();
  ++report_.messages_in;
  report_.bytes_in += message.payload.size();
  EndWith(CountMessage(1, message.payload.size()));
  if (state_ != State::kOpen) return;
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
  while (state_ == State::kOpen && !answers_.full()) {
    if (drain_) incoming_.reset();
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

void MultiplexSession::OnControlFrames(std::size_t count) {
  if (state_ == State::kOpen) EndWith(guard_.OnReceived(count, 0));
}

void MultiplexSession::OnWireBytes(std::size_t bytes) {
  if (state_ == State::kOpen) EndWith(CountWireBytes(bytes));
}

void MultiplexSession::OnMessageStuck(absl::Duration patience) {
  EndWith(StuckMessage(patience));
}

void MultiplexSession::OnMessageTooBig(const AnswerWait& wait) {
  reading_ = false;
  if (state_ == State::kOpen) report_.limit = Limit::kMessageBytes;
  Part(Ending{CloseCode::kMessageTooBig,
              Failed(absl::ResourceExhaustedError(
                  absl::StrCat("a message is longer than max_message_bytes (",
                               request_.route->max_message_bytes, ")")))},
       wait);
}

void MultiplexSession::OnViolation(const Ending& ending,
                                   const AnswerWait& wait) {
  reading_ = false;
  Part(ending, wait);
}

void MultiplexSession::Part(Ending ending, const AnswerWait& wait) {
  if (state_ != State::kOpen || parting_) return;
  parting_ = Parting{std::move(ending), wait, wait.now};
  answered_ = false;
  if (HasParted(wait.now)) return EndWith(parting_->ending);
  ReadTransport();  // To see the client leave.
}

bool MultiplexSession::HasParted(absl::Time now) {
  if (now >= parting_->wait.deadline) return true;
  if (incoming_) return false;
  bool may_answer = false;
  for (const auto& [who, call] : calls_) {
    if (call->answer_is_due()) return false;
    may_answer = may_answer || call->may_answer();
  }
  if (!may_answer) return true;
  if (std::exchange(answered_, false) || !withheld_.empty()) {
    parting_->silent_since = now;
  }
  return now - parting_->silent_since >= kDrainSilence;
}

void MultiplexSession::ReadTransport() {
  if (reading_) return;
  reading_ = true;
  transport_.Read();
}

void MultiplexSession::Answer(NumberedCall& call, std::string message) {
  answered_ = true;
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
  if (answers_.full()) {
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
  const std::size_t bytes = packet.size();
  answers_.Push(std::move(packet), bytes);
  Flush();
}

void MultiplexSession::OnWritten() {
  writing_ = false;
  Flush();
  if (answers_.full()) return;
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

void MultiplexSession::Flush() {
  if (writing_ || state_ == State::kClosing || state_ == State::kClosed) return;
  if (answers_.empty()) {
    if (state_ == State::kEnding) {
      state_ = State::kClosing;
      transport_.Close(ending_);
    }
    return;
  }
  WireMessage message{Opcode::kBinary, answers_.Pop()};
  const std::size_t most =
      packet_options().coalesce == PacketOptions::Coalesce::kOn
          ? packet_options().coalesce_bytes
          : 0;
  while (!answers_.empty() &&
         message.payload.size() + answers_.Front().size() <= most) {
    message.payload += answers_.Pop();
  }
  ++report_.messages_out;
  report_.bytes_out += message.payload.size();
  writing_ = true;
  transport_.Write(std::move(message));
}

void MultiplexSession::EndWith(Ending ending) {
  if (state_ != State::kOpen) return;
  state_ = State::kEnding;
  ending_ = std::move(ending);
  report_.status = ending_.end.status;
  report_.close = ending_.close;
  std::vector<std::uint32_t> numbers;
  for (const auto& [who, call] : calls_) numbers.push_back(who);
  for (const std::uint32_t who : numbers) EndCall(who, ending_.end);
  ReadTransport();
  Flush();
}

void MultiplexSession::EndWithFault(absl::Status status) {
  EndWith(Ending{CloseCode::kProtocolError, Failed(std::move(status))});
}

void MultiplexSession::EndWith(
    std::optional<SessionGuard::Violation> violation) {
  if (!violation || state_ != State::kOpen) return;
  report_.limit = violation->limit;
  EndWith(std::move(violation->ending));
}

void MultiplexSession::Drain(const DrainOrder& order) {
  if (state_ != State::kOpen || parting_) return;
  drain_ = order;
  silent_since_ = order.now;
  answered_ = false;
  if (IsDrained(order.now)) OnTick(order.now);
}

bool MultiplexSession::IsDrained(absl::Time now) {
  if (calls_.empty() || now >= drain_->deadline ||
      now - drain_->now >= kDrainPatience) {
    return true;
  }
  if (std::exchange(answered_, false) || !withheld_.empty()) {
    silent_since_ = now;
  }
  return now - silent_since_ >= kDrainSilence;
}

void MultiplexSession::CloseByOperator() {
  EndWith(Ending{CloseCode::kPolicyViolation,
                 Failed(absl::CancelledError("closed by the operator"))});
}

void MultiplexSession::CloseForMemory() {
  if (state_ <= State::kEnding) answers_.Clear();
  EndWith(MemoryShort());
  if (state_ > State::kOpen) incoming_.reset();
}

std::size_t MultiplexSession::held_bytes() const {
  std::size_t bytes = answers_.bytes() + (incoming_ ? incoming_->size() : 0);
  for (const auto& [who, call] : calls_) bytes += call->held_bytes();
  return bytes;
}

Buffered MultiplexSession::buffered() const {
  Buffered buffered{incoming_ ? incoming_->size() - taken_ : 0,
                    answers_.bytes()};
  for (const auto& [who, call] : calls_) buffered.in += call->pending_bytes();
  return buffered;
}

void MultiplexSession::OnTick(absl::Time now) {
  now_ = now;
  EndWith(guard_.OnTick(now, activity()));
  if (state_ != State::kOpen) return;
  if (parting_ && HasParted(now)) return EndWith(parting_->ending);
  if (drain_ && IsDrained(now)) {
    return EndWith(Ending{CloseCode::kGoingAway,
                          Failed(absl::UnavailableError(drain_->reason))});
  }
  std::vector<std::uint32_t> numbers;
  for (const auto& [who, call] : calls_) numbers.push_back(who);
  for (const std::uint32_t who : numbers) {
    const auto open = calls_.find(who);
    if (open != calls_.end()) open->second->OnTick(now);
  }
  if (std::exchange(cut_short_, 0) >= kMostCutShort) Pump();
}

void MultiplexSession::OnClosed(const TransportEnd& end) {
  if (state_ == State::kOpen) {
    // Nothing was left undone when no call was open.
    if (!calls_.empty()) {
      report_.status = absl::CancelledError("the client is gone");
    }
    report_.close = end.code;
  } else if (state_ == State::kEnding) {
    report_.close = end.code;
  }
  NoteEnd(end);
  state_ = State::kClosed;
  for (const auto& [who, call] : calls_) {
    TellCallEnded(call->method(), report_.status, call->began());
  }
  calls_.clear();
}

}  // namespace headgate
