#include "gateway/hub/hub_stream.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

// The longest pause before the stream is opened again.
constexpr absl::Duration kLongestBackoff = absl::Seconds(5);
// A backend that does not implement the method is not asked again for so long.
constexpr absl::Duration kUnimplementedPause = absl::Seconds(30);
// A call that has lived for so long works, though the backend says nothing.
constexpr absl::Duration kProof = absl::Seconds(1);
// Reports on commands that may wait for the call before it is read no longer,
// bytes.
constexpr std::size_t kMostReportBytes = 256 * 1024;

}  // namespace

HubStream::HubStream(const HubOptions& options, std::size_t index,
                     Upstream& upstream, HubHost& host, HubRoster& roster,
                     HubCounts& counts, HubStreamOwner& owner)
    : options_(options),
      index_(index),
      upstream_(upstream),
      host_(host),
      roster_(roster),
      counts_(counts),
      owner_(owner) {}

std::string HubStream::incarnation() const {
  // Streams do not share one: each may lose its sessions alone.
  if (options_.streams() == 1) {
    return absl::StrCat(options_.incarnation, "-", incarnation_);
  }
  return absl::StrCat(options_.incarnation, "-", index_, ".", incarnation_);
}

absl::Status HubStream::CheckAdmission() const {
  if (host_.now() < refuse_until_) return refusal_;
  constexpr std::size_t kLeast = 1024 * 1024;
  const std::size_t share = options_.target.events_bytes / options_.streams();
  if (queued_bytes() > 4 * std::max(share, kLeast)) {
    return absl::UnavailableError("the backend does not keep up");
  }
  return absl::OkStatus();
}

void HubStream::Finish() {
  finishing_ = true;
  host_.FlushSoon();
}

void HubStream::Drain(absl::Time deadline) {
  drains_until_ = deadline;
  if (is_up()) EnqueueDraining();
}

void HubStream::OnTick() {
  const absl::Time now = host_.now();
  Prove();
  if (retired_ != nullptr && now >= retired_until_) {
    // What it has not acknowledged is sent again; else it may take its time.
    if (keeps()) {
      DropRetired();
    } else if (!std::exchange(is_overtaken_, true)) {
      host_.FlushSoon();
    }
  }
  // The first call may take as long as a backend may to decide.
  const absl::Duration patience =
      resumes_
          ? options_.target.hold
          : std::max(options_.target.hold, options_.target.admission_timeout);
  const bool has_waited = lost_since_ && owner_.records(*this) > 0 &&
                          !is_up() && now - *lost_since_ >= patience;
  if (has_waited) {
    owner_.Abandon(*this, absl::UnavailableError("the backend is lost"),
                   kCloseSpread);
  }
  if (state_ == State::kLost && now >= retry_at_) host_.FlushSoon();
}

void HubStream::EndIncarnation() {
  // Its Hello is of the incarnation that is over.
  if (state_ == State::kGreeting) DropCurrent();
  DropRetired();
  ++incarnation_;
  const std::uint64_t seq = std::exchange(seq_, 0);
  resumes_ = false;
  for (const QueuedEvent& event : queue_) ReturnCredit(event.who, event.credit);
  queue_.clear();
  QueuedEvent kept;
  while (kept_.PopUpTo(seq, kept)) ReturnCredit(kept.who, kept.credit);
  kept_.Clear();
  queue_bytes_ = report_bytes_ = 0;
  lost_since_.reset();
}

// --- Calls ---

void HubStream::Open() {
  assert(current_ == nullptr);
  state_ = State::kGreeting;
  opened_at_ = host_.now();
  ++counts_.streams_opened;
  current_ = std::make_unique<Call>(*this, counts_.streams_opened,
                                    MakeStreamForm(options_.target, roster_));
  current_->call =
      upstream_.StartCall(CallRequest{options_.target.method, {}}, *current_);
  current_->call->Read();
  current_->call->Write(HelloBatch(), WriteHint::kLast);
}

void HubStream::OnWritten(Call& call) {
  call.writing = false;
  if (&call == retired_.get()) return HalfCloseRetired();
  ReturnCreditInFlight();
  if (state_ == State::kGreeting) OnGreeted();
  host_.FlushSoon();
}

void HubStream::OnGreeted() {
  host_.OnStreamUp(index_, resumes_, owner_.sessions(*this));
  state_ = resumes_ ? State::kReplaying : State::kLive;
  replay_.clear();
  replayed_ = 0;
  if (resumes_) {
    for (const auto& [who, record] : roster_.records()) {
      if (record->is_told && has(who)) replay_.push_back(who);
    }
    std::sort(replay_.rbegin(), replay_.rend());
  }
  resumes_ = true;
  if (drains_until_) EnqueueDraining();
  retired_until_ = host_.now() + kLongestSuccession;
  HalfCloseRetired();
  if (current_->drains) Retire();
}

void HubStream::OnDraining(Call& call) {
  if (&call != current_.get() || finishing_) return;
  call.drains = true;
  if (is_up()) Retire();
}

void HubStream::Retire() {
  const absl::Time now = host_.now();
  Prove();
  retry_at_ = now;
  if (now - opened_at_ < kProof) {  // Not without a pause between them.
    retry_at_ += backoff_;
    backoff_ = std::min(2 * backoff_, kLongestBackoff);
  }
  if (!lost_since_) lost_since_ = now;
  DropRetired();
  retired_ = std::move(current_);
  retired_until_ = absl::InfiniteFuture();
  is_overtaken_ = false;
  ReturnCreditInFlight();
  DropReports();
  state_ = State::kLost;
  host_.FlushSoon();
}

void HubStream::HalfCloseRetired() {
  if (retired_ == nullptr || retired_->writing || !is_up()) return;
  if (!std::exchange(retired_->half_closed, true)) {
    retired_->call->WritesDone();
  }
}

void HubStream::DropRetired() {
  if (retired_ == nullptr) return;
  retired_.reset();
  kept_.Rewind();
  host_.FlushSoon();
}

void HubStream::Pump() {
  if (is_finished()) return;
  if (state_ == State::kNone && needs_call()) {
    state_ = State::kLost;
    if (!lost_since_) lost_since_ = host_.now();
  }
  if (state_ == State::kLost) {
    if (!needs_call()) {
      state_ = State::kNone;
      lost_since_.reset();
    } else if (host_.now() >= retry_at_) {
      Open();
    }
    return;
  }
  if (current_ == nullptr || current_->writing || current_->half_closed) return;
  if (state_ == State::kGreeting || is_held()) return;
  std::string batch;
  if (state_ == State::kReplaying) batch = ReplayBatch();
  if (state_ == State::kLive && batch.empty()) batch = EventBatch();
  if (batch.empty()) {
    ReturnCreditInFlight();  // Of events that have no place in the form.
    const bool is_done = finishing_ && state_ == State::kLive;
    if (is_done && !std::exchange(current_->half_closed, true)) {
      current_->call->WritesDone();
    }
    return;
  }
  current_->writing = true;
  current_->call->Write(std::move(batch), queue_.empty()
                                              ? WriteHint::kLast
                                              : WriteHint::kMoreFollows);
}

void HubStream::OnDone(Call& call, CallEnd end) {
  if (&call == retired_.get()) return DropRetired();
  if (call.half_closed && end.status.ok()) {
    current_.reset();
    state_ = State::kNone;
    return;
  }
  if (end.status.ok()) {
    end.status = absl::UnavailableError("the backend has ended the stream");
  }
  OnLost(end.status);
}

void HubStream::OnLost(const absl::Status& status) {
  const absl::Time now = host_.now();
  Prove();
  const bool was_up = state_ != State::kGreeting;
  DropCurrent();
  host_.OnStreamDown(index_, status, owner_.sessions(*this));
  if (!lost_since_) lost_since_ = now;
  retry_at_ = now + backoff_;
  backoff_ = std::min(2 * backoff_, kLongestBackoff);
  if (absl::IsUnimplemented(status)) {
    refusal_ = absl::UnimplementedError(absl::StrCat(
        "the backend does not implement ", options_.target.method.substr(1)));
    refuse_until_ = retry_at_ = now + kUnimplementedPause;
    owner_.Abandon(*this, refusal_, absl::ZeroDuration());
  } else if (options_.target.on_backend_loss ==
                 HubTarget::OnBackendLoss::kClose &&
             was_up) {
    owner_.Abandon(*this, absl::UnavailableError("the backend is lost"),
                   kCloseSpread);
  }
  host_.FlushSoon();
}

void HubStream::DropCurrent() {
  current_.reset();
  ReturnCreditInFlight();
  DropReports();
  kept_.Rewind();
  state_ = State::kLost;
  ++counts_.streams_lost;
}

// A stream that works ends the time that sessions wait for one.
void HubStream::Prove() {
  if (!is_up() || host_.now() - opened_at_ < kProof) return;
  lost_since_.reset();
  backoff_ = kFirstBackoff;
}

// --- Commands ---

void HubStream::OnMessage(Call& call, std::string payload) {
  call.reading = false;
  call.form->Feed(std::move(payload));
  call.has_commands = true;
  host_.FlushSoon();
}

bool HubStream::may_execute() const {
  return report_bytes_ <= kMostReportBytes && owner_.may_execute(*this);
}

bool HubStream::PumpCommands(absl::Time until) {
  bool is_late = false;
  const bool goes_on =
      retired_ == nullptr || PumpCommands(*retired_, until, is_late);
  if (goes_on && current_ != nullptr) PumpCommands(*current_, until, is_late);
  return !is_late;
}

bool HubStream::PumpCommands(Call& call, absl::Time until, bool& is_late) {
  if (finishing_ && call.has_commands) {  // All sessions have ended.
    call.form->Clear();
    call.has_commands = false;
  }
  while (call.has_commands && may_execute()) {
    if (host_.now() > until) {
      is_late = true;
      return false;
    }
    const absl::StatusOr<std::optional<v1::Command>> command =
        call.form->Next();
    if (!command.ok()) {
      if (&call == retired_.get()) {
        DropRetired();
        return true;
      }
      OnLost(command.status());
      return false;
    }
    if (*command) {
      owner_.Execute(*this, call.number, **command);
    } else {
      call.has_commands = false;
    }
  }
  if (!call.has_commands && !call.reading && may_execute()) {
    call.reading = true;
    call.call->Read();
  }
  return may_execute();
}

}  // namespace headgate
