#include "gateway/hub/cluster_requests.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "gateway/base/status.h"
#include "gateway/hub/known_fields.h"
#include "google/protobuf/util/time_util.h"

namespace headgate {
namespace {

// Of a page in a reply: NATS takes 1 MiB at a time unless it is told otherwise.
constexpr std::size_t kMostPageBytes = 512 * 1024;
constexpr std::size_t kMaxIdBytes = 128;
// Of a history.
constexpr std::size_t kMostEntries = 1000;

// Sessions that were resumed while others are asked for, which fit in a
// question.
constexpr int kMostResumed = 10'000;

// It becomes a header of NATS.
bool IsPlain(absl::string_view id) {
  return std::all_of(id.begin(), id.end(),
                     [](unsigned char c) { return absl::ascii_isgraph(c); });
}

absl::Status StatusOf(const v1::EngineReply& reply) {
  if (reply.status().code() == 0) return absl::OkStatus();
  return absl::Status(StatusCodeFromWire(reply.status().code()),
                      reply.status().message());
}

// The session is there.
bool HasFound(const v1::EngineReply& reply) {
  return !absl::IsNotFound(StatusOf(reply));
}

// What every gateway does for its own sessions. `result`: this one's.
template <typename Response, typename Add>
void AddUp(HubEngine& engine, v1::EngineQuestion question,
           absl::StatusOr<Response> result, Add add,
           ClusterRequests::Done<Response> done) {
  // Where it cannot be done here for what the request says, it cannot there.
  if (!result.ok()) return done(result.status());
  engine.Ask(std::move(question), absl::ZeroDuration(), nullptr,
             [response = *std::move(result), add,
              done = std::move(done)](HubEngine::Answers answers) mutable {
               absl::Status status;
               for (const v1::EngineReply& reply : answers.replies) {
                 const absl::Status its = StatusOf(reply);
                 // It has no such route.
                 if (absl::IsNotFound(its)) continue;
                 status.Update(its);
                 if (its.ok()) add(reply, response);
               }
               if (!status.ok()) return done(status);
               for (std::string& gateway : answers.silent) {
                 response.add_silent_gateways(std::move(gateway));
               }
               done(response);
             });
}

// A status message is a header, of which clients take 8 KiB.
std::string SomeOf(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 10;
  if (names.size() <= kMost) return absl::StrJoin(names, ", ");
  return absl::StrCat(absl::StrJoin(names.begin(), names.begin() + kMost, ", "),
                      " and ", names.size() - kMost, " more");
}

// What only the gateway with the session does, which is not this one.
template <typename Response, typename Take>
void Find(HubEngine& engine, v1::EngineQuestion question,
          absl::Duration patience, absl::Status not_found, Take take,
          ClusterRequests::Done<Response> done) {
  engine.Ask(std::move(question), patience, &HasFound,
             [take, not_found = std::move(not_found),
              done = std::move(done)](HubEngine::Answers answers) {
               for (const v1::EngineReply& reply : answers.replies) {
                 if (!HasFound(reply)) continue;
                 if (absl::Status status = StatusOf(reply); !status.ok()) {
                   return done(status);
                 }
                 return done(take(reply));
               }
               if (answers.silent.empty()) return done(not_found);
               done(absl::UnavailableError(absl::StrCat(
                   not_found.message(), " here; these gateways do not answer: ",
                   SomeOf(answers.silent))));
             });
}

// Of several pages from one position the first page of all. Each has all of its
// gateway's sessions up to its next_page_token, if it has one.
void Merge(std::size_t size, v1::ListSessionsResponse& page) {
  auto& sessions = *page.mutable_sessions();
  std::sort(sessions.begin(), sessions.end(),
            [](const v1::SessionInfo& a, const v1::SessionInfo& b) {
              return a.session() < b.session();
            });
  const std::string& known_up_to = page.next_page_token();
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (const v1::SessionInfo& session : sessions) {
    bytes += session.ByteSizeLong();
    if (count == size || (bytes > kMostPageBytes && count > 0)) break;
    if (!known_up_to.empty() && session.session() > known_up_to) break;
    ++count;
  }
  const int kept = static_cast<int>(count);
  const bool is_last = known_up_to.empty() && kept == sessions.size();
  sessions.DeleteSubrange(kept, sessions.size() - kept);
  if (is_last) {
    page.clear_next_page_token();
  } else if (kept > 0) {
    page.set_next_page_token(sessions.at(kept - 1).session());
  }  // Else a page without sessions has said that there are more.
}

void AddPage(const v1::ListSessionsResponse& from,
             v1::ListSessionsResponse& to) {
  to.mutable_sessions()->MergeFrom(from.sessions());
  const std::string& token = from.next_page_token();
  if (token.empty()) return;
  if (to.next_page_token().empty() || token < to.next_page_token()) {
    to.set_next_page_token(token);
  }
}

// Puts a result into a reply, at `place`.
template <typename Response>
void Put(const absl::StatusOr<Response>& result,
         Response* (v1::EngineReply::*place)(), v1::EngineReply& reply) {
  if (result.ok()) {
    *(reply.*place)() = *result;
    return;
  }
  reply.mutable_status()->set_code(static_cast<int>(result.status().code()));
  reply.mutable_status()->set_message(std::string(result.status().message()));
}

absl::Duration PatienceOf(const v1::SendRequest& request) {
  return request.has_wait_sent()
             ? absl::Seconds(request.wait_sent().seconds()) +
                   absl::Nanoseconds(request.wait_sent().nanos())
             : absl::ZeroDuration();
}

void AddMemberships(const v1::EngineReply& reply, v1::MembershipResponse& to) {
  to.set_sessions(to.sessions() + reply.membership().sessions());
}

v1::GetHistoryResponse ResponseOf(const HubEngine::Page& page) {
  v1::GetHistoryResponse response;
  *response.mutable_top() = page.top;
  response.set_complete(page.is_complete);
  for (const HubEngine::Page::Entry& each : page.entries) {
    v1::GetHistoryResponse::Entry& entry = *response.add_entries();
    entry.set_offset(each.offset);
    if (each.stored_at != absl::InfinitePast()) {
      *entry.mutable_published_at() =
          google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
              absl::ToUnixNanos(each.stored_at));
    }
    if (each.publication != nullptr) {
      *entry.mutable_payload() = each.publication->payload();
    }
  }
  return response;
}

}  // namespace

void ClusterRequests::Publish(const v1::PublishRequest& request,
                              Done<v1::PublishResponse> done) {
  absl::StatusOr<v1::EnginePublication> publication =
      local_.PublicationOf(request);
  if (!publication.ok()) return done(publication.status());
  const v1::Audience& to = publication->to();
  const bool is_stored = std::any_of(
      to.groups().begin(), to.groups().end(),
      [this](const std::string& group) { return engine_.HasHistory(group); });
  if (is_stored) return Store(request, *publication, std::move(done));
  if (!request.id().empty() || request.has_if_last_offset()) {
    return done(absl::InvalidArgumentError(
        "id, if_last_offset: need a group with history"));
  }
  // The others first: where they cannot be reached, nobody gets it.
  engine_.Publish(*publication,
                  [local = local_, publication = *publication,
                   done = std::move(done)](const absl::Status& status) mutable {
                    if (!status.ok()) return done(status);
                    done(local.Publish(publication));
                  });
}

void ClusterRequests::Store(const v1::PublishRequest& request,
                            const v1::EnginePublication& publication,
                            Done<v1::PublishResponse> done) {
  absl::Status status = CheckStored(publication.to());
  if (request.id().size() > kMaxIdBytes || !IsPlain(request.id())) {
    status = absl::InvalidArgumentError(
        absl::StrCat("id: must have at most ", kMaxIdBytes,
                     " printable ASCII characters without spaces"));
  }
  if (request.key().size() > kMaxKeyBytes) {
    status = absl::InvalidArgumentError(
        absl::StrCat("key: is longer than ", kMaxKeyBytes, " bytes"));
  }
  if (!status.ok()) return done(status);
  HubEngine::StoreOptions options{request.id(), {}};
  if (request.has_if_last_offset()) {
    options.if_last_offset = request.if_last_offset();
  }
  engine_.Store(publication, options,
                [group = publication.to().groups(0), done = std::move(done)](
                    const absl::StatusOr<HubEngine::Stored>& stored) {
                  if (!stored.ok()) return done(stored.status());
                  v1::PublishResponse response;
                  v1::GroupPosition& position = *response.add_positions();
                  position.set_group(group);
                  position.mutable_position()->set_epoch(stored->epoch);
                  position.mutable_position()->set_offset(stored->offset);
                  response.set_duplicate(stored->is_duplicate);
                  done(response);
                });
}

void ClusterRequests::Send(const v1::SendRequest& request,
                           Done<v1::SendResponse> done) {
  local_.Send(request, [&engine = engine_, request, done = std::move(done)](
                           const absl::StatusOr<v1::SendResponse>& sent) {
    if (!absl::IsNotFound(sent.status())) return done(sent);
    v1::EngineQuestion question;
    *question.mutable_send() = request;
    Find<v1::SendResponse>(
        engine, std::move(question), PatienceOf(request), sent.status(),
        [](const v1::EngineReply& reply) { return reply.send(); }, done);
  });
}

void ClusterRequests::Close(const v1::CloseRequest& request,
                            Done<v1::CloseResponse> done) {
  v1::EngineQuestion question;
  *question.mutable_close() = request;
  AddUp<v1::CloseResponse>(
      engine_, std::move(question), local_.Close(request),
      [](const v1::EngineReply& reply, v1::CloseResponse& to) {
        to.set_sessions(to.sessions() + reply.close().sessions());
      },
      std::move(done));
}

void ClusterRequests::Update(const v1::UpdateRequest& request,
                             Done<v1::UpdateResponse> done) {
  v1::EngineQuestion question;
  *question.mutable_update() = request;
  AddUp<v1::UpdateResponse>(
      engine_, std::move(question), local_.Update(request),
      [](const v1::EngineReply& reply, v1::UpdateResponse& to) {
        to.set_sessions(to.sessions() + reply.update().sessions());
      },
      std::move(done));
}

void ClusterRequests::Join(const v1::MembershipRequest& request,
                           Done<v1::MembershipResponse> done) {
  v1::EngineQuestion question;
  *question.mutable_join() = request;
  AddUp<v1::MembershipResponse>(engine_, std::move(question),
                                local_.Join(request), &AddMemberships,
                                std::move(done));
}

void ClusterRequests::Leave(const v1::MembershipRequest& request,
                            Done<v1::MembershipResponse> done) {
  v1::EngineQuestion question;
  *question.mutable_leave() = request;
  AddUp<v1::MembershipResponse>(engine_, std::move(question),
                                local_.Leave(request), &AddMemberships,
                                std::move(done));
}

void ClusterRequests::GetSession(const v1::GetSessionRequest& request,
                                 Done<v1::SessionInfo> done) {
  const absl::StatusOr<v1::SessionInfo> found = local_.GetSession(request);
  if (!absl::IsNotFound(found.status())) return done(found);
  v1::EngineQuestion question;
  *question.mutable_get() = request;
  Find<v1::SessionInfo>(
      engine_, std::move(question), absl::ZeroDuration(), found.status(),
      [](const v1::EngineReply& reply) { return reply.session(); },
      std::move(done));
}

void ClusterRequests::ListSessions(const v1::ListSessionsRequest& request,
                                   Done<v1::ListSessionsResponse> done) {
  v1::EngineQuestion question;
  *question.mutable_list() = request;
  const std::size_t size = HubRequests::PageSizeOf(request);
  AddUp<v1::ListSessionsResponse>(
      engine_, std::move(question), local_.ListSessions(request),
      [](const v1::EngineReply& reply, v1::ListSessionsResponse& to) {
        AddPage(reply.list(), to);
      },
      [size, done = std::move(done)](
          const absl::StatusOr<v1::ListSessionsResponse>& pages) {
        if (!pages.ok()) return done(pages);
        v1::ListSessionsResponse page = *pages;
        Merge(size, page);
        done(page);
      });
}

void ClusterRequests::CountSessions(const v1::CountSessionsRequest& request,
                                    Done<v1::CountSessionsResponse> done) {
  v1::EngineQuestion question;
  *question.mutable_count() = request;
  AddUp<v1::CountSessionsResponse>(
      engine_, std::move(question), local_.CountSessions(request),
      [](const v1::EngineReply& reply, v1::CountSessionsResponse& to) {
        to.set_sessions(to.sessions() + reply.count().sessions());
        to.set_users(to.users() + reply.count().users());
      },
      std::move(done));
}

void ClusterRequests::GetHistory(const v1::GetHistoryRequest& request,
                                 Done<v1::GetHistoryResponse> done) {
  absl::Status status = CheckKnown(request);
  if (status.ok() && request.after().offset() > 0 &&
      request.after().epoch().empty()) {
    status = absl::InvalidArgumentError(
        "after.epoch: is missing; without it the offset means nothing");
  }
  if (!status.ok()) return done(status);
  std::optional<v1::Position> after;
  if (request.has_after()) after = request.after();
  engine_.Read(
      request.group(), after,
      std::min<std::size_t>(request.limit(), kMostEntries),
      [done = std::move(done)](const absl::StatusOr<HubEngine::Page>& page) {
        if (!page.ok()) return done(page.status());
        done(ResponseOf(*page));
      });
}

absl::Status ClusterRequests::Watch(const v1::WatchRequest& request,
                                    std::shared_ptr<PresenceWatcher> watcher) {
  if (absl::Status known = CheckKnown(request); !known.ok()) return known;
  std::vector<std::string> groups(request.groups().begin(),
                                  request.groups().end());
  if (!request.group().empty()) groups.push_back(request.group());
  return presence_.Watch(groups, std::move(watcher));
}

void ClusterRequests::EndResumed(const std::string& session) {
  if (local_.EndReplaced(session)) return;
  if (resumed_.sessions_size() >= kMostResumed) return;
  resumed_.add_sessions(session);
  AskToEndResumed();
}

void ClusterRequests::AskToEndResumed() {
  if (asks_to_end_ || resumed_.sessions().empty()) return;
  asks_to_end_ = true;
  v1::EngineQuestion question;
  question.mutable_end_resumed()->Swap(&resumed_);
  // Those that do not answer have lost their sessions, or will hear of nothing.
  engine_.Ask(std::move(question), absl::ZeroDuration(), nullptr,
              [this](const HubEngine::Answers&) {
                asks_to_end_ = false;
                AskToEndResumed();
              });
}

void ClusterRequests::Carry(const v1::EngineQuestion& question,
                            std::function<void(v1::EngineReply)> done) {
  v1::EngineReply reply;
  using Reply = v1::EngineReply;
  using Question = v1::EngineQuestion;
  switch (question.request_case()) {
    case Question::kSend:
      return local_.Send(question.send(),
                         [done = std::move(done)](
                             const absl::StatusOr<v1::SendResponse>& sent) {
                           Reply reply;
                           Put(sent, &Reply::mutable_send, reply);
                           done(std::move(reply));
                         });
    case Question::kClose:
      Put(local_.Close(question.close()), &Reply::mutable_close, reply);
      break;
    case Question::kUpdate:
      Put(local_.Update(question.update()), &Reply::mutable_update, reply);
      break;
    case Question::kJoin:
      Put(local_.Join(question.join()), &Reply::mutable_membership, reply);
      break;
    case Question::kLeave:
      Put(local_.Leave(question.leave()), &Reply::mutable_membership, reply);
      break;
    case Question::kGet:
      Put(local_.GetSession(question.get()), &Reply::mutable_session, reply);
      break;
    case Question::kList: {
      absl::StatusOr<v1::ListSessionsResponse> page =
          local_.ListSessions(question.list());
      if (page.ok()) Merge(HubRequests::PageSizeOf(question.list()), *page);
      Put(page, &Reply::mutable_list, reply);
      break;
    }
    case Question::kCount:
      Put(local_.CountSessions(question.count()), &Reply::mutable_count, reply);
      break;
    case Question::kEndResumed: {
      for (const std::string& session : question.end_resumed().sessions()) {
        local_.EndReplaced(session);
      }
      break;
    }
    case Question::REQUEST_NOT_SET:  // Of a later version.
      Put(absl::StatusOr<v1::SendResponse>(absl::UnimplementedError(
              "the gateway does not know the request")),
          &Reply::mutable_send, reply);
  }
  done(std::move(reply));
}

}  // namespace headgate
