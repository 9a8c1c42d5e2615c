#include "gateway/session/multiplex_session.h"

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "gateway/session/numbered_call.h"

namespace headgate {
namespace {

// Numbers that are kept for the rest of a stream that is over; the oldest is
// given up for a newer one.
constexpr std::size_t kMostBarred = 1024;
// What one takes in memory, about.
constexpr std::size_t kBarredBytes = 16;

// Calls that a client may open and end by what it sends between two ticks; then
// the rest waits for the next. Without this bound one message of 1 MiB opens
// and resets 85,000 streams in one event loop iteration.
constexpr std::size_t kMostCutShort = 64;

// What a session that has had to wait takes out of its message before others
// that wait have their turn.
constexpr std::size_t kMostInTurn = 4;

}  // namespace

MultiplexSession::MultiplexSession(
    SessionRequest request, std::shared_ptr<const SessionContext> context,
    Transport& transport, Reuse reuse)
    : SessionCore(std::move(request), std::move(context), transport),
      reuse_(reuse) {}

MultiplexSession::~MultiplexSession() = default;

// --- What the client sends ---

void MultiplexSession::OnMessage(WireMessage message) {
  if (!Admit(message)) return;
  TakeIn(std::move(message));
  Pump();
}

void MultiplexSession::OnTurn() { Take(kMostInTurn); }

void MultiplexSession::Pump() { Take(std::numeric_limits<std::size_t>::max()); }

void MultiplexSession::Take(std::size_t most) {
  if (taking_) return;
  std::optional<Turn::Work> work;
  for (std::size_t taken = 0; is_open() && !is_full(); ++taken) {
    if (wind_down().is_draining()) DropInput();
    if (!has_input()) return ReadTransport();
    if (cut_short_ >= kMostCutShort) return;  // OnTick goes on.
    if (Turn* const turn = context_->turn;
        turn != nullptr && (taken > 0 || has_opened_)) {
      if (taken >= most || turn->has_worked_long()) return turn->Next(*this);
      if (!work) work.emplace(*turn);
    }
    taking_ = true;
    const bool has_taken = TakeNext();
    taking_ = false;
    if (!has_taken) return;
  }
}

MultiplexSession::NumberedCall* MultiplexSession::Find(std::uint32_t number) {
  const auto open = calls_.find(number);
  return open == calls_.end() ? nullptr : open->second.get();
}

void MultiplexSession::EndSending(std::uint32_t number) {
  sending_.erase(number);
  barred_.erase(number);
}

void MultiplexSession::HalfCloseAll() {
  const absl::flat_hash_set<std::uint32_t> numbers =
      std::exchange(sending_, {});
  for (const std::uint32_t number : numbers) calls_.at(number)->HalfClose();
}

MultiplexSession::NumberedCall* MultiplexSession::Open(
    std::unique_ptr<NumberedCall> call) {
  const std::uint32_t number = call->number();
  const auto added = calls_.emplace(number, std::move(call));
  sending_.insert(number);
  std::optional<Turn::Work> work;
  if (context_->turn != nullptr) work.emplace(*context_->turn);
  has_opened_ = true;
  added.first->second->Start();
  return Find(number);
}

void MultiplexSession::Refuse(std::uint32_t number, absl::Status status,
                              bool is_barred) {
  if (is_barred) Bar(number);
  SendStatus(number, nullptr, CallEnd{std::move(status), ""});
}

// --- What the client gets ---

void MultiplexSession::Respond(NumberedCall& call, std::string message) {
  wind_down().OnResponse();
  const std::uint32_t number = call.number();
  absl::StatusOr<std::string> encoded = call.Encode(std::move(message));
  if (const std::string type = AwaitedType(encoded.status()); !type.empty()) {
    // Encode has left it as it was.
    return call.AwaitType(
        type, std::move(message));  // NOLINT(bugprone-use-after-move)
  }
  if (!encoded.ok()) return BreakOff(number, CallEnd{encoded.status(), ""});
  Send(*std::move(encoded));
  if (is_full()) {
    withheld_.push_back(number);
  } else {
    call.Read();
  }
}

void MultiplexSession::Bar(std::uint32_t number) {
  if (!barred_.insert(number).second) return;
  barred_order_.push_back(number);
  if (barred_order_.size() > kMostBarred) {
    barred_.erase(barred_order_.front());
    barred_order_.pop_front();
  }
}

void MultiplexSession::BreakOff(std::uint32_t number, const CallEnd& end) {
  if (calls_.at(number)->may_send_more()) Bar(number);
  EndCall(number, end);
}

void MultiplexSession::EndCall(std::uint32_t number, const CallEnd& end) {
  const auto call = calls_.find(number);
  SendStatus(number, call->second.get(), end);
  if (sending_.erase(number) > 0 && reuse_ == Reuse::kAfterHalfClose) {
    Bar(number);
  }
  if (taking_) ++cut_short_;
  TellCallEnded(call->second->known_method(), end.status,
                call->second->began());
  calls_.erase(call);
}

void MultiplexSession::Send(std::string message) {
  outgoing().Data({Opcode::kBinary, std::move(message)});
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
  for (const std::uint32_t number : numbers) {
    if (NumberedCall* call = Find(number)) call->Read();
  }
}

// --- How it ends ---

void MultiplexSession::EncodeEnding(const Ending& ending, Outgoing& out) {
  for (const std::uint32_t number : OpenNumbers()) EndCall(number, ending.end);
  out.End({ending});
}

void MultiplexSession::EndCalls(const absl::Status& status) {
  for (const auto& [number, call] : calls_) {
    TellCallEnded(call->known_method(), status, call->began());
  }
  calls_.clear();
}

Outlook MultiplexSession::outlook() const {
  Outlook outlook;
  outlook.has_ended = calls_.empty();
  outlook.reads_are_withheld = !withheld_.empty();
  outlook.response_is_due = has_input();
  for (const auto& [number, call] : calls_) {
    outlook.reads_are_withheld |= call->withholds_response();
    outlook.response_is_due |= call->answer_is_due();
    outlook.may_respond |= call->may_answer();
  }
  return outlook;
}

void MultiplexSession::TickCalls(absl::Time now) {
  now_ = now;
  has_opened_ = false;
  for (const std::uint32_t number : OpenNumbers()) {
    if (NumberedCall* call = Find(number)) call->OnTick(now);
  }
  if (std::exchange(cut_short_, 0) >= kMostCutShort) Pump();
}

std::vector<std::uint32_t> MultiplexSession::OpenNumbers() const {
  std::vector<std::uint32_t> numbers;
  numbers.reserve(calls_.size());
  for (const auto& [number, call] : calls_) numbers.push_back(number);
  return numbers;
}

// --- What it holds ---

std::size_t MultiplexSession::held_by_messages() const {
  std::size_t bytes = held_input_bytes();
  for (const auto& [number, call] : calls_) bytes += call->held_bytes();
  return bytes;
}

std::size_t MultiplexSession::held_by_calls() const {
  std::size_t bytes = held_by_messages();
  bytes += calls_.size() * context_->upstream->call_bytes();
  for (const auto& [number, call] : calls_) bytes += call->metadata_bytes();
  return bytes + barred_.size() * kBarredBytes;
}

std::size_t MultiplexSession::waiting_bytes() const {
  std::size_t bytes = waiting_input_bytes();
  for (const auto& [number, call] : calls_) bytes += call->pending_bytes();
  return bytes;
}

}  // namespace headgate
