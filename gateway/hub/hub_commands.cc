// What a backend's commands do.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/base/utf8.h"
#include "gateway/hub/audience.h"
#include "gateway/hub/hub.h"
#include "gateway/hub/known_fields.h"

namespace headgate {

static_assert(v1::Command::kAck + 1 == HubCounts::kCommands.size());

namespace {

// Memberships that one command may begin or end.
constexpr std::size_t kMostMemberships = 64 * 1024;
// Commands are carried out for so long at a time; other hubs use the thread
// too.
constexpr absl::Duration kCommandSlice = absl::Milliseconds(2);

absl::Status NotFound(Who who) {
  return absl::NotFoundError(absl::StrCat("there is no session ", who));
}

absl::Status CheckData(const std::map<std::string, std::string>& data) {
  std::size_t bytes = 0;
  for (const auto& [key, value] : data) bytes += key.size() + value.size();
  if (data.size() > kMaxDataKeys || bytes > kMaxDataBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data: ", data.size(), " keys and ", bytes, " bytes, at most ",
        kMaxDataKeys, " and ", kMaxDataBytes, " are kept"));
  }
  return absl::OkStatus();
}

absl::Status CheckUserAndState(const std::string& user,
                               const std::string& state) {
  if (user.size() > kMaxUserBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("user: is longer than ", kMaxUserBytes, " bytes"));
  }
  if (state.size() > kMaxStateBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("state: is longer than ", kMaxStateBytes, " bytes"));
  }
  return absl::OkStatus();
}

// `groups`: of each session.
absl::Status CheckMemberships(std::size_t sessions, std::size_t groups) {
  if (groups <= 1 || sessions * groups <= kMostMemberships) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "groups: more than ", kMostMemberships, " memberships at once"));
}

// Before the sessions that are to be changed are asked one by one.
absl::Status CheckChange(const v1::SetData& set) {
  std::size_t bytes = 0;
  for (const auto& [key, value] : set.set()) bytes += key.size() + value.size();
  if (set.set().size() > kMaxDataKeys || bytes > kMaxDataBytes ||
      static_cast<std::size_t>(set.unset_size()) > kMaxDataKeys) {
    return absl::InvalidArgumentError(
        absl::StrCat("set, unset: at most ", kMaxDataKeys, " keys and ",
                     kMaxDataBytes, " bytes are kept"));
  }
  return absl::OkStatus();
}

template <typename Names>
absl::Status CheckGroupNames(const Names& names) {
  for (const std::string& name : names) {
    const absl::Status status = CheckGroupName(name);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::Time> TimeOf(const google::protobuf::Timestamp& time) {
  if (time.nanos() < 0 || time.nanos() >= 1'000'000'000) {
    return absl::InvalidArgumentError(
        absl::StrCat("at: ", time.nanos(), " are not nanoseconds"));
  }
  return absl::FromUnixSeconds(time.seconds()) +
         absl::Nanoseconds(time.nanos());
}

}  // namespace

bool Hub::has_room() const {
  for (std::size_t worker = 0; worker < outbox_.size(); ++worker) {
    if (outstanding_[worker] + outbox_[worker].cost > kWorkerCost) return false;
  }
  return true;
}

void Hub::PumpCommands() {
  const absl::Time until = host_.now() + kCommandSlice;
  const std::size_t first = next_;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    // The next time it is another's turn, whatever this one leaves to do.
    const std::size_t index = (first + i) % shards_.size();
    next_ = (index + 1) % shards_.size();
    if (shards_[index]->stream.PumpCommands(until)) continue;
    is_pausing_ = true;
    return host_.GoOnNext();
  }
  next_ = (first + 1) % shards_.size();
}

void Hub::Execute(HubStream& stream, std::uint64_t number,
                  const v1::Command& command) {
  executing_ = number;
  executing_on_ = stream.index();
  absl::Status status = CheckKnown(command);
  if (status.ok()) status = Execute(stream, command);
  counts_.CountCommand(static_cast<std::size_t>(command.kind_case()), status);
  if (!status.ok()) ReportFailure(command.id(), status);
}

absl::Status Hub::Execute(HubStream& stream, const v1::Command& command) {
  switch (command.kind_case()) {
    case v1::Command::kAccept:
      return Execute(command.accept());
    case v1::Command::kReject:
      return Execute(command.reject());
    case v1::Command::kSend:
      return Execute(command.send(), command.id());
    case v1::Command::kBroadcast:
      return Execute(command.broadcast(), command.id());
    case v1::Command::kClose:
      return Execute(command.close());
    case v1::Command::kSetData:
      return Execute(command.set_data());
    case v1::Command::kJoin:
      return Execute(command.join());
    case v1::Command::kLeave:
      return Execute(command.leave());
    case v1::Command::kRefuse:
      return Execute(command.refuse());
    case v1::Command::kExpire:
      return Execute(command.expire());
    case v1::Command::kAck:
      return stream.Acknowledge(command.ack().seq());
    case v1::Command::KIND_NOT_SET:
      break;
  }
  return absl::UnimplementedError("the command is not known");
}

void Hub::ReportFailure(std::uint64_t command, const absl::Status& status) {
  // On a retired stream nothing can be said any more.
  const auto stream =
      std::find_if(shards_.begin(), shards_.end(), [this](const auto& shard) {
        return shard->stream.is_current(executing_);
      });
  if (command == 0 || stream == shards_.end()) return;
  v1::Event event;
  v1::CommandFailed& failed = *event.mutable_failed();
  failed.set_command(command);
  failed.mutable_status()->set_code(static_cast<int>(status.code()));
  failed.mutable_status()->set_message(std::string(status.message()));
  (*stream)->stream.Enqueue(
      {0, QueuedEvent::Kind::kReport, event.SerializeAsString()});
}

absl::StatusOr<HubRecord*> Hub::FindIn(Who who) {
  HubRecord* record = roster_.Find(who);
  if (record == nullptr || record->phase == HubRecord::Phase::kGone ||
      record->phase == HubRecord::Phase::kClosing) {
    return NotFound(who);
  }
  if (record->phase == HubRecord::Phase::kAsking) {
    return absl::FailedPreconditionError(
        absl::StrCat("session ", who, " was not accepted"));
  }
  return record;
}

// --- Admission ---

absl::Status Hub::Execute(const v1::Accept& accept) {
  HubRecord* record = roster_.Find(accept.who());
  if (record == nullptr || record->phase == HubRecord::Phase::kGone) {
    return NotFound(accept.who());
  }
  if (record->phase != HubRecord::Phase::kAsking) {
    return absl::FailedPreconditionError(
        absl::StrCat("session ", accept.who(), " does not ask"));
  }
  std::map<std::string, std::string> data(accept.data().begin(),
                                          accept.data().end());
  absl::Status status = CheckData(data);
  if (status.ok()) status = CheckUserAndState(accept.user(), accept.state());
  if (status.ok()) status = CheckGroupNames(accept.groups());
  if (!status.ok()) return status;
  absl::Time expires_at = absl::InfiniteFuture();
  if (accept.has_expires_at()) {
    const absl::StatusOr<absl::Time> at = TimeOf(accept.expires_at());
    if (!at.ok()) return at.status();
    expires_at = *at;
  }
  std::vector<std::string> groups = *RouteGroups(*record);
  groups.insert(groups.end(), accept.groups().begin(), accept.groups().end());
  const auto max_groups = static_cast<std::size_t>(options_.target.max_groups);
  if (groups.size() > max_groups) {
    return absl::ResourceExhaustedError(
        absl::StrCat("groups: more than max_groups (", max_groups, ")"));
  }
  HubFrame greeting;
  if (accept.has_greeting()) {
    const absl::StatusOr<HubFrame> frame = EncodePayload(
        accept.greeting(), record->codec, options_.form, host_.schema());
    if (!frame.ok()) return frame.status();
    ++counts_.encodings;
    greeting = *frame;
  }
  record->phase = HubRecord::Phase::kIn;
  record->data = std::move(data);
  record->state = accept.state();
  record->expires_at = expires_at;
  roster_.SetUser(*record, accept.user());
  for (const std::string& group : groups) {
    roster_.Join(*record, group, max_groups).IgnoreError();
  }
  const std::size_t cost = greeting == nullptr ? 0 : greeting->payload.size();
  Tell(WorkerOf(record->who),
       HubAdmit{record->who, std::move(greeting), expires_at}, cost);
  BeginTokens(*record);
  return absl::OkStatus();
}

absl::Status Hub::Execute(const v1::Expire& expire) {
  const absl::StatusOr<HubRecord*> record = FindIn(expire.who());
  if (!record.ok()) return record.status();
  absl::Time at = absl::InfiniteFuture();
  if (expire.has_at()) {
    const absl::StatusOr<absl::Time> time = TimeOf(expire.at());
    if (!time.ok()) return time.status();
    at = *time;
  }
  SetExpiry(**record, at);
  return absl::OkStatus();
}

void Hub::SetExpiry(HubRecord& record, absl::Time at) {
  record.expires_at = at;
  Tell(WorkerOf(record.who), HubExpire{record.who, at}, 0);
}

absl::Status Hub::Execute(const v1::Reject& reject) {
  HubRecord* record = roster_.Find(reject.who());
  if (record == nullptr || record->phase == HubRecord::Phase::kGone) {
    return NotFound(reject.who());
  }
  if (record->phase != HubRecord::Phase::kAsking) {
    return absl::FailedPreconditionError(
        absl::StrCat("session ", reject.who(), " does not ask"));
  }
  absl::StatusCode code = StatusCodeFromWire(reject.status().code());
  if (code == absl::StatusCode::kOk) code = absl::StatusCode::kPermissionDenied;
  record->phase = HubRecord::Phase::kClosing;
  const absl::string_view message =
      CutUtf8(reject.status().message(), kMaxRejectionBytes);
  Tell(WorkerOf(record->who),
       HubRefuse{record->who, absl::Status(code, message),
                 HubDeparture::Cause::kCommand},
       message.size());
  return absl::OkStatus();
}

// --- What a session is ---

HubOutcome Hub::Update(const v1::Audience& to, const v1::SetData& change,
                       const google::protobuf::Timestamp* expires_at) {
  if (absl::Status status = CheckChange(change); !status.ok()) return {status};
  std::optional<absl::Time> at;
  if (expires_at != nullptr) {
    const absl::StatusOr<absl::Time> time = TimeOf(*expires_at);
    if (!time.ok()) return {time.status()};
    at = *time;
  }
  const absl::StatusOr<std::vector<HubRecord*>> found = Find(to);
  if (!found.ok()) return {found.status()};
  HubOutcome outcome;
  for (HubRecord* record : *found) {
    const absl::Status status = Change(*record, change);
    outcome.status.Update(status);
    if (!status.ok()) continue;
    ++outcome.sessions;
    if (at) SetExpiry(*record, *at);
  }
  return outcome;
}

HubOutcome Hub::Join(const v1::Audience& to,
                     const std::vector<std::string>& groups) {
  const absl::StatusOr<std::vector<HubRecord*>> found = Find(to);
  if (!found.ok()) return {found.status()};
  if (absl::Status status = CheckGroupNames(groups); !status.ok()) {
    return {status};
  }
  if (absl::Status status = CheckMemberships(found->size(), groups.size());
      !status.ok()) {
    return {status};
  }
  HubOutcome outcome;
  for (HubRecord* record : *found) {
    absl::Status status;
    for (const std::string& group : groups) {
      status = roster_.Join(
          *record, group, static_cast<std::size_t>(options_.target.max_groups));
      if (!status.ok()) break;  // It has all that it may have.
    }
    outcome.status.Update(status);
    if (status.ok()) ++outcome.sessions;
  }
  return outcome;
}

HubOutcome Hub::Leave(const v1::Audience& to,
                      const std::vector<std::string>& groups) {
  const absl::StatusOr<std::vector<HubRecord*>> found = Find(to);
  if (!found.ok()) return {found.status()};
  if (absl::Status status = CheckMemberships(found->size(), groups.size());
      !status.ok()) {
    return {status};
  }
  for (HubRecord* record : *found) {
    for (const std::string& group : groups) roster_.Leave(*record, group);
  }
  return {absl::OkStatus(), found->size()};
}

absl::Status Hub::Execute(const v1::SetData& set) {
  HubRecord* record = roster_.Find(set.who());
  if (record == nullptr || record->phase == HubRecord::Phase::kGone) {
    return NotFound(set.who());
  }
  if (absl::Status status = CheckChange(set); !status.ok()) return status;
  return Change(*record, set);
}

absl::Status Hub::Change(HubRecord& record, const v1::SetData& set) {
  std::map<std::string, std::string> data = record.data;
  for (const std::string& key : set.unset()) data.erase(key);
  for (const auto& [key, value] : set.set()) data[key] = value;
  absl::Status status = CheckData(data);
  if (status.ok()) status = CheckUserAndState(set.user(), set.state());
  if (!status.ok()) return status;
  record.data = std::move(data);
  if (set.has_user() && set.user() != record.user) {
    roster_.SetUser(record, set.user());
    OnUserChanged(record);
  }
  if (set.has_state()) record.state = set.state();
  return absl::OkStatus();
}

absl::Status Hub::CheckJoin(const v1::Join& join) {
  absl::Status status =
      CheckMemberships(static_cast<std::size_t>(join.whos_size()),
                       static_cast<std::size_t>(join.groups_size()));
  status.Update(CheckGroupNames(join.groups()));
  return status;
}

absl::Status Hub::Execute(const v1::Join& join) {
  if (join.request() != 0) return Grant(join);
  absl::Status status = CheckJoin(join);
  if (!status.ok()) return status;
  for (const Who who : join.whos()) {
    const absl::StatusOr<HubRecord*> record = FindIn(who);
    if (!record.ok()) {
      status.Update(record.status());
      continue;
    }
    for (const std::string& group : join.groups()) {
      const absl::Status joined =
          roster_.Join(**record, group,
                       static_cast<std::size_t>(options_.target.max_groups));
      status.Update(joined);
      if (!joined.ok()) break;  // It has all that it may have.
    }
  }
  return status;
}

absl::Status Hub::Execute(const v1::Leave& leave) {
  absl::Status status =
      CheckMemberships(static_cast<std::size_t>(leave.whos_size()),
                       static_cast<std::size_t>(leave.groups_size()));
  if (!status.ok()) return status;
  for (const Who who : leave.whos()) {
    const absl::StatusOr<HubRecord*> record = FindIn(who);
    if (!record.ok()) {
      status.Update(record.status());
      continue;
    }
    if (leave.groups().empty()) roster_.LeaveAll(**record);
    for (const std::string& group : leave.groups()) {
      roster_.Leave(**record, group);
    }
  }
  return status;
}

}  // namespace headgate
