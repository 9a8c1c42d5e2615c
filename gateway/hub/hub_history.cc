// Groups with history: where clients are in it, and what they have missed.

#include <utility>

#include "gateway/hub/audience.h"
#include "gateway/hub/client_frames.h"
#include "gateway/hub/hub.h"

namespace headgate {

bool Hub::HasHistory(absl::string_view group) {
  return host_.engine() != nullptr && host_.engine()->HasHistory(group);
}

void Hub::AnswerJoin(HubRecord& record, std::uint32_t id,
                     const v1::HubClientFrame::JoinGroup& join) {
  if (!HasHistory(join.group())) {
    v1::HubServerFrame answer;
    answer.mutable_joined()->set_group(join.group());
    Answer(record, id, std::move(answer));
    return OnJoinAnswered(record, id, join.group(), false);
  }
  // So no more recoveries wait than there are memberships.
  if (!recovering_[join.group()].insert(record.who).second) {
    return RefuseJoin(
        record, id, join.group(),
        absl::AbortedError("the join before is not answered yet"));
  }
  std::optional<v1::Position> after;
  if (join.has_after()) after = join.after();
  host_.engine()->Recover(
      join.group(), after,
      [this, is_there = std::weak_ptr<const bool>(is_there_), who = record.who,
       id, join](const absl::StatusOr<HubEngine::Recovery>& recovery) {
        if (!is_there.expired()) OnRecovered(who, id, join, recovery);
      });
}

void Hub::OnRecovered(Who who, std::uint32_t id,
                      const v1::HubClientFrame::JoinGroup& join,
                      const absl::StatusOr<HubEngine::Recovery>& recovery) {
  const auto group = recovering_.find(join.group());
  group->second.erase(who);
  if (group->second.empty()) recovering_.erase(group);
  HubRecord* const record = roster_.Find(who);
  if (record == nullptr || record->phase != HubRecord::Phase::kIn) return;
  absl::Status status = recovery.status();
  if (!roster_.IsMember(*record, join.group())) {
    status = absl::AbortedError("the session has left the group meanwhile");
  }
  if (!status.ok()) {
    // What was withheld is missing.
    roster_.Leave(*record, join.group());
    ++counts_.recoveries_failed;
    return RefuseJoin(*record, id, join.group(), status);
  }
  std::vector<HubFrame> frames;
  for (const SharedPublication& missed : recovery->missed) {
    if (!missed->route().empty() && missed->route() != options_.route) continue;
    if (!IsMeant(missed->to(), *record, roster_)) continue;
    HubFrame frame = RecoveredFrame(missed, record->codec);
    if (frame != nullptr) frames.push_back(std::move(frame));
  }
  if (join.has_after()) {
    ++(recovery->is_recovered ? counts_.recoveries : counts_.recoveries_lost);
  }
  v1::HubServerFrame answer;
  v1::HubServerFrame::Joined& joined = *answer.mutable_joined();
  joined.set_group(join.group());
  *joined.mutable_position() = recovery->position;
  joined.set_recovered(recovery->is_recovered);
  joined.set_missed(static_cast<std::uint32_t>(frames.size()));
  Answer(*record, id, std::move(answer));
  for (HubFrame& frame : frames) {
    ++counts_.deliveries;
    const std::size_t cost = frame->payload.size() + kReceiverCost;
    HubDeliver deliver;
    deliver.whos = {who};
    deliver.frame = std::move(frame);
    deliver.is_answer = true;
    Tell(WorkerOf(who), std::move(deliver), cost);
  }
  OnJoinAnswered(*record, id, join.group(), recovery->is_recovered);
}

HubFrame Hub::RecoveredFrame(const SharedPublication& publication,
                             HubCodec codec) {
  const auto [it, is_new] =
      recovered_.try_emplace(std::pair(publication, codec));
  if (!is_new) return it->second;
  ++counts_.encodings;
  const absl::StatusOr<HubFrame> frame = EncodePayload(
      publication->payload(), codec, options_.form, host_.schema(),
      publication->to().groups(0), publication->position().offset());
  if (frame.ok()) it->second = *frame;
  return it->second;
}

void Hub::OnGap(const std::string& name, std::uint64_t after,
                std::uint64_t before) {
  const HubGroup* const group = roster_.FindGroup(name);
  if (group == nullptr) return;
  v1::HubServerFrame gap;
  gap.mutable_gap()->set_group(name);
  gap.mutable_gap()->set_after(after);
  gap.mutable_gap()->set_before(before);
  for (const HubCodec codec : {HubCodec::kHubJson, HubCodec::kHubProtobuf}) {
    std::vector<std::vector<Who>> receivers(options_.workers);
    for (const HubRecord* record : group->members) {
      if (record->codec != codec || record->phase != HubRecord::Phase::kIn ||
          IsRecovering(name, record->who)) {
        continue;
      }
      receivers[WorkerOf(record->who)].push_back(record->who);
      ++counts_.gaps;
    }
    const auto frame =
        std::make_shared<const WireMessage>(EncodeServerFrame(gap, codec));
    for (std::size_t worker = 0; worker < receivers.size(); ++worker) {
      if (receivers[worker].empty()) continue;
      const std::size_t cost =
          frame->payload.size() + receivers[worker].size() * kReceiverCost;
      HubDeliver deliver;
      deliver.whos = std::move(receivers[worker]);
      deliver.frame = frame;
      deliver.is_answer = true;
      Tell(worker, std::move(deliver), cost);
    }
  }
}

bool Hub::IsRecovering(const std::string& group, Who who) const {
  const auto found = recovering_.find(group);
  return found != recovering_.end() && found->second.contains(who);
}

}  // namespace headgate
