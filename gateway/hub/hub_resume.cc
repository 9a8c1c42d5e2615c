// Clients that come back with a resume token.

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "gateway/hub/client_frames.h"
#include "gateway/hub/hub.h"
#include "gateway/route/hub_group.h"

namespace headgate {

// --- Tokens ---

void Hub::BeginTokens(const HubRecord& record) {
  if (host_.resume_keys() == nullptr || !IsHubClient(record.codec)) return;
  SendToken(record);
  // With a long ttl most may be of sessions that have gone.
  constexpr std::size_t kMostGone = 1024;
  if (renewals_.size() > 2 * roster_.records().size() + kMostGone) {
    renewals_.erase(std::remove_if(renewals_.begin(), renewals_.end(),
                                   [this](const auto& renewal) {
                                     return roster_.Find(renewal.second) ==
                                            nullptr;
                                   }),
                    renewals_.end());
  }
  renewals_.emplace_back(host_.now() + options_.resume_ttl / 2, record.who);
}

std::string Hub::TokenOf(const HubRecord& record) {
  return host_.resume_keys()->Issue({record.session, record.lineage},
                                    {options_.route, record.user},
                                    host_.clock().wall + options_.resume_ttl);
}

void Hub::SendToken(const HubRecord& record) {
  v1::HubServerFrame frame;
  frame.set_resume_token(TokenOf(record));
  TellFrame(record, frame);
}

void Hub::OnUserChanged(const HubRecord& record) {
  if (host_.resume_keys() == nullptr || !IsHubClient(record.codec) ||
      record.phase != HubRecord::Phase::kIn) {
    return;
  }
  SendToken(record);
}

void Hub::RenewTokens() {
  while (!renewals_.empty() && renewals_.front().first <= host_.now() &&
         has_room()) {
    const Who who = renewals_.front().second;
    renewals_.pop_front();
    const HubRecord* const record = roster_.Find(who);
    if (record == nullptr || record->phase != HubRecord::Phase::kIn) continue;
    BeginTokens(*record);
  }
}

// --- What a client that comes back asks for ---

void Hub::ResumeFor(HubRecord& record, const v1::HubClientFrame& frame,
                    std::size_t credit) {
  const Who who = record.who;
  absl::Status status = CheckResume(frame.resume());
  if (!status.ok()) {
    Answer(record, frame.id(), FailureFrame(frame.id(), status));
    return ReturnCredit(who, credit);
  }
  const ResumeKeys& keys = *host_.resume_keys();
  absl::StatusOr<ResumeClaims> claims =
      keys.Check(frame.resume().resume_token(), {options_.route, record.user},
                 host_.clock().wall);
  // It has got one of its own by now.
  const bool resumes = claims.ok() && claims->session != record.session;
  ++(resumes ? counts_.resumes : counts_.resumes_refused);

  Resuming resuming;
  resuming.frame = frame.id();
  resuming.recovered = frame.resume().positions_size() > 0;
  for (const auto& position : frame.resume().positions()) {
    resuming.waiting.insert(position.group());
  }
  if (resumes) {
    resuming.previous = claims->session;
    std::vector<std::string> lineage = {claims->session};
    lineage.insert(lineage.end(), claims->earlier.begin(),
                   claims->earlier.end());
    roster_.SetLineage(record, std::move(lineage));
    host_.EndResumed(claims->session);
  }
  v1::HubServerFrame welcome =
      WelcomeFrame(record.session, record.expires_at - host_.clock().wall);
  welcome.mutable_welcome()->set_resumed(resumes);
  welcome.mutable_welcome()->set_resume_token(TokenOf(record));
  Answer(record, frame.id(), std::move(welcome));

  // Ends with the last answer, which may come at once.
  resuming_[who] = std::move(resuming);
  for (const auto& position : frame.resume().positions()) {
    v1::HubClientFrame join;
    join.set_id(frame.id());
    join.mutable_join()->set_group(position.group());
    if (position.has_position()) {
      *join.mutable_join()->mutable_after() = position.position();
    }
    JoinFor(record, join, 0);
  }
  EndResuming(who, false);
  ReturnCredit(who, credit);
}

absl::Status Hub::CheckResume(const v1::HubClientFrame::Resume& resume) {
  if (host_.resume_keys() == nullptr) {
    return absl::FailedPreconditionError(
        "resume: the gateway has no hub.resume");
  }
  if (resume.positions_size() > options_.target.max_groups) {
    return absl::InvalidArgumentError(absl::StrCat(
        "positions: are ", resume.positions_size(), ", more than max_groups (",
        options_.target.max_groups, ")"));
  }
  absl::flat_hash_set<absl::string_view> groups;
  for (const auto& position : resume.positions()) {
    if (groups.insert(position.group()).second) continue;
    return absl::InvalidArgumentError("positions: name a group twice");
  }
  return absl::OkStatus();
}

void Hub::OnJoinAnswered(const HubRecord& record, std::uint32_t id,
                         const std::string& group, bool is_recovered) {
  const auto found = resuming_.find(record.who);
  if (found == resuming_.end() || found->second.frame != id) return;
  if (found->second.waiting.erase(group) == 0) return;
  found->second.recovered &= is_recovered;
  EndResuming(record.who, false);
}

void Hub::RefuseJoin(const HubRecord& record, std::uint32_t id,
                     const std::string& group, const absl::Status& status) {
  const auto found = resuming_.find(record.who);
  const bool is_resuming = found != resuming_.end() &&
                           found->second.frame == id &&
                           found->second.waiting.contains(group);
  if (!is_resuming) return Answer(record, id, FailureFrame(id, status));
  // Several groups have the same id.
  Answer(record, id,
         FailureFrame(
             id, absl::Status(status.code(),
                              absl::StrCat(group.substr(0, kMaxGroupNameBytes),
                                           ": ", status.message()))));
  OnJoinAnswered(record, id, group, false);
}

void Hub::EndResuming(Who who, bool is_gone) {
  const auto found = resuming_.find(who);
  if (found == resuming_.end()) return;
  const Resuming& resuming = found->second;
  if (!resuming.waiting.empty() && !is_gone) return;
  if (!resuming.previous.empty()) {
    v1::Event event;
    v1::SessionResumed& resumed = *event.mutable_session_resumed();
    resumed.set_previous_session(resuming.previous);
    resumed.set_recovered(resuming.recovered && resuming.waiting.empty());
    ShardOf(who).stream.Enqueue(
        {who, QueuedEvent::Kind::kOther, event.SerializeAsString()});
  }
  resuming_.erase(found);
}

// --- The session before ---

bool Hub::EndReplaced(const std::string& session) {
  HubRecord* const record = roster_.FindSession(session);
  if (record == nullptr) return false;
  if (record->phase != HubRecord::Phase::kIn) return true;
  record->phase = HubRecord::Phase::kClosing;
  HubClose close;
  close.whos = {record->who};
  close.ending =
      EndingOf(absl::AbortedError("the session was resumed by its client"));
  close.cause = HubDeparture::Cause::kReplaced;
  close.now = true;
  Tell(WorkerOf(record->who), std::move(close), sizeof(Who));
  return true;
}

}  // namespace headgate
