#include "gateway/hub/hub.h"

#include <algorithm>
#include <cassert>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gateway/base/utf8.h"
#include "gateway/codec/protobuf_wire.h"
#include "gateway/hub/decoder.h"
#include "gateway/hub/timestamp.h"

namespace headgate {
namespace {

constexpr absl::string_view CodecName(HubCodec codec) {
  switch (codec) {
    case HubCodec::kPacket:
      return "packet";
    case HubCodec::kJson:
      return "json";
    case HubCodec::kProtobuf:
      return "protobuf";
    case HubCodec::kRaw:
      return "raw";
    case HubCodec::kHubJson:
      return "hub-json";
    case HubCodec::kHubProtobuf:
      return "hub-protobuf";
  }
  return "";
}

void SetDuration(absl::Duration duration, google::protobuf::Duration& to) {
  const std::int64_t nanos = absl::ToInt64Nanoseconds(duration);
  to.set_seconds(nanos / 1'000'000'000);
  to.set_nanos(static_cast<std::int32_t>(nanos % 1'000'000'000));
}

// Of HubRecord::blockers.
constexpr std::uint64_t BitOf(std::size_t stream) {
  return std::uint64_t{1} << (stream % 64);
}

// How many of n sessions that are closed over `spread` are due: the first is at
// once, the last when the time is up.
std::size_t DueOf(std::size_t n, absl::Duration passed, absl::Duration spread) {
  if (n == 0) return 0;
  const double share = spread == absl::ZeroDuration()
                           ? 1
                           : std::min(1.0, absl::FDivDuration(passed, spread));
  return 1 + static_cast<std::size_t>(share * static_cast<double>(n - 1));
}

}  // namespace

Hub::Hub(Options options, Upstream& upstream, HubHost& host)
    : options_(std::move(options)),
      host_(host),
      roster_(host.engine(), Observer()),
      outbox_(options_.workers),
      outstanding_(options_.workers) {
  for (std::size_t index = 0; index < options_.streams(); ++index) {
    shards_.push_back(std::make_unique<Shard>(options_, index, upstream, host,
                                              roster_, counts_, StreamOwner()));
  }
}

Hub::~Hub() {
  EndWaiters(absl::UnavailableError("the gateway stops"),
             [](const Waiter&) { return true; });
}

// --- What workers report ---

void Hub::OnEvents(std::size_t worker, HubEvents events) {
  outstanding_[worker] -= std::min(outstanding_[worker], events.cost_done);
  counts_.dropped += events.dropped;
  counts_.sends += events.sends;
  for (const absl::Duration fanout : events.fanouts) {
    counts_.fanout.Observe(absl::ToDoubleSeconds(fanout));
  }
  for (const auto& [who, wait] : events.waits) Take(who, wait);
  for (HubEvent& event : events.events) {
    if (std::holds_alternative<HubRequest>(event.what) ||
        delayed_of_.contains(event.who)) {
      Delay(std::move(event));
    } else {
      TakeNow(event);
    }
  }
  host_.FlushSoon();
}

void Hub::TakeNow(HubEvent& event) {
  if (auto* arrival = std::get_if<std::unique_ptr<HubArrival>>(&event.what)) {
    Take(event.who, **arrival);
  } else if (auto* body = std::get_if<HubEventBody>(&event.what)) {
    Take(event.who, std::move(*body));
  } else if (auto* request = std::get_if<HubRequest>(&event.what)) {
    Take(event.who, std::move(*request));
  } else {
    Take(event.who, std::get<HubDeparture>(event.what));
  }
}

void Hub::Take(Who who, HubArrival& arrival) {
  const absl::Time now = host_.now();
  Shard& shard = ShardOf(who);
  if (absl::Status status = shard.stream.CheckAdmission(); !status.ok()) {
    return TurnAway(who, arrival.asks, status);
  }
  HubRecord record;
  record.who = who;
  record.codec = arrival.codec;
  record.session = std::move(arrival.session);
  record.peer = std::move(arrival.peer);
  record.opened_at = arrival.opened_at;
  record.variables = std::move(arrival.variables);
  const absl::StatusOr<std::vector<std::string>> groups = RouteGroups(record);
  if (!groups.ok()) return TurnAway(who, arrival.asks, groups.status());
  if (arrival.asks) {
    record.phase = HubRecord::Phase::kAsking;
    record.deadline =
        shard.waits.StreamTime(now) + options_.target.admission_timeout;
    shard.asking.emplace_back(record.deadline, who);
  }
  HubRecord& added = roster_.Add(std::move(record));
  ++shard.records;
  if (!arrival.asks) {
    for (const std::string& group : *groups) {
      // The configuration has fewer groups than one session may have.
      roster_.Join(added, group, groups->size()).IgnoreError();
    }
  }
  v1::Event event = JoinedEvent(added);
  v1::Joined& joined = *event.mutable_joined();
  joined.set_asks(arrival.asks);
  for (const auto& [key, value] : arrival.metadata) {
    std::string& text = (*joined.mutable_metadata())[key];
    if (!text.empty()) text += ',';
    text += IsBinaryKey(key) ? absl::Base64Escape(value) : value;
  }
  ++counts_.joined;
  shard.stream.Enqueue(
      {who, QueuedEvent::Kind::kJoined, event.SerializeAsString()});
  if (!arrival.asks) BeginTokens(added);
}

absl::StatusOr<std::vector<std::string>> Hub::RouteGroups(
    const HubRecord& record) const {
  std::vector<std::pair<std::string, std::string>> variables;
  for (const Parameter& variable : record.variables) {
    // It becomes a string of protobuf, which the backend could not parse.
    if (ValidUtf8Prefix(variable.value) != variable.value.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat(variable.field, " in the path is not UTF-8"));
    }
    variables.emplace_back(absl::StrCat("{", variable.field, "}"),
                           variable.value);
  }
  std::vector<std::string> groups;
  for (const std::string& pattern : options_.target.groups) {
    groups.push_back(absl::StrReplaceAll(pattern, variables));
    const absl::Status status = CheckGroupName(groups.back());
    if (!status.ok()) return status;
  }
  return groups;
}

v1::Event Hub::JoinedEvent(const HubRecord& record) const {
  v1::Event event;
  v1::Joined& joined = *event.mutable_joined();
  *joined.mutable_session() = InfoOf(record);
  for (const Parameter& variable : record.variables) {
    (*joined.mutable_path_variables())[variable.field] = variable.value;
  }
  return event;
}

v1::SessionInfo Hub::InfoOf(const HubRecord& record) const {
  v1::SessionInfo session;
  session.set_session(record.session);
  session.set_gateway(options_.gateway);
  session.set_route(options_.route);
  session.set_user(record.user);
  session.set_peer(record.peer);
  session.set_codec(std::string(CodecName(record.codec)));
  for (const auto& [key, value] : record.data) {
    (*session.mutable_data())[key] = value;
  }
  for (const HubGroup* group : record.groups) session.add_groups(group->name);
  SetTimestamp(host_.clock().WallAt(record.opened_at),
               *session.mutable_opened_at());
  if (record.expires_at < absl::InfiniteFuture()) {
    SetTimestamp(record.expires_at, *session.mutable_expires_at());
  }
  return session;
}

void Hub::OnMembership(const HubRecord& record, const HubGroup& group,
                       bool joins) {
  Presence* const presence = host_.presence();
  if (presence == nullptr || !presence->IsWatched(group.name)) return;
  if (joins) {
    presence->OnJoined(group.name, InfoOf(record));
  } else {
    presence->OnLeft(group.name, record.session);
  }
}

void Hub::TurnAway(Who who, bool asks, const absl::Status& status) {
  if (asks)
    return Tell(WorkerOf(who),
                HubRefuse{who, status, HubDeparture::Cause::kGateway}, 0);
  TellClose({who}, EndingOf(status), HubDeparture::Cause::kGateway);
}

void Hub::TellClose(const std::vector<Who>& whos, const Ending& ending,
                    HubDeparture::Cause cause) {
  std::vector<std::vector<Who>> by_worker(options_.workers);
  for (const Who who : whos) by_worker[WorkerOf(who)].push_back(who);
  for (std::size_t worker = 0; worker < by_worker.size(); ++worker) {
    if (by_worker[worker].empty()) continue;
    const std::size_t cost = by_worker[worker].size() * sizeof(Who);
    Tell(worker,
         HubClose{std::move(by_worker[worker]), ending, cause, nullptr, false},
         cost);
  }
}

void Hub::Take(Who who, HubEventBody event) {
  const std::size_t credit = event.bytes.size() + kHubEventCost;
  const HubRecord* record = roster_.Find(who);
  if (record == nullptr || record->phase == HubRecord::Phase::kGone) {
    return ReturnCredit(who, credit);
  }
  if (event.report_of == 0) {
    constexpr std::uint32_t kMessage =
        WireTag(v1::Event::kMessageFieldNumber, WireType::kBytes);
    WireField kind;
    if (WireReader(event.bytes).Next(kind) && kind.tag == kMessage) {
      ++counts_.messages;
    }
    return ShardOf(who).stream.Enqueue(
        {who, QueuedEvent::Kind::kOther, std::move(event.bytes), credit});
  }
  if (event.report_of == kApiReports) {
    v1::Event sent;
    if (sent.ParseFromString(event.bytes)) {
      const auto waiter = waiters_.find(sent.sent().command());
      if (waiter != waiters_.end()) {
        const SentCallback done = std::move(waiter->second.done);
        waiters_.erase(waiter);
        done(absl::OkStatus());
      }
    }
    return ReturnCredit(who, credit);
  }
  for (const auto& shard : shards_) {  // Of that which the command came on.
    if (!shard->stream.is_current(event.report_of)) continue;
    return shard->stream.Enqueue(
        {who, QueuedEvent::Kind::kReport, std::move(event.bytes), credit});
  }
  ReturnCredit(who, credit);
}

void Hub::Take(Who who, const HubDeparture& departure) {
  HubRecord* record = roster_.Find(who);
  if (record == nullptr || record->phase == HubRecord::Phase::kGone) return;
  record->phase = HubRecord::Phase::kGone;
  Shard& shard = ShardOf(who);
  ++shard.gone;
  Take(who, HubWait::kEnded);
  roster_.LeaveAll(*record);
  shard.group_requests.Drop(who);
  EndWaiters(absl::UnavailableError("the session has ended"),
             [who](const Waiter& waiter) { return waiter.who == who; });
  EndResuming(who, true);
  v1::Event event;
  v1::Left& left = *event.mutable_left();
  v1::SessionEnd& end = *left.mutable_end();
  end.set_code(static_cast<std::uint32_t>(departure.code));
  end.set_reason(ToUtf8(departure.reason));
  end.set_cause(static_cast<v1::SessionEnd::Cause>(departure.cause));
  end.set_messages_unsent(departure.messages_unsent);
  SetDuration(departure.lasted, *left.mutable_lasted());
  left.set_state(record->state);
  ++counts_.left;
  if (departure.cause == HubDeparture::Cause::kSlow) ++counts_.slow;
  shard.stream.Enqueue(
      {who, QueuedEvent::Kind::kLeft, event.SerializeAsString()});
}

void Hub::Forget(Who who) {
  roster_.Remove(who);
  --ShardOf(who).records;
  --ShardOf(who).gone;
}

void Hub::ReturnCredit(HubCredit credit) {
  if (credit.bytes == 0 && credit.shared_bytes == 0) return;
  std::vector<HubCredit>& all = outbox_[WorkerOf(credit.who)].credit;
  if (!all.empty() && all.back().who == credit.who) {
    all.back().bytes += credit.bytes;
    all.back().shared_bytes += credit.shared_bytes;
  } else {
    all.push_back(credit);
  }
  host_.FlushSoon();
}

bool Hub::is_idle() const {
  // A backend that acknowledges nothing does not keep it alive.
  const auto is_idle = [](const auto& shard) {
    return shard->records == shard->stream.unacknowledged_lefts() &&
           !shard->closing;
  };
  return std::all_of(shards_.begin(), shards_.end(), is_idle) &&
         delayed_.empty() &&
         std::all_of(
             outbox_.begin(), outbox_.end(),
             [](const HubCommands& commands) { return commands.empty(); });
}

void Hub::Flush() {
  recovered_.clear();
  if (!is_pausing_) {
    PumpRequests();
    PumpCommands();
  }
  for (const auto& shard : shards_) shard->stream.Pump();
  for (std::size_t worker = 0; worker < outbox_.size(); ++worker) {
    if (outbox_[worker].empty()) continue;
    outstanding_[worker] += outbox_[worker].cost;
    host_.HandOver(worker, std::exchange(outbox_[worker], {}));
  }
}

void Hub::GoOn() {
  is_pausing_ = false;
  Flush();
}

void Hub::Finish() {
  for (const auto& shard : shards_) shard->stream.Finish();
}

void Hub::Drain(absl::Time deadline) {
  for (const auto& shard : shards_) shard->stream.Drain(deadline);
}

bool Hub::is_finished() const {
  return std::all_of(shards_.begin(), shards_.end(), [](const auto& shard) {
    return shard->stream.is_finished();
  });
}

Hub::StreamState Hub::stream_state() const {
  static constexpr StreamState kWorstFirst[] = {
      StreamState::kLost, StreamState::kGreeting, StreamState::kReplaying,
      StreamState::kLive};
  for (const StreamState state : kWorstFirst) {
    for (const auto& shard : shards_) {
      if (shard->stream.state() == state) return state;
    }
  }
  return StreamState::kNone;
}

std::size_t Hub::sessions(const HubStream& stream) const {
  const Shard& shard = *shards_[stream.index()];
  return shard.records - shard.gone;
}

std::size_t Hub::sessions() const {
  std::size_t sessions = 0;
  for (const auto& shard : shards_) sessions += shard->records - shard->gone;
  return sessions;
}

std::size_t Hub::queued_bytes() const {
  std::size_t bytes = 0;
  for (const auto& shard : shards_) bytes += shard->stream.queued_bytes();
  return bytes;
}

// --- Time ---

void Hub::OnTick() {
  const absl::Time now = host_.now();
  for (const auto& shard : shards_) {
    EndSlow(*shard, now);
    RefuseLate(*shard, now);
    RefuseLateRequests(*shard, now);
    if (shard->closing) CloseSome(*shard, now);
  }
  RenewTokens();
  CloseSpread(now);
  EndWaiters(absl::DeadlineExceededError(
                 "the client's connection has not taken it in time"),
             [now](const Waiter& waiter) { return waiter.until <= now; });
  for (const auto& shard : shards_) shard->stream.OnTick();
}

void Hub::Take(Who who, HubWait wait) {
  const absl::Time now = host_.now();
  HubRecord* const record = roster_.Find(who);
  if (wait == HubWait::kBegins) {
    if (!FindIn(who).ok()) return;
    record->is_waited_for = true;
    if (record->blockers == 0) {
      return ShardOf(who).waits.Take(who, wait, now);
    }
    for (const auto& shard : shards_) {
      if ((record->blockers & BitOf(shard->stream.index())) != 0) {
        shard->waits.Take(who, wait, now);
      }
    }
    return;
  }
  if (record != nullptr) {
    record->is_waited_for = false;
    record->blockers = 0;
  }
  for (const auto& shard : shards_) shard->waits.Take(who, wait, now);
}

void Hub::MayWaitFor(HubRecord& record) {
  const std::uint64_t bit = BitOf(executing_on_);
  if ((std::exchange(record.blockers, record.blockers | bit) & bit) != 0)
    return;
  if (!record.is_waited_for) return;
  shards_[executing_on_]->waits.Take(record.who, HubWait::kBegins, host_.now());
}

void Hub::EndSlow(Shard& shard, absl::Time now) {
  const std::vector<Who> late = shard.waits.TakeLate(now);
  if (late.empty()) return;
  for (const Who who : late) {
    Take(who, HubWait::kEnded);  // Nor do other streams wait for it.
    const absl::StatusOr<HubRecord*> record = FindIn(who);
    if (record.ok()) (*record)->phase = HubRecord::Phase::kClosing;
  }
  TellClose(late, EndingOf(absl::ResourceExhaustedError("too slow")),
            HubDeparture::Cause::kSlow);
}

void Hub::RefuseLate(Shard& shard, absl::Time now) {
  const absl::Time stream_time = shard.waits.StreamTime(now);
  while (!shard.asking.empty() && shard.asking.front().first <= stream_time) {
    const Who who = shard.asking.front().second;
    shard.asking.pop_front();
    HubRecord* record = roster_.Find(who);
    if (record == nullptr || record->phase != HubRecord::Phase::kAsking) {
      continue;
    }
    record->phase = HubRecord::Phase::kClosing;
    Tell(WorkerOf(who),
         HubRefuse{
             who,
             absl::UnavailableError(absl::StrCat(
                 "the backend has not decided within "
                 "admission_timeout (",
                 absl::FormatDuration(options_.target.admission_timeout), ")")),
             HubDeparture::Cause::kGateway},
         0);
  }
}

void Hub::Abandon(HubStream& stream, const absl::Status& status,
                  absl::Duration spread) {
  const absl::Time now = host_.now();
  Shard& shard = *shards_[stream.index()];
  stream.EndIncarnation();
  shard.asking.clear();
  absl::erase_if(resuming_, [&stream](const auto& resuming) {
    return stream.has(resuming.first);
  });
  shard.waits.Clear(now);
  for (SpreadClose& later : spread_closes_) {
    const auto rest =
        std::remove_if(later.whos.begin(), later.whos.end(),
                       [&stream](Who who) { return stream.has(who); });
    later.in_all -= static_cast<std::size_t>(later.whos.end() - rest);
    later.whos.erase(rest, later.whos.end());
  }
  EndWaiters(status, [&stream](const Waiter& waiter) {
    return stream.has(waiter.who);
  });
  // What is being closed already goes on with the new spread.
  if (!shard.closing) shard.closing.emplace();
  Closing& closing = *shard.closing;
  closing.began = now;
  closing.status = status;
  closing.spread = spread;
  std::vector<Who> all;
  for (const auto& [who, record] : roster_.records()) {
    if (stream.has(who)) {
      all.push_back(who);
    } else {
      // Nothing that it sends from now on would be waited for otherwise.
      record->blockers &= ~BitOf(stream.index());
    }
  }
  std::size_t abandoned = 0;
  for (const Who who : all) {
    const HubRecord::Phase phase = roster_.Find(who)->phase;
    Take(who, HubWait::kEnded);  // Other streams may wait for it.
    roster_.Remove(who);
    if (phase == HubRecord::Phase::kGone) continue;
    ++abandoned;
    if (phase == HubRecord::Phase::kAsking) {
      Tell(WorkerOf(who), HubRefuse{who, status, HubDeparture::Cause::kGateway},
           0);
    } else {
      closing.whos.push_back(who);
    }
  }
  shard.records = shard.gone = 0;
  closing.in_all = closing.whos.size();
  counts_.abandoned += abandoned;
  if (abandoned > 0) host_.OnAbandoned(stream.index(), status, abandoned);
  CloseSome(shard, now);
}

template <typename IsOver>
void Hub::EndWaiters(const absl::Status& status, IsOver is_over) {
  std::vector<SentCallback> ended;
  for (auto waiter = waiters_.begin(); waiter != waiters_.end();) {
    if (is_over(waiter->second)) {
      ended.push_back(std::move(waiter->second.done));
      waiters_.erase(waiter++);
    } else {
      ++waiter;
    }
  }
  for (const SentCallback& done : ended) done(status);
}

void Hub::CloseSpread(absl::Time now) {
  for (SpreadClose& later : spread_closes_) {
    if (!has_room()) return;  // The next tick makes up for it.
    const std::size_t due =
        DueOf(later.in_all, now - later.began, later.spread);
    std::vector<HubRecord*> records;
    while (!later.whos.empty() && later.whos.size() > later.in_all - due) {
      const absl::StatusOr<HubRecord*> record = FindIn(later.whos.back());
      later.whos.pop_back();
      if (record.ok()) records.push_back(*record);
    }
    if (!records.empty()) CloseThese(records, later.close, later.ending);
  }
  spread_closes_.erase(
      std::remove_if(
          spread_closes_.begin(), spread_closes_.end(),
          [](const SpreadClose& later) { return later.whos.empty(); }),
      spread_closes_.end());
}

void Hub::CloseSome(Shard& shard, absl::Time now) {
  Closing& closing = *shard.closing;
  const std::size_t n = closing.in_all;
  const std::size_t due = DueOf(n, now - closing.began, closing.spread);
  std::vector<Who> whos;
  while (!closing.whos.empty() && closing.whos.size() > n - due) {
    whos.push_back(closing.whos.back());
    closing.whos.pop_back();
  }
  TellClose(whos, EndingOf(closing.status), HubDeparture::Cause::kGateway);
  if (closing.whos.empty()) shard.closing.reset();
}

}  // namespace headgate
