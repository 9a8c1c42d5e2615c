// What a hub's stream carries.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/codec/protobuf_wire.h"
#include "gateway/hub/hub_stream.h"
#include "gateway/hub/timestamp.h"

namespace headgate {
namespace {

// Events that leave in one message of the stream, unless one is longer.
constexpr std::size_t kBatchBytes = 64 * 1024;

}  // namespace

void HubStream::Enqueue(QueuedEvent event) {
  queue_bytes_ += event.bytes();
  if (event.kind == QueuedEvent::Kind::kReport) report_bytes_ += event.bytes();
  queue_.push_back(std::move(event));
  host_.FlushSoon();
}

void HubStream::EnqueueDraining() {
  v1::Event event;
  SetTimestamp(host_.clock().WallAt(*drains_until_),
               *event.mutable_draining()->mutable_deadline());
  Enqueue({0, QueuedEvent::Kind::kReport, event.SerializeAsString()});
}

absl::Status HubStream::Acknowledge(std::uint64_t seq) {
  if (!keeps()) {
    return absl::FailedPreconditionError(
        "events are not kept without hub.delivery: at-least-once");
  }
  if (seq > seq_) {
    return absl::InvalidArgumentError(
        absl::StrCat("seq: event ", seq, " was not sent"));
  }
  QueuedEvent event;
  while (kept_.PopUpTo(seq, event)) OnTaken(event);
  return absl::OkStatus();
}

std::string HubStream::HelloBatch() {
  v1::Event event;
  v1::Hello& hello = *event.mutable_hello();
  hello.set_gateway(options_.gateway);
  hello.set_incarnation(incarnation());
  hello.set_route(options_.route);
  hello.set_stream(static_cast<std::uint32_t>(index_));
  hello.set_streams(static_cast<std::uint32_t>(options_.streams()));
  hello.set_resumes(resumes_);
  hello.set_protocol(1);
  std::string batch;
  AppendEvent(0, event.SerializeAsString(), batch);
  return batch;
}

bool HubStream::AppendEvent(Who who, absl::string_view body,
                            std::string& batch) {
  // What is not kept needs no number where the others are acknowledged by it.
  const std::uint64_t seq = keeps() ? 0 : seq_ + 1;
  if (!current_->form->Append(seq, who, body, batch)) return false;
  if (!keeps()) ++seq_;
  return true;
}

std::string HubStream::ReplayBatch() {
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
    v1::Event event = owner_.JoinedEvent(record);
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
    state_ = State::kLive;
  }
  return batch;
}

std::string HubStream::EventBatch() {
  std::string batch;
  while (kept_.has_again() && batch.size() < kBatchBytes) {
    if (!AppendAgain(batch)) return batch;
  }
  while (!queue_.empty() && batch.size() < kBatchBytes) {
    QueuedEvent& event = queue_.front();
    const bool is_kept = keeps() && event.kind != QueuedEvent::Kind::kReport;
    const bool has_place =
        is_kept ? current_->form->Append(seq_ + 1, event.who, event.body, batch)
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

void HubStream::OnTaken(const QueuedEvent& event) {
  if (event.credit > 0) ReturnCredit(event.who, event.credit);
  if (event.kind != QueuedEvent::Kind::kLeft) return;
  owner_.Forget(event.who);
}

bool HubStream::AppendAgain(std::string& batch) {
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
    if (!current_->form->Append(seq, event.who, body, batch)) return false;
  } else if (event.kind != QueuedEvent::Kind::kJoined) {
    if (!current_->form->Append(seq, event.who, event.body, batch)) {
      return false;
    }
  }  // The replay has named those that have joined.
  kept_.SkipAgain();
  return true;
}

void HubStream::DropReports() {
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

void HubStream::ReturnCreditInFlight() {
  for (const auto& [who, bytes] : in_flight_) ReturnCredit(who, bytes);
  in_flight_.clear();
}

}  // namespace headgate
