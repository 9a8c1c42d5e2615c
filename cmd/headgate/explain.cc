#include "cmd/headgate/explain.h"

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cmd/headgate/admin_client.h"
#include "cmd/headgate/dial/text.h"
#include "cmd/headgate/known_descriptors.h"
#include "cmd/headgate/serve.h"
#include "gateway/admin/explain.h"
#include "gateway/base/clock.h"
#include "gateway/config/load.h"
#include "gateway/net/listening_socket.h"
#include "gateway/server/configuration.h"

namespace headgate {
namespace {

namespace json = boost::json;

constexpr char kExplainFooter[] =
    R"(URL: ws:// or wss:// for a WebSocket, http:// or https:// for plain HTTP; a /PATH
is a WebSocket to the first listener.

The request is judged by the gateway's own code: the listener, the route, the
method, what path and query bind, the codec, credentials, limits, timeouts and
the upstream; or why it would be refused, with which status, and which setting
decides. With --config nothing is listened on, and no upstream is asked without
--live; without it the gateway with the admin listener --admin is asked, which
knows what its upstreams have told it. Tokens and values of headers are not
printed.

Exit status: 0 when the request would be served; 1 when it would be refused; 2
when that cannot be told: the file is invalid, the URL is none of the gateway's,
or the upstream's descriptors are needed (--live); 64 for a command line that
cannot be understood.

Examples:
  headgate explain ws://localhost:8080/chat
  headgate explain --config headgate.yaml ws://localhost:8080/chat
  headgate explain --config headgate.yaml --origin https://example.com /chat
  headgate explain --config headgate.yaml -X POST \
    -H 'content-type: application/json' http://localhost:8080/pkg.Service/Method)";

constexpr int kServed = 0;
constexpr int kRefused = 1;
constexpr int kUntold = 2;
constexpr int kBadFlags = 64;  // EX_USAGE of sysexits.h.

struct ExplainFlags {
  std::string config;
  ExplainQuery query;
  std::vector<std::string> headers;
  std::vector<std::string> subprotocols;
  std::string bearer;
  std::string origin;
  DescriptorsFrom source;
  bool json = false;
  AdminClientFlags admin;
};

// Adds the headers that flags stand for. False: a --header that is none.
bool AddHeaders(const ExplainFlags& flags, ExplainQuery& query) {
  for (const std::string& header : flags.headers) {
    const std::size_t colon = header.find(':');
    if (colon == std::string::npos) {
      std::cerr << "headgate explain: --header '" << OneLine(header)
                << "': must be 'Name: value'" << std::endl;
      return false;
    }
    query.headers.emplace_back(
        header.substr(0, colon),
        std::string(absl::StripAsciiWhitespace(header.substr(colon + 1))));
  }
  if (!flags.origin.empty()) query.headers.emplace_back("Origin", flags.origin);
  std::vector<std::string> subprotocols = flags.subprotocols;
  if (!flags.bearer.empty()) {
    subprotocols.insert(subprotocols.end(), {"Bearer", flags.bearer});
  }
  if (!subprotocols.empty()) {
    query.headers.emplace_back("Sec-WebSocket-Protocol",
                               absl::StrJoin(subprotocols, ", "));
  }
  return true;
}

std::string TextOf(const json::value& value) {
  return value.is_string() ? std::string(value.get_string())
                           : json::serialize(value);
}

std::string InOneLine(const json::value& value) {
  if (const auto* array = value.if_array()) {
    return absl::StrJoin(*array, ", ",
                         [](std::string* out, const json::value& item) {
                           absl::StrAppend(out, TextOf(item));
                         });
  }
  if (const auto* object = value.if_object()) {
    return absl::StrJoin(*object, ", ",
                         [](std::string* out, const auto& member) {
                           absl::StrAppend(out, std::string(member.key()), "=",
                                           InOneLine(member.value()));
                         });
  }
  return TextOf(value);
}

void PrintLine(absl::string_view name, const std::string& text) {
  constexpr std::size_t kColumn = 28;
  const std::size_t blanks = name.size() < kColumn ? kColumn - name.size() : 2;
  std::cout << name << std::string(blanks, ' ') << OneLine(text) << "\n";
}

// A line for each member; what belongs together is indented below its name.
void PrintExplanation(const json::object& facts) {
  for (const auto& [key, value] : facts) {
    const auto* object = value.if_object();
    if (object == nullptr) {
      PrintLine(std::string(key), InOneLine(value));
      continue;
    }
    std::cout << std::string(key) << "\n";
    for (const auto& [name, inner] : *object) {
      PrintLine(absl::StrCat("  ", std::string(name)), InOneLine(inner));
    }
  }
  std::cout << std::flush;
}

int ExitStatusOf(const json::object& facts) {
  const json::string& outcome = facts.at("outcome").as_string();
  if (outcome == "refused") return kRefused;
  return outcome == "unknown" ? kUntold : kServed;
}

absl::StatusOr<json::object> ExplainFile(const ExplainFlags& flags,
                                         const ExplainQuery& query) {
  absl::StatusOr<Settings> settings = LoadSettings(
      flags.config, flags.source.without_files ? Faults::Files::kIgnored
                                               : Faults::Files::kRead);
  if (!settings.ok()) return settings.status();
  Configuration::Reaches reaches;
  for (const ListenerSettings& listener : settings->listeners) {
    reaches.push_back(ReachOfAddress(listener.address));
  }
  const Configuration configuration(
      *settings, Configuration::Tls(settings->listeners.size()), reaches);
  std::vector<const HandshakePolicy*> policies;
  for (const auto& listener : configuration.listeners) {
    policies.push_back(&listener->policy);
  }
  const auto schema_of = [&](const std::string& name) {
    KnownSchema known;
    for (const UpstreamSettings& upstream : settings->upstreams) {
      if (upstream.name != name) continue;
      bool reachable = true;
      known.schema = KnownDescriptors(
          upstream, flags.source, settings->timeouts.reflection, &reachable);
      known.may_grow =
          upstream.descriptors.reflection && (!flags.source.live || !reachable);
    }
    std::vector<std::string> warnings;
    if (known.schema != nullptr) {
      known.http_rules = HttpRules::Build(known.schema, &warnings);
    }
    return known;
  };
  return Explain(*settings, policies, query, schema_of, Now());
}

// The same of the gateway that runs.
absl::StatusOr<json::object> ExplainRunning(const ExplainFlags& flags,
                                            const ExplainQuery& query) {
  std::string path = absl::StrCat("/explain?url=", QueryEscaped(query.url),
                                  "&method=", QueryEscaped(query.verb),
                                  "&peer=", QueryEscaped(query.peer),
                                  "&http2=", query.http2 ? "1" : "0",
                                  "&listener=", QueryEscaped(query.listener));
  for (const auto& [name, value] : query.headers) {
    absl::StrAppend(&path,
                    "&header=", QueryEscaped(absl::StrCat(name, ": ", value)));
  }
  std::string body;
  const absl::Status status =
      GetFromAdmin(flags.admin, path, [&body](absl::string_view piece) {
        absl::StrAppend(&body, piece);
        return true;
      });
  if (!status.ok()) return status;
  json::error_code error;
  const json::value facts = json::parse(body, error);
  if (error || !facts.is_object() || !facts.get_object().contains("outcome")) {
    return absl::UnavailableError("the admin listener's response is not one");
  }
  return facts.get_object();
}

int RunExplain(const ExplainFlags& flags) {
  ExplainQuery query = flags.query;
  if (!AddHeaders(flags, query)) return kBadFlags;
  const absl::StatusOr<json::object> facts = flags.config.empty()
                                                 ? ExplainRunning(flags, query)
                                                 : ExplainFile(flags, query);
  if (!facts.ok()) {
    PrintFailure(facts.status());
    return kUntold;
  }
  if (flags.json) {
    std::cout << json::serialize(*facts) << std::endl;
  } else {
    PrintExplanation(*facts);
  }
  const int status = ExitStatusOf(*facts);
  if (status == kUntold && !flags.config.empty() && !flags.source.live) {
    std::cerr << "headgate explain: with --live the upstream is asked for its "
                 "descriptors"
              << std::endl;
  }
  return status;
}

}  // namespace

void AddExplain(CLI::App& app, std::function<int()>& run) {
  const auto flags = std::make_shared<ExplainFlags>();
  CLI::App* command = app.add_subcommand(
      "explain",
      "Says what a request would lead to, or why it would be refused");
  command->footer(kExplainFooter);
  command->add_option("URL", flags->query.url, "Where the request goes")
      ->type_name("")
      ->required();
  command
      ->add_option("--config", flags->config,
                   "The configuration file (docs/configuration.md); without "
                   "it a gateway that runs is asked")
      ->type_name("FILE");
  command
      ->add_option("-X,--method", flags->query.verb,
                   "The HTTP method of a plain HTTP request")
      ->type_name("METHOD")
      ->capture_default_str();
  command
      ->add_option("-H,--header", flags->headers,
                   "A header 'Name: value'; may be repeated")
      ->type_name("HEADER")
      ->allow_extra_args(false);
  command
      ->add_option("--subprotocol", flags->subprotocols,
                   "A WebSocket subprotocol to offer; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command
      ->add_option("--bearer", flags->bearer,
                   "A token, offered as a browser has to")
      ->type_name("TOKEN");
  command->add_option("--origin", flags->origin, "The Origin of a page")
      ->type_name("ORIGIN");
  command->add_flag("--http2", flags->query.http2, "The request is HTTP/2's");
  command
      ->add_option("--peer", flags->query.peer,
                   "The address that the request comes from")
      ->type_name("ADDRESS")
      ->capture_default_str();
  command
      ->add_option("--listener", flags->query.listener,
                   "The listener, by its address in the configuration; "
                   "otherwise by the URL's port")
      ->type_name("ADDRESS");
  command->add_flag("--live", flags->source.live,
                    "Asks the upstreams for their descriptors");
  command->add_flag("--without-files", flags->source.without_files,
                    "Does not look at certificates, keys and descriptor sets");
  command->add_flag("--json", flags->json, "The result as one JSON text");
  AddAdminClientFlags(*command, flags->admin);
  command->callback(
      [&run, flags] { run = [flags] { return RunExplain(*flags); }; });
}

}  // namespace headgate
