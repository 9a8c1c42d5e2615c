#include "cmd/headgate/check.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "cmd/headgate/known_descriptors.h"
#include "cmd/headgate/serve.h"
#include "gateway/base/status.h"
#include "gateway/config/load.h"
#include "gateway/route/http_rules.h"
#include "gateway/route/plan.h"
#include "gateway/schema/method_kind_name.h"
#include "gateway/schema/schema.h"
#include "gateway/server/listener_tls.h"

namespace headgate {
namespace {

constexpr char kCheckFooter[] =
    R"(It prints the listeners, the admin listeners with what they serve, the upstreams with the methods that their descriptor
sets define, and the routes in the order in which they are tried: which requests,
to which upstream, which call, which codecs (the first one when a client asks for
none). With --live the upstreams are asked for their descriptors too; else none
is asked for anything.

Exit status: 0 when the file is valid; 1 when it is not, its faults on stderr,
each with line, column and path, or, with --live, when an upstream cannot be
reached; 64 for a command line that cannot be
understood.)";

// Lines of cells, as columns.
class Table {
 public:
  void Add(std::vector<std::string> cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (widths_.size() <= i) widths_.push_back(0);
      widths_[i] = std::max(widths_[i], cells[i].size());
    }
    lines_.push_back(std::move(cells));
  }

  void Print(const std::string& indent) const {
    for (const std::vector<std::string>& cells : lines_) {
      std::string line = indent;
      for (std::size_t i = 0; i < cells.size(); ++i) {
        absl::StrAppend(&line, cells[i],
                        std::string(widths_[i] - cells[i].size() + 2, ' '));
      }
      line.erase(line.find_last_not_of(' ') + 1);
      std::cout << line << "\n";
    }
  }

 private:
  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> lines_;
};

void PrintListeners(const Settings& settings) {
  std::cout << "listeners\n";
  Table table;
  for (const ListenerSettings& listener : settings.listeners) {
    std::string address = listener.address;
    if (listener.tls) absl::StrAppend(&address, " (TLS)");
    if (listener.proxy_protocol) absl::StrAppend(&address, " (PROXY)");
    std::vector<std::string> cells = {
        address,
        listener.allowed_origins.empty()
            ? "its own origin"
            : absl::StrCat("its own origin, ",
                           absl::StrJoin(listener.allowed_origins, ", "))};
    if (!listener.allowed_hosts.empty()) {
      cells.push_back(absl::StrCat(
          "hosts localhost, ", absl::StrJoin(listener.allowed_hosts, ", ")));
    }
    table.Add(std::move(cells));
  }
  table.Print("  ");
}

void PrintAdmin(const Settings& settings) {
  std::cout << "admin\n";
  Table table;
  for (const AdminSettings& admin : settings.admin) {
    if (!admin.enabled) {
      table.Add({"off"});
      continue;
    }
    const bool usual = admin.serve == AdminSettings().serve;
    const bool all = admin.serve.size() == std::size(kAllAdminParts);
    table.Add({absl::StrCat(admin.address,
                            admin.token_file.empty() ? "" : " (token)"),
               all     ? "everything"
               : usual ? "everything but tap"
                       : absl::StrJoin(admin.serve, ", ",
                                       [](std::string* text, AdminPart part) {
                                         absl::StrAppend(text,
                                                         AdminPartName(part));
                                       })});
  }
  table.Print("  ");
}

struct CheckFlags {
  std::string file;
  DescriptorsFrom source;
};

void PrintMethods(const Schema& schema) {
  Table table;
  for (const Schema::Method* method : schema.methods()) {
    std::vector<std::string> rules;
    for (const HttpRule& rule : method->http_rules) {
      rules.push_back(absl::StrCat(rule.verb, " ", rule.path_template));
    }
    table.Add({std::string(absl::StripPrefix(method->path, "/")),
               std::string(MethodKindName(method->kind)),
               absl::StrJoin(rules, ", ")});
  }
  table.Print("    ");
}

using Schemas = std::map<std::string, std::shared_ptr<const Schema>>;

Schemas PrintUpstreams(const Settings& settings, const CheckFlags& flags,
                       bool* reachable) {
  std::cout << "upstreams\n";
  Schemas schemas;
  for (const UpstreamSettings& upstream : settings.upstreams) {
    std::vector<std::string> facts = {upstream.target};
    if (upstream.tls) {
      facts.push_back(upstream.tls->certificate.empty() ? "TLS" : "mutual TLS");
    }
    if (upstream.descriptors.reflection) facts.push_back("reflection");
    for (const auto* files :
         {&upstream.descriptors.files, &upstream.http_rules_files}) {
      facts.insert(facts.end(), files->begin(), files->end());
    }
    std::cout << "  " << upstream.name << ": " << absl::StrJoin(facts, ", ")
              << "\n";
    schemas[upstream.name] = KnownDescriptors(
        upstream, flags.source, settings.timeouts.reflection, reachable);
    if (schemas[upstream.name]) PrintMethods(*schemas[upstream.name]);
  }
  return schemas;
}

std::string RequestsOf(const Route& route) {
  std::string requests = absl::StrJoin(route.hosts, ",");
  if (!route.path.empty()) return absl::StrCat(requests, route.path);
  if (route.prefix == "/") return absl::StrCat(requests, "/...");
  if (!route.prefix.empty()) {
    return absl::StrCat(requests, route.prefix,
                        route.strip_prefix ? "[/...], stripped" : "[/...]");
  }
  if (!route.path_template.empty()) {
    return absl::StrCat(requests, route.path_template);
  }
  return absl::StrCat(requests, "/package.Service/Method");
}

std::string CallOf(const PathMethod&) { return "the path's method"; }
std::string CallOf(const FixedMethod& fixed) { return fixed.method.substr(1); }
std::string CallOf(const ServicePath& path) {
  return absl::StrCat(path.service.substr(1), "/...");
}
std::string CallOf(const HttpRuleSet&) { return "HTTP rules"; }
std::string CallOf(const MethodTable&) { return "by packet type"; }
std::string CallOf(const HubTarget& hub) {
  return absl::StrCat("hub ", hub.method.substr(1));
}

// The methods of a table, by packet type.
std::map<std::uint32_t, std::string> MethodsOf(const Route& route) {
  if (const auto* table = std::get_if<MethodTable>(&route.target)) {
    return {table->methods.begin(), table->methods.end()};
  }
  return {};
}

std::string CodecsOf(const RoutePlan& plan) {
  std::vector<std::string> names = {plan.codec ? std::string(plan.codec->name)
                                               : "auto"};
  for (const Dialect* codec : plan.allowed_codecs) {
    if (codec != plan.codec) names.push_back(std::string(codec->name));
  }
  return absl::StrJoin(names, ", ");
}

// Empty where the configuration says nothing of them.
std::string DialectsOf(const Route& route) {
  if (route.dialects.empty()) return "";
  return absl::StrCat("dialects ", absl::StrJoin(route.dialects, ", "));
}

void PrintRoutes(const Settings& settings) {
  std::cout << "routes\n";
  Table table;
  for (const Route& route : settings.routes) {
    table.Add({RequestsOf(route), absl::StrCat("-> ", route.upstream),
               std::visit([](const auto& call) { return CallOf(call); },
                          route.target),
               CodecsOf(PlanRoute(route)), DialectsOf(route)});
    for (const auto& [type, method] : MethodsOf(route)) {
      table.Add({"", "", absl::StrCat("  ", type, ": ", method.substr(1))});
    }
  }
  table.Print("  ");
}

// Reflection of some servers drops options.
void WarnOfMissingAnnotations(const Settings& settings,
                              const Schemas& schemas) {
  for (const UpstreamSettings& upstream : settings.upstreams) {
    const auto found = schemas.find(upstream.name);
    if (found == schemas.end() || found->second == nullptr) continue;
    const bool wanted =
        std::any_of(settings.routes.begin(), settings.routes.end(),
                    [&upstream](const Route& route) {
                      return PlanRoute(route).method_from ==
                                 RoutePlan::MethodFrom::kHttpRules &&
                             route.upstream == upstream.name;
                    });
    std::vector<std::string> warnings;
    if (wanted) HttpRules::Build(found->second, &warnings);
    for (const std::string& warning : warnings)
      WarnOfUpstream(upstream, warning);
  }
}

// A method that reflection might still know is nobody's fault.
void WarnOfUnknownMethods(const Settings& settings, const Schemas& schemas,
                          const CheckFlags& flags) {
  std::map<std::string, bool> asked;
  for (const UpstreamSettings& upstream : settings.upstreams) {
    asked[upstream.name] =
        upstream.descriptors.reflection && !flags.source.live;
  }
  for (std::size_t i = 0; i < settings.routes.size(); ++i) {
    const Route& route = settings.routes[i];
    const auto schema = schemas.find(route.upstream);
    if (asked[route.upstream] || schema == schemas.end() ||
        schema->second == nullptr) {
      continue;
    }
    std::vector<std::string> methods;
    if (const auto* fixed = std::get_if<FixedMethod>(&route.target)) {
      methods.push_back(fixed->method);
    }
    for (const auto& [type, method] : MethodsOf(route)) {
      methods.push_back(method);
    }
    for (const std::string& method : methods) {
      if (schema->second->FindMethod(method) != nullptr) continue;
      std::cerr << "headgate: warning: routes[" << i
                << "]: the descriptors of upstream '" << route.upstream
                << "' do not know " << method.substr(1) << "\n";
    }
  }
}

int RunCheck(const CheckFlags& flags) {
  const std::string& file = flags.file;
  const absl::StatusOr<Settings> settings =
      LoadSettings(file, flags.source.without_files ? Faults::Files::kIgnored
                                                    : Faults::Files::kRead);
  if (!settings.ok()) {
    PrintFailure(settings.status());
    return 1;
  }
  // A certificate and a key that do not fit together would stop the start.
  for (std::size_t i = 0; i < settings->listeners.size(); ++i) {
    const std::optional<ListenerTlsSettings>& tls = settings->listeners[i].tls;
    if (!tls || flags.source.without_files) continue;
    if (const auto made = ListenerTls::Make(*tls); !made.ok()) {
      PrintFailure(absl::InvalidArgumentError(absl::StrCat(
          file, ": listeners[", i, "].tls: ", made.status().message())));
      return 1;
    }
  }
  PrintListeners(*settings);
  PrintAdmin(*settings);
  bool reachable = true;
  const Schemas schemas = PrintUpstreams(*settings, flags, &reachable);
  PrintRoutes(*settings);
  std::cout << std::flush;
  WarnOfMissingAnnotations(*settings, schemas);
  WarnOfUnknownMethods(*settings, schemas, flags);
  return reachable ? 0 : 1;
}

}  // namespace

void AddCheck(CLI::App& app, std::function<int()>& run) {
  CLI::App* command = app.add_subcommand(
      "check", "Validates a configuration file, and says what it would serve");
  command->footer(kCheckFooter);
  const auto flags = std::make_shared<CheckFlags>();
  command->add_option("FILE", flags->file, "The file (docs/configuration.md)")
      ->type_name("")
      ->required();
  command->add_flag("--live", flags->source.live,
                    "Asks the upstreams too: whether they can be reached, and "
                    "for their descriptors");
  command->add_flag("--without-files", flags->source.without_files,
                    "Does not look at certificates, keys and descriptor sets, "
                    "which may not be there yet");
  command->callback(
      [&run, flags] { run = [flags] { return RunCheck(*flags); }; });
}

}  // namespace headgate
