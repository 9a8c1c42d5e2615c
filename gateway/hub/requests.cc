#include "gateway/hub/requests.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/utf8.h"
#include "gateway/hub/known_fields.h"

namespace headgate {
namespace {

constexpr std::size_t kDefaultPageSize = 100;
constexpr std::size_t kMostPageSize = 1000;

// Numbers are those of a stream, which is not where the request comes from.
absl::Status CheckNoNumbers(const v1::Audience& audience,
                            absl::string_view field) {
  if (audience.whos().empty() && audience.except_whos().empty()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      field, ": sessions have no numbers here; name them by their id"));
}

absl::Status CheckReceivers(const v1::Audience& audience,
                            absl::string_view field) {
  if (absl::Status status = CheckNoNumbers(audience, field); !status.ok()) {
    return status;
  }
  if (audience.sessions().empty() && audience.groups().empty() &&
      audience.users().empty() && audience.filters().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": names no sessions, groups, users or filters"));
  }
  return absl::OkStatus();
}

absl::Status CheckPayload(const v1::Payload& payload) {
  if (payload.kind_case() != v1::Payload::KIND_NOT_SET) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("payload: is missing");
}

// What a message repeats of the caller's.
absl::string_view Quoted(const std::string& text) {
  constexpr std::size_t kMostBytes = 128;
  return CutUtf8(text, kMostBytes);
}

absl::Status NoSession(const std::string& session) {
  return absl::NotFoundError(
      absl::StrCat("there is no session \"", Quoted(session), "\""));
}

absl::StatusOr<absl::Duration> DurationOf(
    const google::protobuf::Duration& duration, absl::string_view field,
    absl::Duration most) {
  const absl::Duration value =
      absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
  if (value >= absl::ZeroDuration() && value <= most) return value;
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": must be from 0 to ", absl::FormatDuration(most)));
}

v1::Audience AudienceOf(const v1::PublishRequest& request) {
  v1::Audience audience;
  *audience.mutable_groups() = request.groups();
  if (!request.group().empty()) audience.add_groups(request.group());
  *audience.mutable_users() = request.users();
  if (!request.user().empty()) audience.add_users(request.user());
  *audience.mutable_sessions() = request.sessions();
  *audience.mutable_filters() = request.filters();
  *audience.mutable_except_sessions() = request.except_sessions();
  return audience;
}

// A response that says how many sessions it was.
template <typename Response>
absl::StatusOr<Response> CountOf(const absl::StatusOr<std::size_t>& sessions) {
  if (!sessions.ok()) return sessions.status();
  Response response;
  response.set_sessions(*sessions);
  return response;
}

v1::Audience OneSession(const std::string& session) {
  v1::Audience audience;
  audience.add_sessions(session);
  return audience;
}

}  // namespace

absl::StatusOr<std::vector<Hub*>> HubRequests::HubsOf(
    const std::string& route) const {
  std::vector<Hub*> hubs;
  for (Hub* hub : hubs_()) {
    if (route.empty() || hub->options().route == route) hubs.push_back(hub);
  }
  if (hubs.empty() && !route.empty()) {
    return absl::NotFoundError(
        absl::StrCat("route: there is no hub route \"", Quoted(route), "\""));
  }
  return hubs;
}

template <typename Act>
absl::StatusOr<std::size_t> HubRequests::ForEach(const std::string& route,
                                                 Act act) const {
  const absl::StatusOr<std::vector<Hub*>> hubs = HubsOf(route);
  if (!hubs.ok()) return hubs.status();
  std::size_t sessions = 0;
  absl::Status status;
  for (Hub* hub : *hubs) {
    const HubOutcome outcome = act(*hub);
    sessions += outcome.sessions;
    status.Update(outcome.status);
  }
  if (!status.ok()) return status;
  return sessions;
}

// --- Messages ---

absl::StatusOr<v1::EnginePublication> HubRequests::PublicationOf(
    const v1::PublishRequest& request) const {
  if (absl::Status known = CheckKnown(request); !known.ok()) return known;
  v1::EnginePublication publication;
  *publication.mutable_to() = AudienceOf(request);
  const v1::Audience& to = publication.to();
  if (to.sessions().empty() && to.groups().empty() && to.users().empty()) {
    return absl::InvalidArgumentError(
        "groups, users, sessions: one of them must name the receivers");
  }
  absl::Status status = CheckPayload(request.payload());
  status.Update(HubsOf(request.route()).status());
  if (!status.ok()) return status;
  publication.set_route(request.route());
  *publication.mutable_payload() = request.payload();
  publication.set_key(request.key());
  return publication;
}

absl::StatusOr<v1::PublishResponse> HubRequests::Publish(
    const v1::EnginePublication& publication) {
  return CountOf<v1::PublishResponse>(
      ForEach(publication.route(), [&](Hub& hub) {
        return hub.Publish(publication.to(), publication.payload(),
                           publication.key());
      }));
}

void HubRequests::Deliver(const v1::EnginePublication& publication) {
  // Its publisher has no use for this gateway's failures.
  ForEach(publication.route(),
          [&](Hub& hub) { return hub.Deliver(publication); })
      .status()
      .IgnoreError();
}

void HubRequests::Send(
    const v1::SendRequest& request,
    std::function<void(const absl::StatusOr<v1::SendResponse>&)> done) {
  if (absl::Status known = CheckKnown(request); !known.ok()) return done(known);
  if (!request.has_wait_sent()) return done(SendNow(request));
  const absl::StatusOr<absl::Duration> patience =
      DurationOf(request.wait_sent(), "wait_sent", absl::Minutes(1));
  absl::Status status = patience.status();
  status.Update(CheckPayload(request.payload()));
  if (!status.ok()) return done(status);
  for (Hub* hub : hubs_()) {
    const auto found = hub->Find(OneSession(request.session()));
    if (!found.ok() || found->empty()) continue;
    return hub->SendAndWait(*found->front(), request.payload(), request.key(),
                            *patience,
                            [done = std::move(done)](const absl::Status& sent) {
                              if (!sent.ok()) return done(sent);
                              done(v1::SendResponse());
                            });
  }
  done(NoSession(request.session()));
}

absl::StatusOr<v1::SendResponse> HubRequests::SendNow(
    const v1::SendRequest& request) {
  if (absl::Status status = CheckPayload(request.payload()); !status.ok()) {
    return status;
  }
  const absl::StatusOr<std::size_t> sessions = ForEach("", [&](Hub& hub) {
    return hub.Publish(OneSession(request.session()), request.payload(),
                       request.key());
  });
  if (!sessions.ok()) return sessions.status();
  if (*sessions == 0) return NoSession(request.session());
  return v1::SendResponse();
}

absl::StatusOr<v1::CloseResponse> HubRequests::Close(
    const v1::CloseRequest& request) {
  if (absl::Status known = CheckKnown(request); !known.ok()) return known;
  absl::Status status = request.all() ? CheckNoNumbers(request.to(), "to")
                                      : CheckReceivers(request.to(), "to");
  if (!status.ok()) return status;
  const absl::StatusOr<absl::Duration> spread =
      DurationOf(request.spread(), "spread", absl::Hours(1));
  if (!spread.ok()) return spread.status();
  v1::Close close;
  *close.mutable_to() = request.to();
  close.set_code(request.code());
  close.set_reason(request.reason());
  if (request.has_farewell()) *close.mutable_farewell() = request.farewell();
  close.set_now(request.now());
  return CountOf<v1::CloseResponse>(ForEach(
      request.route(), [&](Hub& hub) { return hub.Close(close, *spread); }));
}

// --- What a session is ---

absl::StatusOr<v1::UpdateResponse> HubRequests::Update(
    const v1::UpdateRequest& request) {
  if (absl::Status known = CheckKnown(request); !known.ok()) return known;
  absl::Status status = CheckReceivers(request.to(), "to");
  if (!status.ok()) return status;
  v1::SetData change;
  *change.mutable_set() = request.set();
  *change.mutable_unset() = request.unset();
  return CountOf<v1::UpdateResponse>(ForEach(request.route(), [&](Hub& hub) {
    return hub.Update(
        request.to(), change,
        request.has_expires_at() ? &request.expires_at() : nullptr);
  }));
}

absl::StatusOr<v1::MembershipResponse> HubRequests::Join(
    const v1::MembershipRequest& request) {
  return ChangeMembership(request, "join", &Hub::Join);
}

absl::StatusOr<v1::MembershipResponse> HubRequests::Leave(
    const v1::MembershipRequest& request) {
  return ChangeMembership(request, "leave", &Hub::Leave);
}

absl::StatusOr<v1::MembershipResponse> HubRequests::ChangeMembership(
    const v1::MembershipRequest& request, absl::string_view verb,
    HubOutcome (Hub::*change)(const v1::Audience&,
                              const std::vector<std::string>&)) {
  if (absl::Status known = CheckKnown(request); !known.ok()) return known;
  absl::Status status = CheckReceivers(request.to(), "to");
  if (!status.ok()) return status;
  const std::vector<std::string> groups(request.groups().begin(),
                                        request.groups().end());
  if (groups.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("groups: names none to ", verb));
  }
  return CountOf<v1::MembershipResponse>(
      ForEach(request.route(),
              [&](Hub& hub) { return (hub.*change)(request.to(), groups); }));
}

// --- Looking ---

absl::StatusOr<v1::SessionInfo> HubRequests::GetSession(
    const v1::GetSessionRequest& request) {
  if (absl::Status known = CheckKnown(request); !known.ok()) return known;
  for (Hub* hub : hubs_()) {
    const auto found = hub->Find(OneSession(request.session()));
    if (found.ok() && !found->empty()) return hub->InfoOf(*found->front());
  }
  return NoSession(request.session());
}

std::size_t HubRequests::PageSizeOf(const v1::ListSessionsRequest& request) {
  return request.page_size() == 0
             ? kDefaultPageSize
             : std::min<std::size_t>(request.page_size(), kMostPageSize);
}

absl::StatusOr<v1::ListSessionsResponse> HubRequests::ListSessions(
    const v1::ListSessionsRequest& request) {
  if (absl::Status known = CheckKnown(request); !known.ok()) return known;
  absl::Status status = CheckNoNumbers(request.of(), "of");
  if (!status.ok()) return status;
  const absl::StatusOr<std::vector<Hub*>> hubs = HubsOf(request.route());
  if (!hubs.ok()) return hubs.status();
  using Entry = std::pair<const HubRecord*, Hub*>;
  std::vector<Entry> entries;
  for (Hub* hub : *hubs) {
    const auto found = hub->Find(request.of());
    if (!found.ok()) return found.status();
    for (const HubRecord* record : *found) {
      if (record->session > request.page_token()) {
        entries.emplace_back(record, hub);
      }
    }
  }
  const std::size_t size = PageSizeOf(request);
  const std::size_t count = std::min(size, entries.size());
  std::partial_sort(entries.begin(),
                    entries.begin() + static_cast<std::ptrdiff_t>(count),
                    entries.end(), [](const Entry& a, const Entry& b) {
                      return a.first->session < b.first->session;
                    });
  v1::ListSessionsResponse response;
  for (std::size_t i = 0; i < count; ++i) {
    *response.add_sessions() = entries[i].second->InfoOf(*entries[i].first);
  }
  if (count < entries.size()) {
    response.set_next_page_token(entries[count - 1].first->session);
  }
  return response;
}

absl::StatusOr<v1::CountSessionsResponse> HubRequests::CountSessions(
    const v1::CountSessionsRequest& request) {
  if (absl::Status known = CheckKnown(request); !known.ok()) return known;
  absl::Status status = CheckNoNumbers(request.of(), "of");
  if (!status.ok()) return status;
  const absl::StatusOr<std::vector<Hub*>> hubs = HubsOf(request.route());
  if (!hubs.ok()) return hubs.status();
  std::size_t sessions = 0;
  absl::flat_hash_set<absl::string_view> users;
  for (Hub* hub : *hubs) {
    const auto found = hub->Find(request.of());
    if (!found.ok()) return found.status();
    sessions += found->size();
    for (const HubRecord* record : *found) {
      if (!record->user.empty()) users.insert(record->user);
    }
  }
  v1::CountSessionsResponse response;
  response.set_sessions(sessions);
  response.set_users(users.size());
  return response;
}

}  // namespace headgate
