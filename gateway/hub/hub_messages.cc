// Messages for sessions, and what ends them.

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/base/utf8.h"
#include "gateway/hub/audience.h"
#include "gateway/hub/hub.h"

namespace headgate {
namespace {

// Of SendAndWait, and of Close with a spread, at a time.
constexpr std::size_t kMostWaiters = 1024;
constexpr std::size_t kMostSpreadCloses = 16;

absl::Status CheckKey(const std::string& key) {
  if (key.size() <= kMaxKeyBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("key: is longer than ", kMaxKeyBytes, " bytes"));
}

absl::StatusOr<Ending> EndingFor(const v1::Close& close) {
  const std::uint32_t code = close.code() == 0 ? 1000 : close.code();
  if (code != 1000 && (code < 3000 || code > 4999)) {
    return absl::InvalidArgumentError(
        absl::StrCat("code: must be 1000 or 3000 to 4999, is ", code));
  }
  Ending ending;
  ending.close = static_cast<CloseCode>(code);
  if (code == 1000 && close.reason().empty()) return ending;
  // The codes that stand for a gRPC status.
  const bool is_status = code > 4000 && code <= 4016;
  ending.end.status =
      absl::Status(is_status ? StatusCodeFromWire(static_cast<int>(code - 4000))
                             : absl::StatusCode::kCancelled,
                   CutUtf8(close.reason(), kMaxCloseReasonBytes));
  return ending;
}

// Which of the patterns of `hub.groups` an audience's groups fit: each of them
// is a class of its receivers.
class PatternClasses {
 public:
  PatternClasses(const v1::Audience& audience, const GroupPatterns& patterns) {
    for (const std::string& group : audience.groups()) {
      of_group_.push_back(Add(patterns.IndexOf(group)));
    }
    if (patterns_.empty()) of_group_.push_back(Add(patterns.none()));
  }
  std::size_t size() const { return patterns_.size(); }
  // `group`: an index of the audience's; 0 where there are none.
  std::size_t OfGroup(std::size_t group) const { return of_group_[group]; }
  // The index of its pattern.
  std::size_t PatternOf(std::size_t index) const { return patterns_[index]; }

 private:
  std::size_t Add(std::size_t pattern) {
    const auto found = std::find(patterns_.begin(), patterns_.end(), pattern);
    const auto index = static_cast<std::size_t>(found - patterns_.begin());
    if (found == patterns_.end()) patterns_.push_back(pattern);
    return index;
  }

  absl::InlinedVector<std::size_t, 1> patterns_;
  absl::InlinedVector<std::size_t, 1> of_group_;
};

// Those of a publication on one worker that get the same frame, under the same
// policy.
struct Receivers {
  std::size_t kind = 0;  // Of PayloadFrames.
  std::size_t pattern_class = 0;
  std::vector<Who> whos;
};

bool NeedsKey(const HubDeliver& deliver, const std::string& key) {
  return deliver.policy == SlowClientSettings::Policy::kKeepLatest &&
         !key.empty();
}

// Messages of different groups with one key do not replace each other. Those
// for several groups count as messages of the first.
std::string ScopedKey(const std::string& key, absl::string_view group) {
  return absl::StrCat(group.size(), ":", group, key);
}

// Which of an audience's groups come first.
class GroupOrder {
 public:
  explicit GroupOrder(const v1::Audience& audience) {
    if (audience.groups_size() < 2) return;
    for (const std::string& group : audience.groups()) {
      order_.emplace(group, order_.size());
    }
  }
  // The index of the first one that `record` is in; 0 if it is in none.
  std::size_t FirstOf(const HubRecord& record) const {
    if (order_.empty()) return 0;
    std::size_t first = order_.size();
    for (const HubGroup* group : record.groups) {
      const auto found = order_.find(group->name);
      if (found != order_.end()) first = std::min(first, found->second);
    }
    return first == order_.size() ? 0 : first;
  }

 private:
  absl::flat_hash_map<absl::string_view, std::size_t> order_;
};

}  // namespace

SlowClientSettings::Policy Hub::PolicyOf(std::size_t pattern,
                                         bool may_block) const {
  using Policy = SlowClientSettings::Policy;
  const Policy policy =
      options_.patterns.slow(pattern).value_or(options_.target.slow.policy);
  return policy == Policy::kBlock && !may_block ? Policy::kDisconnect : policy;
}

absl::Status Hub::Execute(const v1::Send& send, std::uint64_t command) {
  const absl::StatusOr<HubRecord*> record = FindIn(send.who());
  if (!record.ok()) return record.status();
  HubReport report;
  if (send.report_sent()) report = {command, executing_};
  return SendTo(**record, send.payload(), send.key(), HubSource::kStream,
                report);
}

absl::Status Hub::SendTo(HubRecord& record, const v1::Payload& payload,
                         const std::string& key, HubSource source,
                         HubReport report) {
  if (absl::Status status = CheckKey(key); !status.ok()) return status;
  absl::StatusOr<HubFrame> frame =
      EncodePayload(payload, record.codec, options_.form, host_.schema());
  if (!frame.ok()) return frame.status();
  ++counts_.encodings;
  ++counts_.deliveries;
  HubDeliver deliver{{record.who}, *std::move(frame)};
  deliver.report = report;
  deliver.policy =
      PolicyOf(options_.patterns.none(), source == HubSource::kStream);
  if (deliver.policy == SlowClientSettings::Policy::kBlock) MayWaitFor(record);
  if (NeedsKey(deliver, key)) deliver.key = ScopedKey(key, "");
  const std::size_t cost = deliver.frame->payload.size() + deliver.key.size();
  Tell(WorkerOf(record.who), std::move(deliver), cost);
  return absl::OkStatus();
}

void Hub::SendAndWait(HubRecord& record, const v1::Payload& payload,
                      const std::string& key, absl::Duration patience,
                      SentCallback done) {
  if (waiters_.size() >= kMostWaiters) {
    return done(absl::ResourceExhaustedError(
        absl::StrCat("wait_sent: ", kMostWaiters, " requests wait already")));
  }
  const std::uint64_t number = ++last_waiter_;
  const absl::Status status =
      SendTo(record, payload, key, HubSource::kApi, {number, kApiReports});
  if (!status.ok()) return done(status);
  waiters_.emplace(number,
                   Waiter{record.who, host_.now() + patience, std::move(done)});
}

absl::Status Hub::Execute(const v1::Broadcast& broadcast,
                          std::uint64_t command) {
  HubEngine* const engine = host_.engine();
  const v1::Audience& to = broadcast.to();
  const bool is_stored = engine != nullptr && to.whos().empty() &&
                         std::any_of(to.groups().begin(), to.groups().end(),
                                     [engine](const std::string& group) {
                                       return engine->HasHistory(group);
                                     });
  // It comes back to all gateways alike, in the order of the group.
  if (is_stored) return Store(broadcast, command, *engine);
  ++counts_.published_by_stream;
  absl::Status status = Distribute(broadcast.to(), broadcast.payload(),
                                   broadcast.key(), HubSource::kStream)
                            .status;
  status.Update(Spread(broadcast));
  return status;
}

v1::EnginePublication Hub::PublicationOf(const v1::Broadcast& broadcast) const {
  v1::EnginePublication publication;
  publication.set_route(options_.route);
  *publication.mutable_to() = broadcast.to();
  publication.mutable_to()->clear_except_whos();
  *publication.mutable_payload() = broadcast.payload();
  publication.set_key(broadcast.key());
  return publication;
}

absl::Status Hub::Spread(const v1::Broadcast& broadcast) {
  // Numbers are of sessions that are here.
  HubEngine* const engine = host_.engine();
  if (engine == nullptr || !broadcast.to().whos().empty()) {
    return absl::OkStatus();
  }
  return engine->Publish(PublicationOf(broadcast));
}

absl::Status Hub::Store(const v1::Broadcast& broadcast, std::uint64_t command,
                        HubEngine& engine) {
  absl::Status status = CheckKey(broadcast.key());
  status.Update(CheckStored(broadcast.to()));
  if (!status.ok()) return status;
  v1::EnginePublication publication = PublicationOf(broadcast);
  for (const Who who : broadcast.to().except_whos()) {
    const HubRecord* record = roster_.Find(who);
    if (record == nullptr) continue;
    publication.mutable_to()->add_except_sessions(record->session);
  }
  engine.Store(publication, {},
               [this, command, stream = executing_,
                is_there = std::weak_ptr<const bool>(is_there_)](
                   const absl::StatusOr<HubEngine::Stored>& stored) {
                 if (is_there.expired() || stored.ok()) return;
                 const std::uint64_t now = std::exchange(executing_, stream);
                 ReportFailure(command, stored.status());
                 executing_ = now;
               });
  return absl::OkStatus();
}

absl::StatusOr<std::vector<HubRecord*>> Hub::Find(
    const v1::Audience& audience) {
  return FindAudience(audience, roster_);
}

HubOutcome Hub::Publish(const v1::Audience& to, const v1::Payload& payload,
                        const std::string& key) {
  HubOutcome outcome = Distribute(to, payload, key, HubSource::kApi);
  if (outcome.sessions > 0) ++counts_.published_by_api;
  return outcome;
}

HubOutcome Hub::Deliver(const v1::EnginePublication& publication) {
  HubOutcome outcome =
      Distribute(publication.to(), publication.payload(), publication.key(),
                 HubSource::kElsewhere, publication.position().offset());
  if (outcome.sessions > 0) ++counts_.published_elsewhere;
  return outcome;
}

HubOutcome Hub::Distribute(const v1::Audience& to, const v1::Payload& payload,
                           const std::string& key, HubSource source,
                           std::uint64_t offset) {
  if (absl::Status status = CheckKey(key); !status.ok()) return {status};
  const absl::StatusOr<std::vector<HubRecord*>> found = Find(to);
  if (!found.ok()) return {found.status()};
  PayloadFrames frames(payload, options_.form, host_.schema(), &to.groups(),
                       offset);
  const PatternClasses classes(to, options_.patterns);
  // What hub clients get names its group, which has one class. For the other
  // codecs there is a place for each class behind those.
  constexpr auto kPlainKinds = static_cast<std::size_t>(HubCodec::kHubJson);
  const auto place_of = [&frames](std::size_t kind, std::size_t in_class) {
    return PayloadFrames::IsForHubClients(kind)
               ? kind
               : frames.kinds() + kPlainKinds * in_class + kind;
  };
  std::vector<std::vector<Receivers>> receivers(
      options_.workers,
      std::vector<Receivers>(frames.kinds() + kPlainKinds * classes.size()));
  const GroupOrder order(to);
  const bool may_block =
      source == HubSource::kStream && to.groups().empty() &&
      options_.target.slow.policy == SlowClientSettings::Policy::kBlock;
  HubOutcome outcome;
  for (HubRecord* record : *found) {
    // It will be among what was missed.
    if (offset > 0 && IsRecovering(to.groups(0), record->who)) continue;
    const bool is_hub_client = IsHubClient(record->codec);
    const std::size_t group =
        is_hub_client || classes.size() > 1 ? order.FirstOf(*record) : 0;
    const std::size_t kind =
        PayloadFrames::KindOf(record->codec, is_hub_client ? group : 0);
    const absl::StatusOr<HubFrame>& frame = frames.For(kind);
    if (!frame.ok()) {
      outcome.status = frame.status();
      continue;
    }
    ++outcome.sessions;
    const std::size_t pattern_class = classes.OfGroup(group);
    Receivers& same =
        receivers[WorkerOf(record->who)][place_of(kind, pattern_class)];
    same.kind = kind;
    same.pattern_class = pattern_class;
    same.whos.push_back(record->who);
    if (may_block) MayWaitFor(*record);
    ++counts_.deliveries;
  }
  for (std::size_t worker = 0; worker < receivers.size(); ++worker) {
    for (Receivers& same : receivers[worker]) {
      if (same.whos.empty()) continue;
      HubDeliver deliver{std::move(same.whos), *frames.For(same.kind)};
      // Who knows of positions misses nothing without being told.
      deliver.is_answer =
          offset > 0 && PayloadFrames::IsForHubClients(same.kind);
      deliver.policy =
          PolicyOf(classes.PatternOf(same.pattern_class), may_block);
      if (NeedsKey(deliver, key)) {
        deliver.key = ScopedKey(key, to.groups().empty() ? "" : to.groups(0));
      }
      const std::size_t cost = deliver.frame->payload.size() +
                               deliver.key.size() +
                               deliver.whos.size() * kReceiverCost;
      Tell(worker, std::move(deliver), cost);
      absl::Time& published_at = outbox_[worker].published_at;
      if (published_at == absl::InfiniteFuture()) published_at = host_.now();
    }
  }
  counts_.encodings += frames.encoded();
  return outcome;
}

absl::Status Hub::Execute(const v1::Close& close) {
  return Close(close).status;
}

HubOutcome Hub::Close(const v1::Close& close, absl::Duration spread) {
  const absl::StatusOr<Ending> ending = EndingFor(close);
  if (!ending.ok()) return {ending.status()};
  const absl::StatusOr<std::vector<HubRecord*>> found = Find(close.to());
  if (!found.ok()) return {found.status()};
  if (spread == absl::ZeroDuration()) {
    return CloseThese(*found, close, *ending);
  }
  if (spread_closes_.size() >= kMostSpreadCloses) {
    return {absl::ResourceExhaustedError(absl::StrCat(
        "spread: ", kMostSpreadCloses, " such requests are carried out"))};
  }
  SpreadClose later;
  PayloadFrames frames(close.farewell(), options_.form, host_.schema());
  HubOutcome outcome;
  for (const HubRecord* record : *found) {
    if (close.has_farewell() && !frames.For(record->codec).ok()) {
      outcome.status = frames.For(record->codec).status();
    } else {
      later.whos.push_back(record->who);
    }
  }
  outcome.sessions = later.in_all = later.whos.size();
  later.close = close;
  later.ending = *ending;
  later.began = host_.now();
  later.spread = spread;
  if (!later.whos.empty()) spread_closes_.push_back(std::move(later));
  CloseSpread(host_.now());
  return outcome;
}

HubOutcome Hub::CloseThese(const std::vector<HubRecord*>& records,
                           const v1::Close& close, const Ending& ending) {
  PayloadFrames frames(close.farewell(), options_.form, host_.schema());
  std::vector<std::array<std::vector<Who>, kHubCodecs>> receivers(
      options_.workers);
  HubOutcome outcome;
  for (HubRecord* record : records) {
    if (close.has_farewell() && !frames.For(record->codec).ok()) {
      outcome.status = frames.For(record->codec).status();
      continue;
    }
    ++outcome.sessions;
    record->phase = HubRecord::Phase::kClosing;
    receivers[WorkerOf(record->who)][static_cast<std::size_t>(record->codec)]
        .push_back(record->who);
  }
  for (std::size_t worker = 0; worker < receivers.size(); ++worker) {
    for (std::size_t codec = 0; codec < kHubCodecs; ++codec) {
      std::vector<Who>& whos = receivers[worker][codec];
      if (whos.empty()) continue;
      HubFrame farewell;
      if (close.has_farewell()) {
        farewell = *frames.For(static_cast<HubCodec>(codec));
      }
      const std::size_t cost =
          close.reason().size() + whos.size() * kReceiverCost +
          (farewell == nullptr ? 0 : farewell->payload.size());
      Tell(worker,
           HubClose{std::move(whos), ending, HubDeparture::Cause::kCommand,
                    std::move(farewell), close.now()},
           cost);
    }
  }
  return outcome;
}

}  // namespace headgate
