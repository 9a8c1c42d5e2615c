#include "gateway/session/session_core.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/http/identity.h"

namespace headgate {
namespace {

// Clients that the calls of one session may be for.
constexpr std::ptrdiff_t kMostClients = 16;

}  // namespace

SessionCore::SessionCore(SessionRequest request,
                         std::shared_ptr<const SessionContext> context,
                         Transport& transport)
    : Session(std::move(request), std::move(context)),
      transport_(transport),
      outgoing_(context_->limits.answers) {}

void SessionCore::Start(absl::Time now) {
  opened_at_ = now;
  guard_.Start(now);
  ReadTransport();  // From the start: a client that leaves must be noticed.
  Begin(now);
}

// --- What comes from the client ---

void SessionCore::ReadTransport() {
  if (reading_) return;
  reading_ = true;
  transport_.Read();
}

bool SessionCore::Admit(const WireMessage& message, std::size_t messages) {
  reading_ = false;
  if (state_ == State::kOpen && !wind_down_.is_draining()) {
    ++report_.messages_in;
    report_.bytes_in += message.payload.size();
    TapWire(TapEvent::Kind::kRequest, message.opcode, message.payload);
    EndWith(CountMessage(messages, message.payload.size()));
    return state_ == State::kOpen;
  }
  if (state_ <= State::kEnding) ReadTransport();
  return false;
}

void SessionCore::OnControlFrames(std::size_t count) {
  if (state_ == State::kOpen) EndWith(guard_.OnReceived(count, 0));
}

void SessionCore::OnWireBytes(std::size_t bytes) {
  if (state_ == State::kOpen) EndWith(CountWireBytes(bytes));
}

void SessionCore::OnMessageStuck(absl::Duration patience) {
  EndWith(StuckMessage(patience));
}

void SessionCore::OnMessageTooBig(const AnswerWait& wait) {
  reading_ = false;
  if (state_ == State::kOpen) report_.limit = Limit::kMessageBytes;
  Part(Ending{CloseCode::kMessageTooBig,
              CallEnd{absl::ResourceExhaustedError(absl::StrCat(
                          "a message is longer than max_message_bytes (",
                          request_.route->max_message_bytes, ")")),
                      ""}},
       wait);
}

void SessionCore::OnViolation(const Ending& ending, const AnswerWait& wait) {
  reading_ = false;
  Part(ending, wait);
}

// --- What goes to the client ---

void SessionCore::FinishWrite() {
  writing_ = false;
  Flush();
}

void SessionCore::Flush() {
  if (state_ > State::kEnding) return;
  if (outgoing_.has_head()) transport_.SendHead(*outgoing_.TakeHead());
  if (writing_) return;
  if (outgoing_.has_messages()) {
    WireMessage message = outgoing_.TakeMessage(join_bytes_);
    ++report_.messages_out;
    report_.bytes_out += message.payload.size();
    TapWire(TapEvent::Kind::kResponse, message.opcode, message.payload);
    writing_ = true;
    transport_.Write(std::move(message));
  } else if (state_ == State::kEnding) {
    state_ = State::kClosing;
    transport_.Close(*outgoing_.end());
  }
}

absl::Status SessionCore::CountClient(const Metadata& call,
                                      const Metadata& handshake) {
  if (context_->count_identity == nullptr) return absl::OkStatus();
  std::string identity =
      InBandIdentity(context_->identity_claim, call, handshake);
  const bool is_counted =
      identity.empty() || std::any_of(clients_.begin(), clients_.end(),
                                      [&](const CountedClient& client) {
                                        return client.identity == identity;
                                      });
  if (is_counted) return absl::OkStatus();
  if (std::distance(clients_.begin(), clients_.end()) >= kMostClients) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the calls of a socket are for more than ", kMostClients, " clients"));
  }
  std::shared_ptr<void> place = context_->count_identity(identity);
  if (place == nullptr) {
    return absl::ResourceExhaustedError(
        "there are too many sessions of this client");
  }
  clients_.push_front({std::move(identity), std::move(place)});
  return absl::OkStatus();
}

// --- How it ends ---

void SessionCore::EndWith(const Ending& ending) {
  EndWith(ending, ending.end.status);
}

void SessionCore::EndWith(const Ending& ending,
                          const absl::Status& call_status) {
  if (state_ != State::kOpen) return;
  state_ = State::kEnding;
  report_.status = ending.end.status;
  report_.close = ending.close;
  outgoing_.set_head_is_sent(transport_.head_is_sent());
  EncodeEnding(ending, outgoing_);
  ReadTransport();
  Flush();
  EndCalls(call_status);
}

void SessionCore::EndWith(std::optional<SessionGuard::Violation> violation) {
  if (!violation || state_ != State::kOpen) return;
  report_.limit = violation->limit;
  EndWith(violation->ending);
}

void SessionCore::Part(Ending ending, const AnswerWait& wait) {
  if (state_ != State::kOpen || wind_down_.fault() != nullptr) return;
  wind_down_.Part(std::move(ending), wait);
  if (auto now = wind_down_.Check(wait.now, outlook())) {
    return EndWith(*now);
  }
  ReadTransport();  // To see the client leave.
}

void SessionCore::Drain(const DrainOrder& order) {
  if (state_ != State::kOpen || wind_down_.fault() != nullptr) return;
  if (BeginDrain(order)) StartWindDown(order);
}

void SessionCore::StartWindDown(const DrainOrder& order) {
  wind_down_.Drain(order);
  if (auto now = wind_down_.Check(order.now, outlook())) {
    EndWith(*now);
  }
}

void SessionCore::CloseByOperator() {
  EndWith(Ending{CloseCode::kPolicyViolation,
                 CallEnd{absl::CancelledError("closed by the operator"), ""}});
}

void SessionCore::CloseForMemory() {
  if (state_ <= State::kEnding) outgoing_.DropMessages();
  if (state_ == State::kOpen) DropWaiting();
  EndWith(MemoryShort());
  if (state_ != State::kOpen) DropWaiting();
}

void SessionCore::OnTick(absl::Time now) {
  if (state_ != State::kOpen) return;
  EndWith(guard_.OnTick(now, activity()));
  if (state_ != State::kOpen) return;
  if (wind_down_.is_active()) {
    if (auto ending = wind_down_.Check(now, outlook())) {
      return EndWith(*ending);
    }
  }
  TickCalls(now);
}

void SessionCore::OnClosed(const TransportEnd& end) {
  const bool was_open = state_ == State::kOpen;
  if (was_open && has_calls()) {
    report_.status = absl::CancelledError("the client is gone");
  }
  if (state_ <= State::kEnding) report_.close = end.code;
  NoteEnd(end);
  state_ = State::kClosed;
  if (was_open) EndCalls(report_.status);
  OnGone(end);
}

// --- What it holds ---

Buffered SessionCore::buffered() const {
  return {waiting_bytes(), outgoing_.bytes()};
}

std::size_t SessionCore::held_bytes() const {
  return outgoing_.bytes() + held_by_calls();
}

}  // namespace headgate
