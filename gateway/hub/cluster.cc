#include "gateway/hub/cluster.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/route/hub_group.h"

namespace headgate {
namespace {

// Of gateways, groups and users; longer ones are nobody's. Escaped and with the
// prefix, a subject stays far below what NATS takes in a line (4096 bytes),
// beyond which it would end the connection.
constexpr std::size_t kMaxNameBytes = 256;

absl::Status Away() {
  return absl::UnavailableError(
      "NATS is away, other gateways cannot be reached");
}

}  // namespace

Cluster::Cluster(Options options, ClusterLink& link, ClusterHost& host,
                 absl::Time now)
    : options_(std::move(options)),
      subjects_(options_.prefix),
      link_(link),
      host_(host),
      now_(now),
      beat_at_(now),
      histories_(options_.history, HistoryHost()) {
  link_.Subscribe(subjects_.Beat());
  link_.Subscribe(subjects_.All());
  link_.Subscribe(absl::StrCat(subjects_.Instance(options_.instance), ".*"));
}

Cluster::~Cluster() { SendBeat(true); }

std::string Cluster::ReplySubject(absl::string_view instance,
                                  std::uint64_t number) const {
  return absl::StrCat(subjects_.Instance(instance), ".", number);
}

// --- Who is there ---

void Cluster::SendBeat(bool leaves) {
  beat_at_ = now_ + kBeatInterval;
  if (!link_.is_up()) return;
  v1::EngineRecord record;
  v1::EngineBeat& beat = *record.mutable_beat();
  beat.set_gateway(options_.gateway);
  beat.set_instance(options_.instance);
  beat.set_leaves(leaves);
  if (!leaves) {
    *beat.mutable_watched() = {watched_.begin(), watched_.end()};
    beat.set_watch_generation(watch_generation_);
  }
  link_.Publish(subjects_.Beat(), "", record.SerializeAsString(), nullptr)
      .IgnoreError();
}

void Cluster::Take(const v1::EngineBeat& beat) {
  if (beat.instance().empty() || beat.instance().size() > kMaxNameBytes ||
      beat.gateway().size() > kMaxNameBytes) {
    ++malformed_;
    return;
  }
  if (beat.instance() == options_.instance) return;
  const auto known = replicas_.find(beat.instance());
  if (beat.leaves()) {
    if (known == replicas_.end()) return;
    replicas_.erase(known);
    for (auto& [number, question] : questions_) {
      question.missing.erase(beat.instance());
    }
    host_.OnReplica(beat.gateway(), false);
    host_.OnGone(beat.instance());
    return;
  }
  if (known != replicas_.end()) {
    known->second.heard_at = now_;
    return TakeWatched(beat);
  }
  if (replicas_.size() >= kMostReplicas) return;
  replicas_[beat.instance()] = {beat.gateway(), now_};
  host_.OnReplica(beat.gateway(), true);
  if (beat.gateway() == options_.gateway) host_.OnSameName(beat.gateway());
  host_.OnCame(beat.instance());
  // It may have taken this one for there all the time.
  if (!watched_.empty()) ++watch_generation_;
  SendBeat(false);  // It may not know this one either.
  TakeWatched(beat);
}

void Cluster::TakeWatched(const v1::EngineBeat& beat) {
  host_.OnWatched(beat.instance(), beat.watch_generation(),
                  {beat.watched().begin(), beat.watched().end()});
}

// --- Who is in groups ---

void Cluster::AnnounceWatched(const std::vector<std::string>& groups) {
  watched_ = groups;
  SendBeat(false);
}

bool Cluster::Tell(const std::string& instance,
                   const v1::EngineMemberships& memberships) {
  if (!link_.is_up()) return false;
  v1::EngineRecord record;
  *record.mutable_memberships() = memberships;
  record.mutable_memberships()->set_instance(options_.instance);
  return link_
      .Publish(ReplySubject(instance, 0), "", record.SerializeAsString(),
               nullptr)
      .ok();
}

void Cluster::AskForMembershipsAgain() {
  if (watched_.empty()) return;
  ++watch_generation_;
  host_.OnMembershipsLost();
}

void Cluster::OnLost() {
  histories_.OnLost();
  if (watched_.empty()) return;
  AskForMembershipsAgain();
  SendBeat(false);
}

// --- The connection ---

void Cluster::OnUp(absl::Time now, HistoryStore store) {
  now_ = now;
  settled_at_ = now + kPatience;
  for (auto& [instance, replica] : replicas_) replica.heard_at = now;
  AskForMembershipsAgain();
  host_.OnCutOff();
  SendBeat(false);
  histories_.OnUp(std::move(store), now);
}

void Cluster::OnDown(absl::Time now) {
  now_ = now;
  histories_.OnDown(now);
  settled_at_ = absl::InfiniteFuture();
  EndQuestions([](std::uint64_t, const Question&) { return true; });
}

void Cluster::OnTick(absl::Time now) {
  now_ = now;
  if (now >= beat_at_) SendBeat(false);
  histories_.OnTick(now);
  // While the broker is away nobody is heard of.
  if (link_.is_up()) {
    for (auto it = replicas_.begin(); it != replicas_.end();) {
      if (now - it->second.heard_at <= kLongestSilence) {
        ++it;
        continue;
      }
      host_.OnReplica(it->second.gateway, false);
      host_.OnGone(it->first);
      it = replicas_.erase(it);
    }
  }
  EndQuestions([this](std::uint64_t, const Question& question) {
    return now_ >= question.until || (question.missing.empty() && is_settled());
  });
  EndLingering();
}

void Cluster::EndLingering() {
  while (!lingering_.empty() && (lingering_.front().first <= now_ ||
                                 lingering_.size() > kMostLingering)) {
    const auto [ends_at, subject] = std::move(lingering_.front());
    lingering_.pop_front();
    const auto found = subscriptions_.find(subject);
    // It may have members again, or have had them meanwhile.
    if (found == subscriptions_.end() || found->second.hubs > 0 ||
        found->second.ends_at != ends_at) {
      continue;
    }
    link_.Unsubscribe(found->first);
    if (const std::string& group = found->second.history_of; !group.empty()) {
      histories_.End(group);
    }
    subscriptions_.erase(found);
  }
}

void Cluster::OnInterest(HubScope scope, const std::string& name, bool begins) {
  const bool is_group = scope == HubScope::kGroup;
  const bool is_stored = is_group && HasHistory(name);
  std::string subject = is_stored  ? subjects_.Restored(name)
                        : is_group ? subjects_.Group(name)
                                   : subjects_.User(name);
  if (begins) {
    const auto [it, is_new] = subscriptions_.try_emplace(subject);
    ++it->second.hubs;
    if (!is_new) return;
    if (!is_stored) return link_.Subscribe(std::move(subject));
    it->second.history_of = name;
    link_.SubscribeStored(std::move(subject));
    return histories_.Begin(name);
  }
  const auto it = subscriptions_.find(subject);
  if (it == subscriptions_.end() || --it->second.hubs > 0) return;
  it->second.ends_at = now_ + kLinger;
  lingering_.emplace_back(it->second.ends_at, std::move(subject));
}

// --- Publications ---

absl::Status Cluster::Send(const v1::EnginePublication& publication,
                           PublishedCallback done) {
  if (!link_.is_up()) return Away();
  const v1::Audience& to = publication.to();
  // Of several groups or users a session may be in more than one, and would get
  // the message for each.
  const bool is_alone =
      to.sessions().empty() && to.groups_size() + to.users_size() == 1;
  std::string subject = subjects_.All();
  if (is_alone) {
    const bool is_group = to.users().empty();
    const std::string& name = is_group ? to.groups(0) : to.users(0);
    if (name.size() > kMaxNameBytes) {
      if (done != nullptr) done(absl::OkStatus());
      return absl::OkStatus();
    }
    subject = is_group ? subjects_.Group(name) : subjects_.User(name);
  }
  v1::EngineRecord record;
  *record.mutable_publication() = publication;
  return link_.Publish(std::move(subject), "", record.SerializeAsString(),
                       std::move(done));
}

void Cluster::Publish(const v1::EnginePublication& publication,
                      PublishedCallback done) {
  const absl::Status status = Send(publication, done);
  if (!status.ok()) done(status);
}

absl::Status Cluster::Publish(const v1::EnginePublication& publication) {
  return Send(publication, nullptr);
}

// --- Histories ---

bool Cluster::HasHistory(absl::string_view group) const {
  for (const auto& [pattern, has_history] : options_.groups) {
    if (FitsGroupPattern(group, pattern)) return has_history;
  }
  return false;
}

void Cluster::Store(const v1::EnginePublication& publication,
                    const StoreOptions& options, StoredCallback done) {
  if (!link_.is_up()) return done(Away());
  const std::string& group = publication.to().groups(0);
  if (group.empty() || group.size() > kMaxGroupNameBytes) {
    return done(absl::InvalidArgumentError(
        absl::StrCat("a group with history has a name of 1 to ",
                     kMaxGroupNameBytes, " bytes")));
  }
  if (histories_.is_doubted()) return done(Away());
  v1::EngineRecord record;
  *record.mutable_publication() = publication;
  link_.Store(
      subjects_.Stored(group), record.SerializeAsString(), options,
      [this, last = histories_.last_offset(),
       done = std::move(done)](const absl::StatusOr<Stored>& stored) {
        if (!stored.ok()) return done(stored);
        const auto know = [result = *stored,
                           done](const absl::StatusOr<std::string>& epoch) {
          if (!epoch.ok()) return done(epoch.status());
          Stored known = result;
          known.epoch = *epoch;
          done(known);
        };
        if (stored->is_duplicate) return know(histories_.epoch());
        histories_.OnStored(stored->offset, last, know);
      });
}

void Cluster::OnStored(const std::string& subject, StoredRecord record,
                       absl::Time now) {
  now_ = now;
  const auto found = subscriptions_.find(subject);
  if (found == subscriptions_.end()) return;  // It has just ended.
  const std::string group = found->second.history_of;
  if (record.offset == 0) {
    ++malformed_;
    return;
  }
  histories_.OnLive(group, std::move(record));
}

SharedPublication Cluster::Parse(const std::string& group,
                                 const StoredRecord& stored) {
  v1::EngineRecord record;
  // Of a stranger: it has its offset, and nothing is missing.
  if (!record.ParseFromString(stored.bytes) || !record.has_publication()) {
    ++malformed_;
    return nullptr;
  }
  auto publication = std::make_shared<v1::EnginePublication>(
      std::move(*record.mutable_publication()));
  publication->mutable_to()->clear_groups();
  publication->mutable_to()->add_groups(group);
  publication->mutable_position()->set_epoch(histories_.epoch());
  publication->mutable_position()->set_offset(stored.offset);
  return publication;
}

void Cluster::Recover(const std::string& group,
                      const std::optional<v1::Position>& after,
                      RecoveredCallback done) {
  histories_.Recover(
      group, after,
      [this, done = std::move(done)](const absl::StatusOr<Recovery>& recovery) {
        if (host_.RunInOrder([done, recovery] { done(recovery); })) return;
        done(absl::ResourceExhaustedError("the hubs do not keep up"));
      });
}

void Cluster::Read(const std::string& group,
                   const std::optional<v1::Position>& after, std::size_t limit,
                   PageCallback done) {
  if (!HasHistory(group)) {
    return done(absl::FailedPreconditionError(
        "group: has no history (the first of hub.groups that fits decides)"));
  }
  if (group.empty() || group.size() > kMaxGroupNameBytes) {
    return done(absl::InvalidArgumentError(
        absl::StrCat("group: must have 1 to ", kMaxGroupNameBytes, " bytes")));
  }
  if (!link_.is_up()) return done(Away());
  if (reads_ >= kMostReads) {
    return done(absl::ResourceExhaustedError(absl::StrCat(
        kMostReads, " histories are being read already: try again later")));
  }
  ++reads_;
  const std::string& epoch = histories_.epoch();
  const bool is_of_this_epoch = after && after->epoch() == epoch;
  ReadOn(std::make_shared<Reading>(
      Reading{group, is_of_this_epoch, epoch,
              HistoryPage(is_of_this_epoch ? after->offset() : 0, limit),
              std::move(done)}));
}

void Cluster::ReadOn(const std::shared_ptr<Reading>& reading) {
  Fetch(reading->group, reading->page.next(),
        [this, reading](absl::StatusOr<std::optional<StoredRecord>> record) {
          if (record.ok()) {
            reading->page.OnFetched(*std::move(record));
            if (!reading->page.is_done()) return ReadOn(reading);
          }
          --reads_;
          if (!record.ok()) return reading->done(record.status());
          reading->done(PageOf(*reading));
        });
}

absl::StatusOr<HubEngine::Page> Cluster::PageOf(Reading& reading) {
  if (reading.epoch != histories_.epoch()) {
    return absl::UnavailableError("the stream was replaced while it was read");
  }
  Page page;
  for (const StoredRecord& record : reading.page.TakeRecords()) {
    page.entries.push_back(
        {record.offset, record.stored_at, Parse(reading.group, record)});
  }
  page.top.set_epoch(reading.epoch);
  page.top.set_offset(reading.page.last_offset());
  page.is_complete = reading.is_of_this_epoch && reading.page.is_complete();
  return page;
}

// --- Questions ---

void Cluster::Ask(v1::EngineQuestion question, absl::Duration patience,
                  IsEnough is_enough, AnswersCallback done) {
  Question asked{
      now_ + patience + kPatience, is_enough, std::move(done), {}, {}};
  for (const auto& [instance, replica] : replicas_) {
    asked.missing.emplace(instance, replica.gateway);
  }
  const std::uint64_t number = ++last_question_;
  const bool may_ask = link_.is_up() && questions_.size() < kMostQuestions;
  question.set_instance(options_.instance);
  question.set_number(number);
  v1::EngineRecord record;
  *record.mutable_question() = std::move(question);
  const bool has_asked =
      may_ask && (!is_settled() || !asked.missing.empty()) &&
      link_
          .Publish(subjects_.All(), ReplySubject(options_.instance, number),
                   record.SerializeAsString(), nullptr)
          .ok();
  questions_.emplace(number, std::move(asked));
  if (has_asked) return;
  EndQuestions(
      [number](std::uint64_t each, const Question&) { return each == number; });
}

template <typename IsOver>
void Cluster::EndQuestions(IsOver is_over) {
  std::vector<std::pair<AnswersCallback, Answers>> ended;
  for (auto it = questions_.begin(); it != questions_.end();) {
    Question& question = it->second;
    if (!is_over(it->first, question)) {
      ++it;
      continue;
    }
    for (auto& [instance, gateway] : question.missing) {
      question.answers.silent.push_back(gateway);
    }
    // Nobody is known before the broker is there.
    if (question.missing.empty() && !link_.is_up()) {
      question.answers.silent.emplace_back("*");
    }
    ended.emplace_back(std::move(question.done), std::move(question.answers));
    it = questions_.erase(it);
  }
  for (auto& [done, answers] : ended) done(std::move(answers));
}

void Cluster::Take(v1::EngineQuestion question) {
  if (question.instance() == options_.instance) return;
  if (question.instance().empty() ||
      question.instance().size() > kMaxNameBytes) {
    ++malformed_;
    return;
  }
  const std::string to = ReplySubject(question.instance(), question.number());
  const std::uint64_t number = question.number();
  host_.Carry(std::move(question), [this, to, number](v1::EngineReply reply) {
    reply.set_instance(options_.instance);
    reply.set_number(number);
    v1::EngineRecord record;
    *record.mutable_reply() = std::move(reply);
    const absl::Status status =
        link_.Publish(to, "", record.SerializeAsString(), nullptr);
    if (!absl::IsInvalidArgument(status)) return;
    v1::EngineReply& shorter = *record.mutable_reply();
    shorter.clear_response();
    shorter.mutable_status()->set_code(
        static_cast<int>(absl::StatusCode::kResourceExhausted));
    shorter.mutable_status()->set_message(
        absl::StrCat("the response of ", options_.gateway,
                     " is larger than NATS takes (max_payload)"));
    link_.Publish(to, "", record.SerializeAsString(), nullptr).IgnoreError();
  });
}

void Cluster::Take(v1::EngineReply reply) {
  const auto found = questions_.find(reply.number());
  if (found == questions_.end()) return;
  Question& question = found->second;
  // One answer of each, and nobody's else once they are known.
  const bool is_expected = question.missing.erase(reply.instance()) > 0;
  if (!is_expected && is_settled()) return;
  const bool is_enough =
      question.is_enough != nullptr && question.is_enough(reply);
  const std::uint64_t number = reply.number();
  question.answers.replies.push_back(std::move(reply));
  if (is_enough) question.missing.clear();
  if (!question.missing.empty() || (!is_enough && !is_settled())) return;
  EndQuestions(
      [number](std::uint64_t each, const Question&) { return each == number; });
}

void Cluster::OnNobodyThere(absl::string_view subject, absl::Time now) {
  now_ = now;
  // Those that have left without a word may as well be cut off from the broker,
  // and have what was asked for.
  EndQuestions([subject](std::uint64_t number, const Question&) {
    return absl::EndsWith(subject, absl::StrCat(".", number));
  });
}

void Cluster::OnRecord(absl::string_view bytes, absl::Time now) {
  now_ = now;
  v1::EngineRecord record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    ++malformed_;
    return;
  }
  switch (record.kind_case()) {
    case v1::EngineRecord::kBeat:
      return Take(record.beat());
    case v1::EngineRecord::kPublication:
      record.mutable_publication()->clear_position();
      return host_.Deliver(std::move(*record.mutable_publication()));
    case v1::EngineRecord::kQuestion:
      return Take(std::move(*record.mutable_question()));
    case v1::EngineRecord::kReply:
      return Take(std::move(*record.mutable_reply()));
    case v1::EngineRecord::kMemberships:
      // Who is not known has not been asked.
      if (!replicas_.contains(record.memberships().instance())) return;
      return host_.OnMemberships(record.memberships().instance(),
                                 record.memberships());
    case v1::EngineRecord::KIND_NOT_SET:
      ++malformed_;
  }
}

}  // namespace headgate
