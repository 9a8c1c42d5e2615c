#include "cmd/headgate/sessions.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "cmd/headgate/dial/text.h"
#include "cmd/headgate/hub_client.h"
#include "google/protobuf/util/json_util.h"

namespace headgate {
namespace {

constexpr char kSessionsFooter[] =
    R"(Lists the sessions of the gateway's hub routes, in the order of their ids.

The gateway must serve the hub API: `hub: {api: {}}` in its configuration.

Exit status: 0; 1 when the gateway cannot be reached or refuses; 64 for a command
line that cannot be understood.

Examples:
  headgate sessions
  headgate sessions --group room:5 --json
  headgate sessions --user ann --count
  headgate sessions --user ann --close "signed out")";

constexpr std::uint32_t kPageSize = 1000;

struct SessionsFlags {
  HubClientFlags client;
  std::vector<std::string> groups;
  std::vector<std::string> users;
  std::vector<std::string> ids;
  std::string route;
  bool json = false;
  bool count = false;
  std::string reason;
  CLI::Option* close = nullptr;
};

int FailSessions(const std::string& why, int exit_status = 1) {
  std::cerr << "headgate sessions: " << why << std::endl;
  return exit_status;
}

v1::Audience AudienceOf(const SessionsFlags& flags) {
  v1::Audience audience;
  for (const std::string& group : flags.groups) audience.add_groups(group);
  for (const std::string& user : flags.users) audience.add_users(user);
  for (const std::string& id : flags.ids) audience.add_sessions(id);
  return audience;
}

// Names are the clients' and backends' own, and a server may say anything.
std::string Shown(const std::string& text) {
  return text.empty() ? "-" : OneLine(text);
}

std::string LineOf(const v1::SessionInfo& session) {
  const absl::Time opened =
      absl::FromUnixSeconds(session.opened_at().seconds());
  std::vector<std::string> groups(session.groups().begin(),
                                  session.groups().end());
  std::sort(groups.begin(), groups.end());
  return absl::StrCat(
      Shown(session.session()), "  ",
      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", opened, absl::UTCTimeZone()), "  ",
      Shown(session.route()), "  ", Shown(session.codec()), "  ",
      Shown(session.peer()), "  ", Shown(session.user()), "  ",
      Shown(absl::StrJoin(groups, ",")));
}

std::string JsonOf(const v1::SessionInfo& session) {
  std::string json;
  google::protobuf::util::MessageToJsonString(session, &json).ok();
  return json;
}

int List(const SessionsFlags& flags, HubClient& client) {
  v1::ListSessionsRequest request;
  *request.mutable_of() = AudienceOf(flags);
  request.set_route(flags.route);
  request.set_page_size(kPageSize);
  do {
    v1::ListSessionsResponse page;
    const auto call = client.NewCall();
    const grpc::Status status =
        client.stub().ListSessions(call.get(), request, &page);
    if (!status.ok()) return FailSessions(ErrorText(status));
    for (const v1::SessionInfo& session : page.sessions()) {
      std::cout << (flags.json ? JsonOf(session) : LineOf(session)) << "\n";
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  std::cout << std::flush;
  return 0;
}

int Count(const SessionsFlags& flags, HubClient& client) {
  v1::CountSessionsRequest request;
  *request.mutable_of() = AudienceOf(flags);
  request.set_route(flags.route);
  v1::CountSessionsResponse response;
  const auto call = client.NewCall();
  const grpc::Status status =
      client.stub().CountSessions(call.get(), request, &response);
  if (!status.ok()) return FailSessions(ErrorText(status));
  std::cout << response.sessions() << " sessions, " << response.users()
            << " users" << std::endl;
  return 0;
}

int Close(const SessionsFlags& flags, HubClient& client) {
  v1::CloseRequest request;
  *request.mutable_to() = AudienceOf(flags);
  request.set_route(flags.route);
  request.set_reason(flags.reason);
  v1::CloseResponse response;
  const auto call = client.NewCall();
  const grpc::Status status =
      client.stub().Close(call.get(), request, &response);
  if (!status.ok()) return FailSessions(ErrorText(status));
  std::cout << response.sessions() << " closed" << std::endl;
  return 0;
}

int RunSessions(const SessionsFlags& flags) {
  const absl::StatusOr<std::unique_ptr<HubClient>> client =
      HubClient::Make(flags.client);
  if (!client.ok()) {
    return FailSessions(std::string(client.status().message()), kHubUsageError);
  }
  if (flags.close->count() > 0) return Close(flags, **client);
  return flags.count ? Count(flags, **client) : List(flags, **client);
}

}  // namespace

void AddSessions(CLI::App& app, std::function<int()>& run) {
  const auto flags = std::make_shared<SessionsFlags>();
  CLI::App* command = app.add_subcommand(
      "sessions", "Lists or closes the sessions of a gateway's hubs");
  command->footer(kSessionsFooter);
  command
      ->add_option("--group", flags->groups,
                   "Only members of this group; may be repeated")
      ->type_name("GROUP")
      ->allow_extra_args(false);
  command
      ->add_option("--user", flags->users,
                   "Only sessions of this user; may be repeated")
      ->type_name("USER")
      ->allow_extra_args(false);
  command
      ->add_option("--session", flags->ids,
                   "Only this session; may be repeated")
      ->type_name("ID")
      ->allow_extra_args(false);
  command
      ->add_option("--route", flags->route, "Only sessions of this hub route")
      ->type_name("NAME");
  auto* const json =
      command->add_flag("--json", flags->json, "One JSON object a line");
  auto* const count =
      command->add_flag("--count", flags->count, "Only how many there are")
          ->excludes(json);
  flags->close =
      command
          ->add_option("--close", flags->reason,
                       "Close them, with this reason; a group, a user or a "
                       "session must be named")
          ->type_name("REASON")
          ->excludes(json)
          ->excludes(count);
  AddHubClientFlags(*command, flags->client);
  command->callback(
      [&run, flags] { run = [flags] { return RunSessions(*flags); }; });
}

}  // namespace headgate
