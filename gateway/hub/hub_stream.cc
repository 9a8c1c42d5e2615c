// The stream to the backend: how it begins, what it carries, how it ends.

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/hub/hub.h"

namespace headgate {
namespace {

// Events that leave in one message of the stream, unless one is longer.
constexpr std::size_t kBatchBytes = 64 * 1024;
// The longest pause before the stream is opened again.
constexpr absl::Duration kLongestBackoff = absl::Seconds(5);
// A backend that does not implement the method is not asked again for so long.
constexpr absl::Duration kUnimplementedPause = absl::Seconds(30);
// A stream that has lived for so long works, though the backend says nothing.
constexpr absl::Duration kProof = absl::Seconds(1);

}  // namespace

void Hub::OpenStream() {
  assert(stream_ == nullptr);
  state_ = StreamState::kGreeting;
  opened_at_ = host_.now();
  ++counts_.streams_opened;
  stream_ = std::make_unique<Stream>(*this, counts_.streams_opened,
                                     MakeStreamForm(options_.target, roster_));
  stream_->call =
      upstream_.StartCall(CallRequest{options_.target.method, {}}, *stream_);
  stream_->call->Read();
  stream_->call->Write(HelloBatch(), WriteHint::kLast);
}

std::string Hub::incarnation() const {
  return absl::StrCat(options_.incarnation, "-", incarnation_);
}

std::string Hub::HelloBatch() {
  v1::Event event;
  v1::Hello& hello = *event.mutable_hello();
  hello.set_gateway(options_.gateway);
  hello.set_incarnation(incarnation());
  hello.set_route(options_.route);
  hello.set_resumes(resumes_);
  hello.set_protocol(1);
  std::string batch;
  AppendEvent(0, event.SerializeAsString(), batch);
  return batch;
}

bool Hub::AppendEvent(Who who, absl::string_view body, std::string& batch) {
  // What is not kept needs no number where the others are acknowledged by it.
  const std::uint64_t seq = keeps() ? 0 : seq_ + 1;
  if (!stream_->form->Append(seq, who, body, batch)) return false;
  if (!keeps()) ++seq_;
  return true;
}

void Hub::OnWritten(Stream& stream) {
  stream.writing = false;
  if (&stream == retired_.get()) return HalfCloseRetired();
  ReturnCreditInFlight();
  if (state_ == StreamState::kGreeting) OnGreeted();
  host_.FlushSoon();
}

void Hub::OnGreeted() {
  host_.OnStreamUp(resumes_, sessions());
  state_ = resumes_ ? StreamState::kReplaying : StreamState::kLive;
  replay_.clear();
  replayed_ = 0;
  if (resumes_) {
    for (const auto& [who, record] : roster_.records()) {
      if (record->is_told) replay_.push_back(who);
    }
    std::sort(replay_.rbegin(), replay_.rend());
  }
  resumes_ = true;
  if (drains_until_) EnqueueDraining();
  retired_until_ = host_.now() + kLongestSuccession;
  HalfCloseRetired();
  if (stream_->drains) Retire();
}

void Hub::OnDraining(Stream& stream) {
  if (&stream != stream_.get() || finishing_) return;
  stream.drains = true;
  if (is_up()) Retire();
}

void Hub::Retire() {
  const absl::Time now = host_.now();
  ProveStream();
  retry_at_ = now;
  if (now - opened_at_ < kProof) {  // Not without a pause between them.
    retry_at_ += backoff_;
    backoff_ = std::min(2 * backoff_, kLongestBackoff);
  }
  if (!lost_since_) lost_since_ = now;
  DropRetired();
  retired_ = std::move(stream_);
  retired_until_ = absl::InfiniteFuture();
  is_overtaken_ = false;
  ReturnCreditInFlight();
  DropReports();
  state_ = StreamState::kLost;
  host_.FlushSoon();
}

void Hub::HalfCloseRetired() {
  if (retired_ == nullptr || retired_->writing || !is_up()) return;
  if (!std::exchange(retired_->half_closed, true)) {
    retired_->call->WritesDone();
  }
}

void Hub::DropRetired() {
  if (retired_ == nullptr) return;
  retired_.reset();
  kept_.Rewind();
  host_.FlushSoon();
}

void Hub::ReturnCreditInFlight() {
  for (const auto& [who, bytes] : in_flight_) ReturnCredit(who, bytes);
  in_flight_.clear();
}

void Hub::PumpStream() {
  if (is_finished()) return;
  if (state_ == StreamState::kNone && needs_stream()) {
    state_ = StreamState::kLost;
    if (!lost_since_) lost_since_ = host_.now();
  }
  if (state_ == StreamState::kLost) {
    if (!needs_stream()) {
      state_ = StreamState::kNone;
      lost_since_.reset();
    } else if (host_.now() >= retry_at_) {
      OpenStream();
    }
    return;
  }
  if (stream_ == nullptr || stream_->writing || stream_->half_closed) return;
  if (state_ == StreamState::kGreeting || is_held()) return;
  std::string batch;
  if (state_ == StreamState::kReplaying) batch = ReplayBatch();
  if (state_ == StreamState::kLive && batch.empty()) batch = EventBatch();
  if (batch.empty()) {
    ReturnCreditInFlight();  // Of events that have no place in the form.
    const bool is_done = finishing_ && state_ == StreamState::kLive;
    if (is_done && !std::exchange(stream_->half_closed, true)) {
      stream_->call->WritesDone();
    }
    return;
  }
  stream_->writing = true;
  stream_->call->Write(std::move(batch), queue_.empty()
                                             ? WriteHint::kLast
                                             : WriteHint::kMoreFollows);
}

std::string Hub::ReplayBatch() {
  std::string batch;
  while (!replay_.empty() && batch.size() < kBatchBytes) {
    const Who who = replay_.back();
    // Left that wait are behind the replay; but the backend may acknowledge one
    // meanwhile that an earlier stream has carried.
    const HubRecord* found = roster_.Find(who);
    if (found == nullptr) {
      replay_.pop_back();
      continue;
    }
    const HubRecord& record = *found;
    v1::Event event = JoinedEvent(record);
    event.mutable_joined()->set_resumed(true);
    event.mutable_joined()->set_asks(record.phase == HubRecord::Phase::kAsking);
    event.mutable_joined()->set_state(record.state);
    if (const QueuedEvent* joined = kept_.Find(record.joined_seq)) {
      // The backend may not have seen it.
      v1::Event first;
      if (first.ParseFromString(joined->body)) {
        event.mutable_joined()->mutable_metadata()->swap(
            *first.mutable_joined()->mutable_metadata());
      }
    }
    if (!AppendEvent(who, event.SerializeAsString(), batch)) return batch;
    replay_.pop_back();
    ++replayed_;
  }
  if (!replay_.empty()) return batch;
  v1::Event event;
  event.mutable_replayed()->set_sessions(replayed_);
  if (AppendEvent(0, event.SerializeAsString(), batch)) {
    state_ = StreamState::kLive;
  }
  return batch;
}

std::string Hub::EventBatch() {
  std::string batch;
  while (kept_.has_again() && batch.size() < kBatchBytes) {
    if (!AppendAgain(batch)) return batch;
  }
  while (!queue_.empty() && batch.size() < kBatchBytes) {
    QueuedEvent& event = queue_.front();
    const bool is_kept = keeps() && event.kind != QueuedEvent::Kind::kReport;
    const bool has_place =
        is_kept ? stream_->form->Append(seq_ + 1, event.who, event.body, batch)
                : AppendEvent(event.who, event.body, batch);
    if (!has_place) break;
    queue_bytes_ -= event.bytes();
    if (event.kind == QueuedEvent::Kind::kReport) {
      report_bytes_ -= event.bytes();
    } else if (event.kind == QueuedEvent::Kind::kJoined) {
      HubRecord& record = *roster_.Find(event.who);
      record.is_told = true;
      if (is_kept) record.joined_seq = seq_ + 1;
    }
    if (is_kept) {
      kept_.Add(++seq_, std::move(event));
    } else {
      if (event.credit > 0) in_flight_.emplace_back(event.who, event.credit);
      event.credit = 0;
      OnTaken(event);
    }
    queue_.pop_front();
  }
  return batch;
}

void Hub::OnTaken(const QueuedEvent& event) {
  if (event.credit > 0) ReturnCredit(event.who, event.credit);
  if (event.kind != QueuedEvent::Kind::kLeft) return;
  roster_.Remove(event.who);
  --gone_;
}

bool Hub::AppendAgain(std::string& batch) {
  const QueuedEvent& event = *kept_.Find(kept_.again());
  const std::uint64_t seq = kept_.again();
  WireField kind;
  const bool is_message =
      WireReader(event.body).Next(kind) &&
      kind.tag == WireTag(v1::Event::kMessageFieldNumber, WireType::kBytes);
  if (is_message) {
    std::string message(kind.bytes);
    AppendVarint(
        WireTag(v1::ClientMessage::kRedeliveredFieldNumber, WireType::kVarint),
        message);
    AppendVarint(1, message);
    std::string body;
    AppendBytesField(v1::Event::kMessageFieldNumber, message, body);
    if (!stream_->form->Append(seq, event.who, body, batch)) return false;
  } else if (event.kind != QueuedEvent::Kind::kJoined) {
    if (!stream_->form->Append(seq, event.who, event.body, batch)) {
      return false;
    }
  }  // The replay has named those that have joined.
  kept_.SkipAgain();
  return true;
}

void Hub::OnDone(Stream& stream, CallEnd end) {
  if (&stream == retired_.get()) return DropRetired();
  if (stream.half_closed && end.status.ok()) {
    stream_.reset();
    state_ = StreamState::kNone;
    return;
  }
  if (end.status.ok()) {
    end.status = absl::UnavailableError("the backend has ended the stream");
  }
  OnLost(end.status);
}

void Hub::OnLost(const absl::Status& status) {
  const absl::Time now = host_.now();
  ProveStream();
  const bool was_up = state_ != StreamState::kGreeting;
  DropStream();
  host_.OnStreamDown(status, sessions());
  if (!lost_since_) lost_since_ = now;
  retry_at_ = now + backoff_;
  backoff_ = std::min(2 * backoff_, kLongestBackoff);
  if (absl::IsUnimplemented(status)) {
    refusal_ = absl::UnimplementedError(absl::StrCat(
        "the backend does not implement ", options_.target.method.substr(1)));
    refuse_until_ = retry_at_ = now + kUnimplementedPause;
    Abandon(refusal_, absl::ZeroDuration());
  } else if (options_.target.on_backend_loss ==
                 HubTarget::OnBackendLoss::kClose &&
             was_up) {
    Abandon(absl::UnavailableError("the backend is lost"), kCloseSpread);
  }
  host_.FlushSoon();
}

void Hub::DropStream() {
  stream_.reset();
  ReturnCreditInFlight();
  DropReports();
  kept_.Rewind();
  state_ = StreamState::kLost;
  ++counts_.streams_lost;
}

void Hub::DropReports() {
  if (report_bytes_ == 0) return;
  std::deque<QueuedEvent> kept;
  for (QueuedEvent& event : queue_) {
    if (event.kind == QueuedEvent::Kind::kReport) {
      ReturnCredit(event.who, event.credit);
    } else {
      kept.push_back(std::move(event));
    }
  }
  queue_ = std::move(kept);
  queue_bytes_ -= std::exchange(report_bytes_, 0);
}

// A stream that works ends the time that sessions wait for one.
void Hub::ProveStream() {
  if (!is_up() || host_.now() - opened_at_ < kProof) return;
  lost_since_.reset();
  backoff_ = kFirstBackoff;
}

}  // namespace headgate
