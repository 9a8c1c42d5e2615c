#include "gateway/session/call_session.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gateway/codec/dialect.h"

namespace headgate {

CallSession::CallSession(SessionRequest request,
                         std::shared_ptr<const SessionContext> context,
                         Transport& transport)
    : Session(std::move(request), std::move(context)),
      transport_(transport),
      answers_(context_->limits.answers) {}

CallSession::~CallSession() = default;

void CallSession::Start(absl::Time now) {
  opened_at_ = now;
  began_ = Clock();
  guard_.Start(now);
  ReadTransport();  // From the start: a client that leaves must be noticed.
  ticket_ = context_->schemas->Resolve(
      request_.method, now,
      [this](const ResolvedMethod& resolved) { OnResolved(resolved); });
}

void CallSession::OnResolved(const ResolvedMethod& resolved) {
  resolved_ = resolved;
  // Without descriptors a method is taken for bidirectional. But where the
  // upstream could not be asked, a guess would leave a unary call hanging.
  if (resolved_.method == nullptr &&
      resolved_.why_unknown.code() != absl::StatusCode::kUnimplemented) {
    return EndWith(EndingOf(resolved_.why_unknown));
  }
  state_ = State::kOpen;
  const Dialect* dialect =
      request_.codec != nullptr ? request_.codec : request_.route->codec;
  if (dialect != nullptr && !ChooseCodec(*dialect)) return;

  const MethodKind method_kind = resolved_.method != nullptr
                                     ? resolved_.method->kind
                                     : MethodKind::kBidiStreaming;
  CallObserver& observer = *this;
  call_ = std::make_unique<Call>(
      method_kind,
      CallRequest{request_.method, std::move(request_.metadata),
                  request_.timeout, transport_.metadata_delivery()},
      context_->limits.requests, *context_->upstream, observer);
  call_->Read();
  if (early_message_) {
    WireMessage message = *std::exchange(early_message_, std::nullopt);
    OnMessage(std::move(message));
  } else if (codec_ != nullptr) {
    PumpRequests();  // Path and query may be all there is of the request.
  }
}

bool CallSession::ChooseCodec(const Dialect& dialect) {
  if (dialect.needs_descriptor && resolved_.method == nullptr) {
    EndWith(EndingOf(
        Annotate(resolved_.why_unknown,
                 absl::StrCat(absl::AsciiStrToUpper(dialect.name),
                              " needs the method's descriptor"))));
    return false;
  }
  const Route& route = *request_.route;
  absl::StatusOr<std::unique_ptr<Codec>> codec = dialect.make(
      {route.packet, route.json, resolved_.schema, resolved_.method,
       request_.binding ? &*request_.binding : nullptr, request_.wire,
       request_.media_type});
  if (!codec.ok()) {
    EndWith(EndingOf(codec.status()));
    return false;
  }
  codec_ = *std::move(codec);
  report_.codec = &dialect;
  return true;
}

void CallSession::OnMessage(WireMessage message) {
  reading_ = false;
  switch (state_) {
    case State::kResolving:
      early_message_ = std::move(message);
      return;
    case State::kEnding:
      // Taken and dropped: a client that writes before it reads must get as
      // far as the answers and the Close frame.
      return ReadTransport();
    case State::kClosing:
    case State::kClosed:
      return;
    case State::kOpen:
      break;
  }
  if (drain_) return ReadTransport();  // As when it is ending.
  ++report_.messages_in;
  report_.bytes_in += message.payload.size();
  // Over HTTP a message comes in pieces, as many as the network likes.
  const std::size_t messages = request_.wire == JsonWire::kHttp ? 0 : 1;
  EndWith(CountMessage(messages, message.payload.size()));
  if (state_ != State::kOpen) return;
  const bool first = codec_ == nullptr;
  if (first && !ChooseCodec(message.opcode == Opcode::kText
                                ? kJsonDialect
                                : *request_.route->binary_codec)) {
    return;
  }
  codec_->Feed(std::move(message));
  PumpRequests();
  if (first && state_ == State::kOpen && early_answer_) {
    Deliver(*std::exchange(early_answer_, std::nullopt));
  }
}

void CallSession::OnControlFrames(std::size_t count) {
  EndWith(guard_.OnReceived(count, 0));
}

void CallSession::OnWireBytes(std::size_t bytes) {
  EndWith(CountWireBytes(bytes));
}

void CallSession::OnMessageStuck(absl::Duration patience) {
  EndWith(StuckMessage(patience));
}

std::optional<std::uint64_t> CallSession::unfinished_message() const {
  const bool waits =
      state_ == State::kOpen && !parting_ && reading_ && codec_ != nullptr;
  if (!waits || !codec_->inside_message()) return std::nullopt;
  return requests_;
}

void CallSession::OnMessageTooBig(const AnswerWait& wait) {
  reading_ = false;
  if (state_ <= State::kOpen) report_.limit = Limit::kMessageBytes;
  Part(Ending{CloseCode::kMessageTooBig,
              CallEnd{absl::ResourceExhaustedError(absl::StrCat(
                          "a message is longer than max_message_bytes (",
                          request_.route->max_message_bytes, ")")),
                      ""}},
       wait);
}

void CallSession::OnViolation(const Ending& ending, const AnswerWait& wait) {
  reading_ = false;
  Part(ending, wait);
}

void CallSession::Part(Ending ending, const AnswerWait& wait) {
  if (state_ > State::kOpen || parting_) return;
  parting_ = Parting{std::move(ending), wait, wait.now};
  answered_ = false;
  if (HasParted(wait.now)) return EndWith(parting_->ending);
  ReadTransport();  // To see the client leave.
}

bool CallSession::HasParted(absl::Time now) {
  if (now >= parting_->wait.deadline) return true;
  if (state_ == State::kResolving) return !early_message_;
  if (call_->pending_bytes() > 0) return false;
  if (!call_->may_answer()) return true;
  if (call_->awaits_only_answer() || answer_is_due_) return false;
  if (std::exchange(answered_, false) || call_read_withheld_) {
    parting_->silent_since = now;
  }
  return now - parting_->silent_since >= kDrainSilence;
}

void CallSession::PumpRequests() {
  while (state_ == State::kOpen && !call_->backlogged()) {
    if (drain_) return ReadTransport();
    Decoded decoded = codec_->Next();
    std::optional<Ending> fault;
    if (std::holds_alternative<NeedInput>(decoded)) {
      return ReadTransport();
    } else if (auto* message = std::get_if<RequestMessage>(&decoded)) {
      ++requests_;
      answer_is_due_ = true;
      fault = call_->Send(std::move(message->payload));
    } else if (std::holds_alternative<HalfClose>(decoded)) {
      answer_is_due_ = true;
      fault = call_->HalfClose();
    } else {
      fault = std::move(std::get<Ending>(decoded));
    }
    if (fault) EndWith(*std::move(fault));
  }
}

void CallSession::ReadTransport() {
  if (reading_) return;
  reading_ = true;
  transport_.Read();
}

void CallSession::OnCallHeaders(Metadata headers) {
  transport_.OnCallHeaders(headers);
}

void CallSession::OnCallWritable() { PumpRequests(); }

void CallSession::OnCallMessage(std::string payload) {
  answered_ = true;
  answer_is_due_ = false;
  if (codec_ == nullptr) {
    early_answer_ = std::move(payload);
    return;
  }
  Deliver(std::move(payload));
}

void CallSession::Deliver(std::string answer) {
  absl::StatusOr<WireMessage> message = codec_->EncodeAnswer(std::move(answer));
  if (!message.ok()) return EndWith(EndingOf(message.status()));
  const std::size_t bytes = message->payload.size();
  answers_.Push(*std::move(message), bytes);
  FlushAnswers();
  ReadCall();
}

void CallSession::ReadCall() {
  call_read_withheld_ = answers_.full();
  if (!call_read_withheld_) call_->Read();
}

void CallSession::OnWritten() {
  writing_ = false;
  FlushAnswers();
  if (state_ == State::kOpen && call_read_withheld_) ReadCall();
}

void CallSession::FlushAnswers() {
  if (writing_) return;
  if (!answers_.empty()) {
    WireMessage message = answers_.Pop();
    if (codec_ != nullptr) {
      const std::size_t most = codec_->coalesce_bytes();
      while (most > 0 && !answers_.empty() &&
             message.payload.size() + answers_.Front().payload.size() <= most) {
        message.payload += answers_.Pop().payload;
      }
    }
    ++report_.messages_out;
    report_.bytes_out += message.payload.size();
    writing_ = true;
    transport_.Write(std::move(message));
  } else if (state_ == State::kEnding) {
    state_ = State::kClosing;
    transport_.Close(ending_);
  }
}

void CallSession::OnCallDone(CallEnd end) {
  // Servers say UNIMPLEMENTED without a word; here it is known what is.
  if (absl::IsUnimplemented(end.status) && end.status.message().empty() &&
      resolved_.method == nullptr) {
    end.status = resolved_.why_unknown;
  }
  if (parting_) return EndWith(parting_->ending, end.status);
  EndWith(EndingOf(std::move(end)));
}

void CallSession::EndWith(Ending ending) {
  const absl::Status call_status = ending.end.status;
  EndWith(std::move(ending), call_status);
}

void CallSession::EndWith(Ending ending, const absl::Status& call_status) {
  if (state_ != State::kResolving && state_ != State::kOpen) return;
  state_ = State::kEnding;
  ending_ = std::move(ending);
  report_.status = ending_.end.status;
  report_.close = ending_.close;
  transport_.OnEnding(ending_);
  if (codec_ != nullptr) {
    if (std::optional<WireMessage> last = codec_->EncodeEnd(ending_)) {
      const std::size_t bytes = last->payload.size();
      answers_.Push(*std::move(last), bytes);
    }
  }
  ReadTransport();
  FlushAnswers();
  EndCall(call_status);
}

void CallSession::EndWith(std::optional<SessionGuard::Violation> violation) {
  if (!violation || state_ > State::kOpen) return;
  report_.limit = violation->limit;
  EndWith(std::move(violation->ending));
}

void CallSession::EndCall(const absl::Status& status) {
  const bool known =
      resolved_.method != nullptr ||
      std::holds_alternative<FixedMethod>(request_.route->target);
  TellCallEnded(known ? request_.method : "", status, began_);
  ticket_.reset();
  call_.reset();
}

void CallSession::OnTick(absl::Time now) {
  if (state_ > State::kOpen) return;
  EndWith(guard_.OnTick(now, activity()));
  if (parting_ && state_ <= State::kOpen && HasParted(now)) {
    return EndWith(parting_->ending);
  }
  if (state_ != State::kOpen) return;
  if (drain_ && IsDrained(now)) {
    return EndWith(Ending{CloseCode::kGoingAway,
                          CallEnd{absl::UnavailableError(drain_->reason), ""}});
  }
  const absl::Duration timeout = context_->limits.stall_timeout;
  if (stall_.OnTick(*call_, now, timeout)) {
    report_.limit = Limit::kStall;
    EndWith(EndingOf(StallStatus(timeout)));
  }
}

bool CallSession::is_at_rest() const {
  return state_ == State::kOpen && !drain_ && !parting_ && !call_->writing();
}

// While the client takes its time there may be more behind what it has not
// taken: then nothing is known of the backend's silence.
bool CallSession::IsDrained(absl::Time now) {
  if (now >= drain_->deadline) return true;
  if (call_->awaits_only_answer()) return false;
  if (now - drain_->now >= kDrainPatience) return true;
  if (std::exchange(answered_, false) || call_read_withheld_) {
    silent_since_ = now;
  }
  return now - silent_since_ >= kDrainSilence;
}

void CallSession::Drain(const DrainOrder& order) {
  if (state_ > State::kOpen || parting_) return;
  if (state_ == State::kResolving) {
    return EndWith(Ending{CloseCode::kGoingAway,
                          CallEnd{absl::UnavailableError(order.reason), ""}});
  }
  drain_ = order;
  silent_since_ = order.now;
  answered_ = false;
}

void CallSession::CloseByOperator() {
  EndWith(Ending{CloseCode::kPolicyViolation,
                 CallEnd{absl::CancelledError("closed by the operator"), ""}});
}

void CallSession::CloseForMemory() {
  early_message_.reset();
  early_answer_.reset();
  if (state_ <= State::kEnding) answers_.Clear();
  EndWith(MemoryShort());
  // What it holds of the client's text; nothing is decoded any more.
  if (state_ > State::kOpen) codec_.reset();
}

std::size_t CallSession::held_bytes() const {
  std::size_t bytes = answers_.bytes();
  if (call_ != nullptr) bytes += call_->held_bytes();
  if (codec_ != nullptr) bytes += codec_->held_bytes();
  if (early_message_) bytes += early_message_->payload.size();
  if (early_answer_) bytes += early_answer_->size();
  return bytes;
}

Buffered CallSession::buffered() const {
  Buffered buffered;
  if (call_ != nullptr) buffered.in = call_->pending_bytes();
  buffered.out = answers_.bytes();
  return buffered;
}

void CallSession::OnClosed(const TransportEnd& end) {
  const bool was_open = state_ <= State::kOpen;
  if (was_open) {
    report_.status = absl::CancelledError("the client is gone");
    report_.close = end.code;
  } else if (state_ == State::kEnding) {
    report_.close = end.code;
  }
  NoteEnd(end);
  state_ = State::kClosed;
  if (was_open) EndCall(report_.status);
}

}  // namespace headgate
