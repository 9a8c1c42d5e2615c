#include "cmd/headgate/publish.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "cmd/headgate/hub_client.h"
#include "gateway/base/utf8.h"

namespace headgate {
namespace {

constexpr char kPublishFooter[] =
    R"(Without TEXT each line of stdin is a message, sent as it comes. Prints for each
message how many sessions it was queued for, or, if the group has a history,
where it is stored.

The gateway must serve the hub API: `hub: {api: {}}` in its configuration.

Exit status: 0; 1 when the gateway cannot be reached or refuses a message; 64 for
a command line that cannot be understood.

Examples:
  headgate publish room:5 "hello"
  headgate publish ticker:ACME '{"price":42}' --replace ACME
  tail -f events.ndjson | headgate publish events --quiet
  headgate publish --user ann "only for ann")";

// What the gateway takes of one message.
constexpr std::size_t kMostRequestBytes = 4 * 1024 * 1024;

struct PublishFlags {
  HubClientFlags client;
  std::string first;   // GROUP; TEXT, where it is alone with --user.
  std::string second;  // TEXT.
  std::vector<std::string> users;
  std::vector<std::string> sessions;
  std::vector<std::string> except;
  std::string replace;
  std::string route;
  CLI::Option* has_first = nullptr;
  CLI::Option* has_second = nullptr;
  bool binary = false;
  bool quiet = false;
};

void Complain(const std::string& why) {
  std::cerr << "headgate publish: " << why << std::endl;
}

// What protobuf carries as a string.
bool AreTexts(const v1::PublishRequest& request) {
  const auto are_utf8 = [](const auto& texts) {
    return std::all_of(texts.begin(), texts.end(), IsUtf8);
  };
  return are_utf8(request.groups()) && are_utf8(request.users()) &&
         are_utf8(request.sessions()) && are_utf8(request.except_sessions()) &&
         IsUtf8(request.key()) && IsUtf8(request.route());
}

// The request without its payload.
v1::PublishRequest RequestOf(const PublishFlags& flags,
                             const std::string& group) {
  v1::PublishRequest request;
  if (!group.empty()) request.add_groups(group);
  for (const std::string& user : flags.users) request.add_users(user);
  for (const std::string& session : flags.sessions) {
    request.add_sessions(session);
  }
  for (const std::string& session : flags.except) {
    request.add_except_sessions(session);
  }
  request.set_key(flags.replace);
  request.set_route(flags.route);
  return request;
}

bool SetPayload(const PublishFlags& flags, std::string text,
                v1::PublishRequest& request) {
  if (flags.binary) {
    request.mutable_payload()->set_binary(std::move(text));
    return true;
  }
  if (!IsUtf8(text)) return false;
  request.mutable_payload()->set_text(std::move(text));
  return true;
}

void Report(const PublishFlags& flags, const v1::PublishResponse& response) {
  if (flags.quiet) return;
  for (const v1::GroupPosition& stored : response.positions()) {
    std::cout << "offset " << stored.position().offset() << " in epoch "
              << stored.position().epoch() << std::endl;
  }
  if (!response.positions().empty()) return;
  const std::uint64_t sessions = response.sessions();
  std::cout << sessions << (sessions == 1 ? " session" : " sessions")
            << std::endl;
}

int PublishOne(const PublishFlags& flags, HubClient& client,
               v1::PublishRequest request, std::string text) {
  if (!SetPayload(flags, std::move(text), request)) {
    Complain("TEXT is not UTF-8; --binary sends bytes");
    return kHubUsageError;
  }
  v1::PublishResponse response;
  const auto call = client.NewCall();
  const grpc::Status status =
      client.stub().Publish(call.get(), request, &response);
  if (!status.ok()) {
    Complain(ErrorText(status));
    return 1;
  }
  Report(flags, response);
  return 0;
}

int PublishLines(const PublishFlags& flags, HubClient& client,
                 v1::PublishRequest request) {
  const auto call = client.NewCall(/*is_stream=*/true);
  const auto stream = client.stub().PublishStream(call.get());
  bool failed = false;
  for (std::string line; std::getline(std::cin, line);) {
    if (!SetPayload(flags, std::move(line), request)) {
      Complain("a line is not UTF-8; --binary sends bytes");
      failed = true;
      continue;
    }
    if (request.ByteSizeLong() > kMostRequestBytes) {
      Complain("a line is longer than 4 MiB");
      failed = true;
      continue;
    }
    v1::PublishResponse response;
    if (!stream->Write(request) || !stream->Read(&response)) break;
    if (response.status().code() != 0) {
      failed = true;
      Complain(
          ErrorText({static_cast<grpc::StatusCode>(response.status().code()),
                     response.status().message()}));
    } else {
      Report(flags, response);
    }
  }
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  if (!status.ok()) Complain(ErrorText(status));
  return status.ok() && !failed ? 0 : 1;
}

int RunPublish(const PublishFlags& flags) {
  const bool names_others = !flags.users.empty() || !flags.sessions.empty();
  std::vector<std::string> words;
  if (flags.has_first->count() > 0) words.push_back(flags.first);
  if (flags.has_second->count() > 0) words.push_back(flags.second);
  std::string group;
  if (!words.empty() && (!names_others || words.size() > 1)) {
    group = words.front();
    words.erase(words.begin());
  }
  if (group.empty() && !names_others) {
    Complain("GROUP, --user or --session must name the receivers");
    return kHubUsageError;
  }
  const absl::StatusOr<std::unique_ptr<HubClient>> client =
      HubClient::Make(flags.client);
  if (!client.ok()) {
    Complain(std::string(client.status().message()));
    return kHubUsageError;
  }
  v1::PublishRequest request = RequestOf(flags, group);
  if (!AreTexts(request)) {
    Complain("names of groups, users, sessions and routes must be UTF-8");
    return kHubUsageError;
  }
  if (words.empty()) return PublishLines(flags, **client, std::move(request));
  return PublishOne(flags, **client, std::move(request), words.front());
}

}  // namespace

void AddPublish(CLI::App& app, std::function<int()>& run) {
  const auto flags = std::make_shared<PublishFlags>();
  CLI::App* command = app.add_subcommand(
      "publish", "Sends messages to the members of a hub's group");
  command->footer(kPublishFooter);
  flags->has_first =
      command
          ->add_option("GROUP", flags->first,
                       "The group; may be left out with --user or --session")
          ->type_name("");
  flags->has_second =
      command->add_option("TEXT", flags->second, "The message")->type_name("");
  command
      ->add_option("--user", flags->users,
                   "Only sessions of this user, of any group if none is "
                   "given; may be repeated")
      ->type_name("USER")
      ->allow_extra_args(false);
  command
      ->add_option("--session", flags->sessions,
                   "Only this session; may be repeated")
      ->type_name("ID")
      ->allow_extra_args(false);
  command
      ->add_option("--except", flags->except,
                   "Not this session; may be repeated")
      ->type_name("ID")
      ->allow_extra_args(false);
  command
      ->add_option("--replace", flags->replace,
                   "Replaces what still waits with the same key, where the "
                   "slow-client policy is keep-latest")
      ->type_name("KEY");
  command
      ->add_option("--route", flags->route, "Only sessions of this hub route")
      ->type_name("NAME");
  command->add_flag("--binary", flags->binary, "Send bytes instead of text");
  command->add_flag("--quiet", flags->quiet, "Print nothing on success");
  AddHubClientFlags(*command, flags->client);
  command->callback(
      [&run, flags] { run = [flags] { return RunPublish(*flags); }; });
}

}  // namespace headgate
