// What clients ask of the hub themselves.

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/metadata.h"
#include "gateway/base/status.h"
#include "gateway/base/utf8.h"
#include "gateway/hub/client_frames.h"
#include "gateway/hub/hub.h"
#include "gateway/route/hub_group.h"
#include "gateway/route/plan.h"

namespace headgate {
namespace {

// Requests are carried out for so long at a time.
constexpr absl::Duration kRequestSlice = absl::Milliseconds(2);

bool IsAllowed(absl::string_view group,
               const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [group](const std::string& pattern) {
                       return FitsGroupPattern(group, pattern);
                     });
}

absl::Status CheckAllowed(const std::string& group,
                          const std::vector<std::string>& patterns,
                          absl::string_view setting) {
  if (absl::Status status = CheckGroupName(group); !status.ok()) return status;
  if (IsAllowed(group, patterns)) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(setting, " does not allow it for this group"));
}

}  // namespace

void Hub::Delay(HubEvent event) {
  ++delayed_of_[event.who];
  delayed_.push_back(std::move(event));
}

void Hub::PumpRequests() {
  if (is_pausing_) return;
  const absl::Time until = host_.now() + kRequestSlice;
  while (!delayed_.empty() && has_room()) {
    if (host_.now() > until) {
      is_pausing_ = true;
      host_.GoOnNext();
      return;
    }
    HubEvent event = std::move(delayed_.front());
    delayed_.pop_front();
    const auto count = delayed_of_.find(event.who);
    if (--count->second == 0) delayed_of_.erase(count);
    TakeNow(event);
  }
}

void Hub::Take(Who who, HubRequest request) {
  HubRecord* record = roster_.Find(who);
  const std::size_t credit = request.bytes + kHubEventCost;
  if (record == nullptr || record->phase != HubRecord::Phase::kIn) {
    return ReturnCredit(who, credit);
  }
  const v1::HubClientFrame& frame = *request.frame;
  if (frame.has_publish()) return PublishFor(*record, frame, credit);
  if (frame.has_token()) return HandOnToken(*record, frame, credit);
  if (frame.has_join()) return JoinFor(*record, frame, credit);
  if (frame.has_resume()) return ResumeFor(*record, frame, credit);
  LeaveFor(*record, frame, credit);
}

void Hub::JoinFor(HubRecord& record, const v1::HubClientFrame& frame,
                  std::size_t credit) {
  const v1::HubClientFrame::JoinGroup& join = frame.join();
  absl::Status status = CheckAllowed(join.group(), options_.target.client_join,
                                     "hub.client_join");
  const bool may_ask = absl::IsPermissionDenied(status) &&
                       IsAllowed(join.group(), options_.target.client_join_ask);
  if (may_ask && !roster_.IsMember(record, join.group())) {
    if (ShardOf(record.who).group_requests.HasRoom(record.who)) {
      return AskFor(record, frame, credit);
    }
    status = absl::ResourceExhaustedError(
        absl::StrCat("the backend has not decided on ",
                     GroupRequests::kMostOfSession, " requests"));
  } else if (may_ask) {
    status = absl::OkStatus();
  }
  if (status.ok()) status = FinishJoin(record, frame.id(), join);
  if (!status.ok()) RefuseJoin(record, frame.id(), join.group(), status);
  ReturnCredit(record.who, credit);
}

void Hub::AskFor(const HubRecord& record, const v1::HubClientFrame& frame,
                 std::size_t credit) {
  Shard& shard = ShardOf(record.who);
  const std::uint64_t number =
      shard.group_requests.Add({record.who, frame.id(), frame.join(),
                                shard.waits.StreamTime(host_.now()) +
                                    options_.target.admission_timeout});
  v1::Event event;
  event.mutable_group_request()->set_request(number);
  event.mutable_group_request()->set_group(frame.join().group());
  shard.stream.Enqueue({record.who, QueuedEvent::Kind::kOther,
                        event.SerializeAsString(), credit});
}

void Hub::LeaveFor(HubRecord& record, const v1::HubClientFrame& frame,
                   std::size_t credit) {
  absl::Status status = CheckAllowed(frame.leave(), options_.target.client_join,
                                     "hub.client_join");
  if (absl::IsPermissionDenied(status) &&
      IsAllowed(frame.leave(), options_.target.client_join_ask)) {
    status = absl::OkStatus();
  }
  v1::HubServerFrame answer;
  if (status.ok()) {
    roster_.Leave(record, frame.leave());
    answer.set_left(frame.leave());
  } else {
    answer = FailureFrame(frame.id(), status);
  }
  Answer(record, frame.id(), std::move(answer));
  ReturnCredit(record.who, credit);
}

absl::Status Hub::FinishJoin(HubRecord& record, std::uint32_t id,
                             const v1::HubClientFrame::JoinGroup& join) {
  if (absl::Status status =
          roster_.Join(record, join.group(),
                       static_cast<std::size_t>(options_.target.max_groups));
      !status.ok()) {
    return status;
  }
  AnswerJoin(record, id, join);
  return absl::OkStatus();
}

// --- What the backend decides on ---

absl::StatusOr<GroupRequests::Request> Hub::TakeRequest(std::uint64_t number,
                                                        Who who) {
  GroupRequests& requests = ShardOf(who).group_requests;
  const GroupRequests::Request* request = requests.Find(number);
  if (request == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("request: no request ", number, " waits"));
  }
  if (request->who != who) {
    return absl::InvalidArgumentError(absl::StrCat(
        "request: request ", number, " is of session ", request->who));
  }
  return requests.Take(number);
}

absl::Status Hub::Grant(const v1::Join& join) {
  if (absl::Status status = CheckJoin(join); !status.ok()) return status;
  if (join.whos_size() != 1) {
    return absl::InvalidArgumentError(
        "whos: must be the session of the request alone");
  }
  if (const GroupRequests::Request* request =
          ShardOf(join.whos(0)).group_requests.Find(join.request());
      request != nullptr && !join.groups().empty() &&
      !absl::c_linear_search(join.groups(), request->join.group())) {
    return absl::InvalidArgumentError(
        "groups: must have that of the request, or be empty");
  }
  const absl::StatusOr<GroupRequests::Request> request =
      TakeRequest(join.request(), join.whos(0));
  if (!request.ok()) return request.status();
  const absl::StatusOr<HubRecord*> record = FindIn(request->who);
  if (!record.ok()) return record.status();
  absl::Status status = FinishJoin(**record, request->frame, request->join);
  if (!status.ok()) {
    RefuseJoin(**record, request->frame, request->join.group(), status);
    return status;
  }
  v1::Join rest = join;
  rest.clear_request();
  return Execute(rest);
}

absl::Status Hub::Execute(const v1::Refuse& refuse) {
  const absl::StatusOr<GroupRequests::Request> request =
      TakeRequest(refuse.request(), refuse.who());
  if (!request.ok()) return request.status();
  const absl::StatusOr<HubRecord*> record = FindIn(request->who);
  if (!record.ok()) return record.status();
  absl::StatusCode code = StatusCodeFromWire(refuse.status().code());
  if (code == absl::StatusCode::kOk) code = absl::StatusCode::kPermissionDenied;
  RefuseJoin(**record, request->frame, request->join.group(),
             absl::Status(
                 code, CutUtf8(refuse.status().message(), kMaxRejectionBytes)));
  return absl::OkStatus();
}

void Hub::RefuseLateRequests(Shard& shard, absl::Time now) {
  const absl::Time stream_time = shard.waits.StreamTime(now);
  while (const std::optional<GroupRequests::Request> late =
             shard.group_requests.TakeLate(stream_time)) {
    const HubRecord* record = roster_.Find(late->who);
    if (record == nullptr) continue;
    const absl::Status status = absl::UnavailableError(absl::StrCat(
        "the backend has not decided within admission_timeout (",
        absl::FormatDuration(options_.target.admission_timeout), ")"));
    RefuseJoin(*record, late->frame, late->join.group(), status);
  }
}

void Hub::PublishFor(const HubRecord& record, const v1::HubClientFrame& frame,
                     std::size_t credit) {
  const v1::HubClientFrame::Publish& publish = frame.publish();
  absl::Status status = CheckAllowed(
      publish.group(), options_.target.client_publish, "hub.client_publish");
  if (publish.payload().kind_case() == v1::Payload::KIND_NOT_SET) {
    status.Update(absl::InvalidArgumentError("payload: is missing"));
  }
  const Who who = record.who;
  if (!status.ok()) {
    Answer(record, frame.id(), FailureFrame(frame.id(), status));
    return ReturnCredit(who, credit);
  }
  v1::EnginePublication publication;
  publication.set_route(options_.route);
  publication.mutable_to()->add_groups(publish.group());
  if (publish.no_echo()) {
    publication.mutable_to()->add_except_sessions(record.session);
  }
  *publication.mutable_payload() = publish.payload();
  const std::uint32_t id = frame.id();
  HubEngine* const engine = host_.engine();
  // However long the engine takes, other sessions have room meanwhile.
  const HubCredit shared{who, 0, engine == nullptr ? 0 : credit};
  const HubCredit rest{who, credit, credit - shared.shared_bytes};
  ReturnCredit(shared);
  // Whatever it has come to.
  const auto answer = [this, who, id, rest](const absl::Status& status) {
    if (status.ok()) ++counts_.published_by_clients;
    if (const HubRecord* record = roster_.Find(who)) {
      Answer(*record, id, status.ok() ? OkFrame(id) : FailureFrame(id, status));
    }
    ReturnCredit(rest);
  };
  const std::weak_ptr<const bool> is_there = is_there_;
  if (engine != nullptr && engine->HasHistory(publish.group())) {
    // It comes back to all gateways alike, in the order of the group.
    return engine->Store(
        publication, {},
        [answer, is_there](const absl::StatusOr<HubEngine::Stored>& stored) {
          if (!is_there.expired()) answer(stored.status());
        });
  }
  // Once the other gateways have it, or there are none.
  const auto done = [this, publication, answer,
                     is_there](const absl::Status& sent) {
    if (is_there.expired()) return;
    absl::Status status = sent;
    if (status.ok()) {
      status = Distribute(publication.to(), publication.payload(), "",
                          HubSource::kClient)
                   .status;
    }
    answer(status);
  };
  if (engine == nullptr) return done(absl::OkStatus());
  engine->Publish(publication, done);
}

void Hub::HandOnToken(const HubRecord& record, const v1::HubClientFrame& frame,
                      std::size_t credit) {
  absl::Status status;
  if (options_.target.method == kPacketMethod) {
    status = absl::UnimplementedError(
        absl::StrCat("token: ", kPacketMethod, " has no event for it"));
  } else if (frame.token().empty() || !IsMetadataValue(frame.token())) {
    status = absl::InvalidArgumentError(
        "token: must be printable ASCII, and not empty");
  }
  if (!status.ok()) {
    Answer(record, frame.id(), FailureFrame(frame.id(), status));
    return ReturnCredit(record.who, credit);
  }
  v1::Event event;
  event.mutable_token_refresh()->set_authorization(
      absl::StrCat("Bearer ", frame.token()));
  ShardOf(record.who)
      .stream.Enqueue({record.who, QueuedEvent::Kind::kOther,
                       event.SerializeAsString(), credit});
  Answer(record, frame.id(), OkFrame(frame.id()));
}

void Hub::Answer(const HubRecord& record, std::uint32_t id,
                 v1::HubServerFrame answer) {
  if (id == 0 || record.phase != HubRecord::Phase::kIn) return;
  answer.set_id(id);
  TellFrame(record, answer);
}

void Hub::TellFrame(const HubRecord& record, const v1::HubServerFrame& own) {
  auto frame =
      std::make_shared<const WireMessage>(EncodeServerFrame(own, record.codec));
  const std::size_t cost = frame->payload.size();
  HubDeliver deliver;
  deliver.whos = {record.who};
  deliver.frame = std::move(frame);
  deliver.is_answer = true;
  Tell(WorkerOf(record.who), std::move(deliver), cost);
}

}  // namespace headgate
