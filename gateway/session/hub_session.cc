#include "gateway/session/hub_session.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "gateway/base/varint.h"
#include "gateway/codec/protobuf_wire.h"
#include "gateway/hub/client_frames.h"

namespace headgate {
namespace {

// Fields of headgate.v1.Event.
constexpr std::uint32_t kBacklogOfEvent = 9;
constexpr std::uint32_t kSentOfEvent = 10;
constexpr std::uint32_t kPongOfEvent = 11;

void AppendNumber(std::uint32_t number, std::uint64_t value, std::string& out) {
  if (value == 0) return;
  AppendVarint(WireTag(number, WireType::kVarint), out);
  AppendVarint(value, out);
}

// A serialized headgate.v1.Event with a Sent.
HubEventBody SentEvent(HubReport report) {
  std::string sent;
  AppendVarint(WireTag(1, WireType::kVarint), sent);
  AppendVarint(report.command, sent);
  HubEventBody event;
  AppendBytesField(kSentOfEvent, sent, event.bytes);
  event.report_of = report.stream;
  return event;
}

// A serialized headgate.v1.Event with a Backlog.
HubEventBody BacklogEvent(std::uint64_t queued, bool over,
                          std::uint64_t dropped) {
  std::string backlog;
  AppendNumber(1, queued, backlog);
  AppendNumber(2, over ? 1 : 0, backlog);
  AppendNumber(3, dropped, backlog);
  HubEventBody event;
  AppendBytesField(kBacklogOfEvent, backlog, event.bytes);
  return event;
}

// A serialized headgate.v1.Event with a Pong.
HubEventBody PongEvent(absl::Duration round_trip) {
  std::string duration;  // A google.protobuf.Duration.
  AppendNumber(1,
               static_cast<std::uint64_t>(absl::IDivDuration(
                   round_trip, absl::Seconds(1), &round_trip)),
               duration);
  AppendNumber(2,
               static_cast<std::uint64_t>(absl::ToInt64Nanoseconds(round_trip)),
               duration);
  std::string pong;
  AppendBytesField(1, duration, pong);
  HubEventBody event;
  AppendBytesField(kPongOfEvent, pong, event.bytes);
  return event;
}

}  // namespace

HubSession::HubSession(SessionRequest request,
                       std::shared_ptr<const SessionContext> context,
                       std::unique_ptr<HubMember> member, Transport& transport)
    : SessionCore(std::move(request), std::move(context), transport),
      transport_(transport),
      member_(std::move(member)),
      form_(transport.frame_form()),
      queue_(member_->target().slow) {
  report_.codec = request_.codec;
  member_->SetObserver(this);
}

HubSession::~HubSession() = default;

void HubSession::Begin(absl::Time now) {
  if (IsHubClient(member_->codec())) {
    QueueOwn(WelcomeFrame(request_.id, request_.token_expiry - Clock().steady));
  }
  const bool needs_schema =
      HasJson(member_->codec()) && !member_->form().message.empty();
  if (!needs_schema) {
    decoder_ = MakeHubDecoder(member_->codec(), member_->form());
    return;
  }
  SchemaSource::SnapshotOr found = context_->schemas->Get(
      now, [this](const absl::StatusOr<SchemaSnapshot>& snapshot) {
        OnSchema(snapshot);
      });
  if (const auto* snapshot =
          std::get_if<absl::StatusOr<SchemaSnapshot>>(&found)) {
    return OnSchema(*snapshot);
  }
  ticket_ = std::get<std::unique_ptr<SchemaSource::Ticket>>(std::move(found));
}

void HubSession::OnSchema(const absl::StatusOr<SchemaSnapshot>& snapshot) {
  if (!snapshot.ok()) return EndWith(EndingOf(snapshot.status()));
  decoder_ =
      MakeHubDecoder(member_->codec(), member_->form(), snapshot->schema);
  if (early_message_) {
    decoder_->Feed(*std::exchange(early_message_, std::nullopt));
    PumpEvents();
  }
}

// --- What the client sends ---

void HubSession::OnMessage(WireMessage message) {
  if (!Admit(message)) return;
  if (decoder_ == nullptr) {
    early_message_ = std::move(message);
    return;
  }
  decoder_->Feed(std::move(message));
  PumpEvents();
}

void HubSession::PumpEvents() {
  while (is_open() && !is_reading() && decoder_ != nullptr &&
         !type_pause_.is_active() && member_->MaySay()) {
    if (wind_down().is_active()) return ReadTransport();
    HubDecoder::Event event = decoder_->Next();
    if (std::holds_alternative<NeedInput>(event)) return ReadTransport();
    if (auto* fault = std::get_if<Ending>(&event)) {
      cause_ = HubDeparture::Cause::kViolation;
      return EndWith(*fault);
    }
    if (const auto* need = std::get_if<NeedType>(&event)) {
      type_pause_.Begin(*context_->schemas, need->full_name,
                        [this] { PumpEvents(); });
      continue;
    }
    if (auto* request = std::get_if<HubRequest>(&event)) {
      member_->Ask(std::move(*request));
    } else if (const auto* answer = std::get_if<HubAnswer>(&event)) {
      QueueOwn(answer->frame);
    } else {
      member_->Say(std::get<HubEventBody>(std::move(event)));
    }
  }
}

void HubSession::OnPong(absl::Duration round_trip) {
  if (!is_open() || !member_->target().reports_pongs || !member_->has_room()) {
    return;
  }
  member_->Say(PongEvent(std::max(round_trip, absl::ZeroDuration())));
}

std::optional<std::uint64_t> HubSession::unfinished_message() const {
  const bool waits = is_open() && is_reading() && decoder_ != nullptr;
  if (!waits || !decoder_->inside_message()) return std::nullopt;
  return report_.messages_in;
}

// --- What goes to the client ---

void HubSession::OnHubFrame(ws::SharedFrame& frame, const HubDeliver& deliver) {
  Queue(frame, deliver.policy, deliver.key, deliver.report);
}

void HubSession::QueueOwn(ws::SharedFrame& frame) {
  Queue(frame, MemberQueue::Policy::kDisconnect);
}

ws::SharedFrame HubSession::FrameOf(const v1::HubServerFrame& frame) {
  const WireMessage message = EncodeServerFrame(frame, member_->codec());
  return ws::SharedFrame(member_->frames(), message.opcode, message.payload);
}

void HubSession::QueueOwn(const v1::HubServerFrame& frame) {
  ws::SharedFrame own = FrameOf(frame);
  QueueOwn(own);
}

void HubSession::OnHubExpiry(absl::Time at) {
  const Moment now = Clock();
  guard_.ExpireAt(now.SteadyAt(at));
  if (IsHubClient(member_->codec()) && at < absl::InfiniteFuture()) {
    QueueOwn(ExpiryFrame(at - now.wall));
  }
}

void HubSession::Queue(ws::SharedFrame& frame, MemberQueue::Policy policy,
                       const std::string& key, HubReport report) {
  if (!is_open()) return;
  TapWire(TapEvent::Kind::kResponse, frame.opcode(), frame.payload());
  // What a client that takes its messages gets must not replace each other.
  const bool may_replace = !queue_.empty() && !writing_ &&
                           policy == MemberQueue::Policy::kKeepLatest;
  if (queue_.is_crowded() || may_replace) PumpQueue();
  const MemberQueue::Result result = queue_.Push(
      frame.For(form_), frame.payload().size(), policy, key, report);
  if (result == MemberQueue::Result::kTooSlow) return EndSlow();
  OnQueueChanged();
  if (!writing_) PumpInSlice();
  ReportBacklog();
}

void HubSession::PumpInSlice() {
  if (member_->slices() == nullptr) {
    PumpQueue();
  } else {
    member_->slices()->Add(*this);
  }
}

void HubSession::OnSlice() {
  PumpQueue();
  if (is_open()) ReportBacklog();
}

void HubSession::TickCalls(absl::Time now) {
  type_pause_.OnTick(now);
  if (!is_open()) return;
  ReportSent();
  if (queue_.Enforce() == MemberQueue::Result::kTooSlow) return EndSlow();
  OnQueueChanged();
  ReportBacklog();
}

void HubSession::EndSlow() {
  cause_ = HubDeparture::Cause::kSlow;
  EndWith(EndingOf(absl::ResourceExhaustedError("too slow")));
  // It may take the rest, and the Close frame, much later or never.
  Depart({TransportEnd::Cause::kClosedByGateway, report_.close, ""});
}

// Messages wait in queue_, where the policy can still drop them.
void HubSession::PumpQueue() {
  while (is_open() && !writing_ && !queue_.empty()) {
    const MemberQueue::Frames frames = queue_.Front();
    const Transport::FramesTaken taken =
        transport_.WriteFrames(frames, ws::WriteUntil::kRoom);
    member_->CountSend();
    for (std::size_t i = 0; i < taken.count; ++i) {
      written_ += frames[i].size();
      const HubReport report = queue_.report(i);
      if (report.command != 0) reported_.push_back({written_, report});
    }
    report_.messages_out += taken.count;
    report_.bytes_out += queue_.Pop(taken.count);
    writing_ = taken.is_pending;
  }
  OnQueueChanged();
  ReportSent();
}

void HubSession::OnQueueChanged() {
  if (queue_.empty()) {
    member_->pinned().Release(*this);
  } else {
    member_->pinned().Hold(*this);
  }
  const bool holds = is_open() && queue_.HoldsStream(holds_stream_);
  if (std::exchange(holds_stream_, holds) == holds) return;
  member_->Wait(holds       ? HubWait::kBegins
                : is_open() ? HubWait::kTaken
                            : HubWait::kEnded);
}

void HubSession::ReportSent() {
  if (reported_.empty()) return;
  const std::uint64_t sent =
      written_ - std::min<std::uint64_t>(written_, transport_.unsent_bytes());
  while (!reported_.empty() && reported_.front().end <= sent) {
    member_->Say(SentEvent(reported_.front().report));
    reported_.pop_front();
  }
}

void HubSession::OnWritten() {
  writing_ = false;
  PumpInSlice();
  if (is_open()) ReportBacklog();
}

void HubSession::CountDropped() {
  member_->CountDropped(queue_.dropped() -
                        std::exchange(dropped_counted_, queue_.dropped()));
}

void HubSession::ReportBacklog() {
  CountDropped();
  // Later, where the backend takes no events.
  if (!member_->has_room() || !queue_.TakeCrossing()) return;
  const std::uint64_t dropped =
      queue_.dropped() - std::exchange(dropped_told_, queue_.dropped());
  member_->Say(BacklogEvent(queue_.bytes(), queue_.is_over(), dropped));
}

// --- How it ends ---

void HubSession::OnHubClose(const HubClose& close, ws::SharedFrame* farewell) {
  if (!is_open()) return;
  if (close.cause == HubDeparture::Cause::kSlow) return EndSlow();
  cause_ = close.cause;
  if (farewell != nullptr) farewell_ = farewell->For(form_);
  if (close.now) DropQueue();
  EndWith(close.ending);
  // A close code of the application's has no status of its own.
  if (close.ending.close == CloseCode::kNormal) {
    report_.status = absl::OkStatus();
  }
  if (close.cause != HubDeparture::Cause::kReplaced) return;
  // Its client is elsewhere: the connection may end much later.
  Depart({TransportEnd::Cause::kClosedByGateway, report_.close, ""});
}

void HubSession::EncodeEnding(const Ending& ending, Outgoing& out) {
  // A client that is too slow would take it even later.
  if (cause_ == HubDeparture::Cause::kSlow) DropQueue();
  MemberQueue::Frames last = queue_.Front(queue_.messages());
  report_.messages_out += last.size();
  report_.bytes_out += queue_.Pop(last.size());
  OnQueueChanged();
  if (farewell_) last.push_back(std::move(farewell_));
  if (IsHubClient(member_->codec())) {
    last.push_back(FrameOf(EndFrame(ending.end.status)).For(form_));
  }
  if (!last.empty()) transport_.WriteLastFrames(last);
  out.End({ending});
}

void HubSession::EndCalls(const absl::Status& /*status*/) {
  if (state() != State::kClosed && !cause_) cause_ = CauseOfEnding();
  ticket_.reset();
  type_pause_.Cancel();
  early_message_.reset();
}

HubDeparture::Cause HubSession::CauseOfEnding() const {
  if (report_.limit == Limit::kTokenExpiry) return HubDeparture::Cause::kToken;
  if (report_.limit && *report_.limit != Limit::kMaxAge &&
      *report_.limit != Limit::kIdle && *report_.limit != Limit::kMemory) {
    return HubDeparture::Cause::kViolation;
  }
  if (wind_down().fault() != nullptr) return HubDeparture::Cause::kViolation;
  return HubDeparture::Cause::kGateway;
}

void HubSession::OnGone(const TransportEnd& end) { Depart(end); }

void HubSession::Depart(const TransportEnd& end) {
  CountDropped();
  using Cause = TransportEnd::Cause;
  HubDeparture departure;
  departure.code = report_.close;
  departure.reason = end.reason;
  departure.messages_unsent = unsent_ + queue_.messages();
  departure.lasted = Clock().steady - opened_at();
  switch (end.cause) {
    case Cause::kClosedByClient:
      departure.cause = HubDeparture::Cause::kClient;
      break;
    case Cause::kLost:
      departure.cause = HubDeparture::Cause::kLost;
      break;
    case Cause::kSendTimeout:
    case Cause::kKeepaliveTimeout:
      departure.cause = HubDeparture::Cause::kTimeout;
      break;
    case Cause::kBrokenByClient:
      departure.cause = HubDeparture::Cause::kViolation;
      break;
    case Cause::kClosedByGateway:
    case Cause::kAborted:
      departure.cause = HubDeparture::Cause::kGateway;
      break;
  }
  if (cause_) {
    departure.cause = *cause_;
    departure.reason = std::string(report_.status.message());
  }
  member_->Depart(std::move(departure));
}

void HubSession::DropQueue() {
  unsent_ += queue_.messages();
  queue_.Clear();
  OnQueueChanged();
}

void HubSession::DropWaiting() {
  DropQueue();
  early_message_.reset();
  if (!is_open()) decoder_.reset();
}

Outlook HubSession::outlook() const {
  Outlook outlook;
  outlook.has_ended = true;
  return outlook;
}

bool HubSession::is_at_rest() const {
  return is_open() && !wind_down().is_active() && queue_.empty() &&
         reported_.empty() && !type_pause_.is_active();
}

std::size_t HubSession::held_by_calls() const {
  return queue_.bytes() + (decoder_ == nullptr ? 0 : decoder_->held_bytes()) +
         (early_message_ ? early_message_->payload.size() : 0);
}

}  // namespace headgate
