#include "cmd/headgate/tap.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "absl/strings/str_cat.h"
#include "cmd/headgate/admin_client.h"
#include "cmd/headgate/dial/output.h"
#include "cmd/headgate/dial/text.h"

namespace headgate {
namespace {

namespace json = boost::json;

constexpr char kTapFooter[] =
    R"(The admin listener must serve it: `admin: {serve: [..., tap]}`. Messages are shown
with the names of their fields and without their values, unless --show-payload
is given and the listener serves `tap-payloads`, too. Metadata is never shown.

A tap slows no session: what is more than --rate, or than its reader takes, is
dropped and counted.

--record FILE writes what clients and the gateway have sent, for "headgate
replay"; it needs `tap-payloads`, and takes sessions from their
beginning. The file has everything that is in the messages.

Exit status: 0 when it is ended by SIGINT, SIGTERM, --count or the gateway's own
end; 1 when the admin listener cannot be reached or refuses; 64 for a command line that cannot be
understood.

Examples:
  headgate tap
  headgate tap --route /chat --show-payload
  headgate tap --method pkg.Service/Method --sample 100 --json
  headgate tap --route /chat --record chat.jsonl)";

// No line of a tap is longer: its payloads are limited.
constexpr std::size_t kMostLineBytes = 4 * 1024 * 1024;

struct TapFlags {
  AdminClientFlags admin;
  std::string route;
  std::string method;
  std::string session;
  std::uint32_t sample = 1;
  std::uint32_t rate = 1000;
  std::uint64_t count = 0;
  bool show_payload = false;
  bool json = false;
  std::string record;
};

std::string QueryOf(const TapFlags& flags) {
  std::string query = absl::StrCat("/tap?rate=", flags.rate);
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) {
      absl::StrAppend(&query, "&", key, "=", QueryEscaped(value));
    }
  };
  add("route", flags.route);
  add("method", flags.method);
  add("id", flags.session);
  if (flags.sample > 1) absl::StrAppend(&query, "&sample=", flags.sample);
  if (!flags.record.empty()) {
    add("payload", "raw");
  } else if (flags.show_payload) {
    add("payload", "shown");
  }
  return query;
}

std::string Text(const json::object& event, const char* key) {
  const json::value* value = event.if_contains(key);
  if (value == nullptr) return "";
  return value->is_string() ? std::string(value->get_string())
                            : json::serialize(*value);
}

// What people read: "12:00:01.123456 3f2a9c01 /chat > {...}".
std::string LineFor(const json::object& event) {
  const std::string kind = Text(event, "event");
  if (kind == "dropped") {
    return absl::StrCat("dropped: ", Text(event, "count"), " in all");
  }
  const std::string at = Text(event, "at");
  std::string line = absl::StrCat(at.size() > 12 ? at.substr(11, 15) : at, " ",
                                  Text(event, "session").substr(0, 8), " ",
                                  Text(event, "route"), " ");
  if (kind == "opened") {
    absl::StrAppend(&line, "opened ", Text(event, "method"), " from ",
                    Text(event, "peer"));
  } else if (kind == "ended") {
    absl::StrAppend(&line, "ended ", Text(event, "close"), " ",
                    Text(event, "status"), " ", Text(event, "reason"));
  } else {
    absl::StrAppend(&line, kind == "request" ? "> " : "< ",
                    Text(event, "codec"), " ", Text(event, "bytes"), " ",
                    event.contains("half_close")  ? "half-close"
                    : event.contains("truncated") ? "(too long to be shown)"
                                                  : Text(event, "message"));
  }
  return OneLine(line);
}

// Takes the lines of a tap as they come.
class TapReader {
 public:
  TapReader(const TapFlags& flags, std::ofstream* file)
      : flags_(flags), file_(file) {}

  // False: it is over.
  bool Take(absl::string_view bytes) {
    rest_.append(bytes.data(), bytes.size());
    std::size_t begin = 0;
    for (std::size_t end = rest_.find('\n'); end != std::string::npos;
         begin = end + 1, end = rest_.find('\n', begin)) {
      const std::string line = rest_.substr(begin, end - begin);
      if (!line.empty() && !TakeLine(line)) return false;
    }
    rest_.erase(0, begin);
    return rest_.size() < kMostLineBytes;
  }

 private:
  bool TakeLine(const std::string& line) {
    json::error_code error;
    const json::value parsed = json::parse(line, error);
    const json::object* event = parsed.if_object();
    if (error || event == nullptr) return true;
    const std::string kind = Text(*event, "event");
    if (kind == "tapping") {
      std::cerr << "headgate tap: tapping" << std::endl;
      return true;
    }
    if (file_ != nullptr) {
      *file_ << line << std::endl;
    } else if (!WriteOut(
                   STDOUT_FILENO,
                   absl::StrCat(flags_.json ? line : LineFor(*event), "\n"))) {
      return false;
    }
    const bool is_message = kind == "request" || kind == "response";
    return !is_message || flags_.count == 0 || ++messages_ < flags_.count;
  }

  const TapFlags& flags_;
  std::ofstream* const file_;  // Null: standard output.
  std::string rest_;           // A line that is not complete.
  std::uint64_t messages_ = 0;
};

int RunTap(const TapFlags& flags) {
  std::ofstream file;
  if (!flags.record.empty()) {
    // It is for nobody else's eyes.
    const int made =
        open(flags.record.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (made >= 0) close(made);
    file.open(flags.record, std::ios::out | std::ios::trunc);
    if (!file) {
      std::cerr << "headgate tap: cannot write " << flags.record << std::endl;
      return 1;
    }
  }
  TapReader reader(flags, flags.record.empty() ? nullptr : &file);
  const absl::Status status =
      GetFromAdmin(flags.admin, QueryOf(flags),
                   [&](absl::string_view bytes) { return reader.Take(bytes); });
  if (!flags.record.empty() && !file) {
    std::cerr << "headgate tap: " << flags.record << " is not complete"
              << std::endl;
    return 1;
  }
  if (status.ok()) return 0;
  std::cerr << "headgate tap: " << status.message() << std::endl;
  return absl::IsInvalidArgument(status) ? 64 : 1;
}

}  // namespace

void AddTap(CLI::App& app, std::function<int()>& run) {
  const auto flags = std::make_shared<TapFlags>();
  CLI::App* command = app.add_subcommand(
      "tap", "Shows the messages of a gateway's open sessions");
  command->footer(kTapFooter);
  command->add_option("--route", flags->route, "Only sessions of this route")
      ->type_name("NAME");
  command->add_option("--method", flags->method, "Only sessions of this method")
      ->type_name("PACKAGE.SERVICE/METHOD");
  command->add_option("--session", flags->session, "Only this session")
      ->type_name("ID");
  command->add_option("--sample", flags->sample, "One session in so many")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--rate", flags->rate, "The most events in a second")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command
      ->add_option("--count", flags->count,
                   "End after so many messages; 0: never")
      ->capture_default_str();
  auto* const show = command->add_flag("--show-payload", flags->show_payload,
                                       "Show the values in messages, too");
  command->add_flag("--json", flags->json, "One JSON object a line");
  command
      ->add_option("--record", flags->record,
                   "Write a recording for \"headgate replay\" to this file")
      ->type_name("FILE")
      ->excludes(show);
  AddAdminClientFlags(*command, flags->admin);
  command->callback(
      [&run, flags] { run = [flags] { return RunTap(*flags); }; });
}

}  // namespace headgate
