#include "cmd/headgate/replay.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "absl/algorithm/container.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "cmd/headgate/client_tls_flags.h"
#include "cmd/headgate/dial/handshake.h"
#include "cmd/headgate/dial/text.h"
#include "cmd/headgate/duration_flag.h"
#include "cmd/headgate/replay_socket.h"
#include "gateway/base/clock.h"
#include "gateway/base/file.h"

namespace headgate {
namespace {

namespace json = boost::json;

constexpr char kReplayFooter[] =
    R"(URL is that of the other gateway, ws://HOST:PORT or wss://HOST:PORT; the paths are
those of the recording. What clients have sent is sent again, in the order of all
sessions; what the gateway has sent then is awaited, and compared: JSON as JSON,
packets as one stream of bytes, everything else byte by byte, and the close code.

A recording has no metadata and no tokens: --bearer and --header stand for them.

WebSocket sessions in the codecs json, packet, protobuf and raw are opened again
as they were. Of calls by HTTP rules, plain HTTP and other dialects (gRPC,
gRPC-Web, Connect, grpc-websockets) a recording has the messages. They are sent
over a WebSocket, in JSON where the recording has it, else in protobuf, and what
is compared is messages and status; calls by HTTP rules, whose paths are not in a
recording, go to /PACKAGE.SERVICE/METHOD. Left out, and listed at the end: sessions
whose beginning is not in the recording, calls without a message, and several
calls on one WebSocket (grpc-websockets-multiplex).

Exit status: 0 when nothing differs; 1 when something does, a line for each on
stdout; 2 when it cannot be told: the file is no recording or has no sessions,
all of it is left out, or the gateway cannot be reached; 64 for a command line
that cannot be understood.

Examples:
  headgate replay chat.jsonl ws://127.0.0.1:8081
  headgate replay chat.jsonl wss://staging.example.com --bearer "$TOKEN" --ignore time)";

constexpr int kSame = 0;
constexpr int kDifferent = 1;
constexpr int kNotTold = 2;
constexpr int kReplayUsage = 64;  // EX_USAGE of sysexits.h.
constexpr std::size_t kMaxRecordingBytes = std::size_t{1} << 30;
// Of a message in a difference.
constexpr std::size_t kShownBytes = 200;
// The gateway's own codecs have subprotocols that begin so.
constexpr absl::string_view kOwnTokens = "headgate.";

struct ReplayFlags {
  std::string file;
  std::string url;
  std::string bearer;
  std::vector<std::string> headers;
  std::vector<std::string> ignored;
  std::string timeout = "10s";
  bool timing = false;
  ClientTlsFlags tls;
};

std::string Member(const json::object& event, const char* key) {
  const json::value* value = event.if_contains(key);
  return value != nullptr && value->is_string()
             ? std::string(value->get_string())
             : "";
}

// What a session's messages are sent as.
enum class Form {
  kWire,  // As they were on the wire.
  // Those of a call that was none of a codec of the gateway's own.
  kUnknown,  // None has come yet.
  kJson,
  kProtobuf,
};

// The message of a request or response; absent: the recording does not have it.
std::optional<WireMessage> MessageOf(const json::object& event, Form form) {
  if (event.contains("half_close")) return WireMessage{Opcode::kText, ""};
  if (form != Form::kProtobuf && event.contains("text")) {
    return WireMessage{Opcode::kText, Member(event, "text")};
  }
  if (form == Form::kJson) return std::nullopt;
  std::string bytes;
  if (!event.contains("base64") ||
      !absl::Base64Unescape(Member(event, "base64"), &bytes)) {
    return std::nullopt;
  }
  return WireMessage{Opcode::kBinary, std::move(bytes)};
}

std::string Excerpt(const std::string& bytes, Opcode opcode) {
  const std::string shown = bytes.substr(0, kShownBytes);
  return absl::StrCat(
      opcode == Opcode::kText ? OneLine(shown) : absl::BytesToHexString(shown),
      bytes.size() > kShownBytes ? "..." : "");
}

// Whether it is a request line's path: anybody can write a recording.
bool IsPath(absl::string_view text) {
  return absl::StartsWith(text, "/") && IsPrintableLine(text) &&
         text.find_first_of(" \t") == absl::string_view::npos;
}

// A session of the recording, and its like at the other gateway.
struct Replayed {
  std::string name;  // For a terminal.
  std::string path;  // Empty: it cannot be opened again.
  Form form = Form::kWire;
  bool joins = false;  // Packets: messages are joined as it happens.
  std::unique_ptr<ReplaySocket> socket;  // Null: left out, or broken off.
  std::uint64_t responses = 0;
  // With `joins`, what is to come and what has come, and was not compared.
  std::string expected;
  std::string received;
};

class Replay {
 public:
  Replay(const ReplayFlags& flags, WsUrl url,
         std::shared_ptr<const TlsContext> tls, DialHandshakeOptions handshake,
         absl::Duration timeout)
      : flags_(flags),
        url_(std::move(url)),
        tls_(std::move(tls)),
        handshake_(std::move(handshake)),
        timeout_(timeout) {}

  // Fails where the gateway cannot be reached.
  absl::Status Take(const json::object& event) {
    const std::string kind = Member(event, "event");
    const std::string id = Member(event, "session");
    if (kind == "dropped") has_gaps_ = true;
    if (id.empty()) return absl::OkStatus();
    if (kind == "opened") return Open(event, id);
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) {
      LeaveOut(id, "begun before the recording");
      return absl::OkStatus();
    }
    Replayed& session = found->second;
    if (session.form == Form::kUnknown) {
      if (const absl::Status status = OpenCall(event, id, session);
          !status.ok()) {
        return status;
      }
    }
    if (session.socket == nullptr) return absl::OkStatus();
    Wait(event);
    if (kind == "request") Send(event, session);
    if (kind == "response") Compare(event, session);
    if (kind == "ended") End(event, session);
    return absl::OkStatus();
  }

  int Finish() {
    for (auto& [id, session] : sessions_) {
      if (session.socket != nullptr) session.socket->Close();
    }
    std::cerr << "headgate replay: " << opened_ << " sessions, " << requests_
              << " requests, " << responses_ << " responses, " << differences_
              << " differences; " << left_out_.size() << " sessions left out"
              << LeftOut() << (has_gaps_ ? "; the recording has gaps" : "")
              << std::endl;
    if (differences_ != 0) return kDifferent;
    return opened_ == 0 ? kNotTold : kSame;
  }

 private:
  absl::Status Open(const json::object& event, const std::string& id) {
    Replayed& session = sessions_[id];
    const std::string subprotocol = Member(event, "subprotocol");
    const std::string codec = Member(event, "codec");
    const bool is_wire =
        !event.contains("media_type") &&
        (subprotocol.empty() || absl::StartsWith(subprotocol, kOwnTokens));
    session.path = Member(event, "path");
    if (!is_wire && session.path.empty() && event.contains("method")) {
      session.path = absl::StrCat("/", Member(event, "method"));
    }
    session.name = OneLine(absl::StrCat(id.substr(0, 8), " ", session.path));
    session.joins =
        subprotocol == kPacketDialect.token || codec == kPacketDialect.name;
    if (session.path.empty()) {
      LeaveOut(id, is_wire ? "of HTTP rules" : codec);
    } else if (!IsPath(session.path)) {
      LeaveOut(id, "its path is not valid");
    } else if (is_wire) {
      Wait(event);
      return Connect(session, DialectOfSubprotocol(subprotocol));
    } else if (!event.contains("method")) {
      LeaveOut(id, codec);  // Several calls.
    } else {
      session.form = Form::kUnknown;
    }
    return absl::OkStatus();
  }

  // Opens a WebSocket for a call of another dialect, as soon as its first
  // message says in which form the recording has it.
  absl::Status OpenCall(const json::object& event, const std::string& id,
                        Replayed& session) {
    session.form = event.contains("text") || event.contains("half_close")
                       ? Form::kJson
                       : Form::kProtobuf;
    if (Member(event, "event") == "ended") {
      LeaveOut(id, "without a message");
      return absl::OkStatus();
    }
    Wait(event);
    return Connect(session, session.form == Form::kJson ? &kJsonDialect
                                                        : &kProtobufDialect);
  }

  // `codec`: null: the first message chooses it.
  absl::Status Connect(Replayed& session, const Dialect* codec) {
    DialHandshakeOptions options = handshake_;
    options.codec = codec;
    const absl::StatusOr<UpgradeHeaders> headers = MakeDialHandshake(options);
    if (!headers.ok()) return headers.status();
    WsUrl url = url_;
    url.target =
        absl::StrCat(absl::StripSuffix(url_.target, "/"), session.path);
    auto socket = ReplaySocket::Open(url, *headers, tls_, timeout_);
    if (!socket.ok()) {
      if (opened_ == 0 &&
          !absl::StartsWith(socket.status().message(), "refused:")) {
        return socket.status();
      }
      Differ(session,
             absl::StrCat("cannot be opened: ", socket.status().message()));
      return absl::OkStatus();
    }
    ++opened_;
    session.socket = *std::move(socket);
    return absl::OkStatus();
  }

  void LeaveOut(const std::string& id, const std::string& why) {
    left_out_.emplace(id, why.empty() ? "of an unknown dialect" : why);
  }

  // " (connect: 2, begun before the recording: 1)"
  std::string LeftOut() const {
    std::map<std::string, int> reasons;
    for (const auto& [id, why] : left_out_) ++reasons[why];
    std::vector<std::string> parts;
    parts.reserve(reasons.size());
    for (const auto& [why, count] : reasons) {
      parts.push_back(absl::StrCat(OneLine(why), ": ", count));
    }
    return parts.empty() ? ""
                         : absl::StrCat(" (", absl::StrJoin(parts, ", "), ")");
  }

  // With --timing: until the event is as far from the first one as it was.
  void Wait(const json::object& event) {
    absl::Time at;
    std::string error;
    if (!flags_.timing || !absl::ParseTime(absl::RFC3339_full,
                                           Member(event, "at"), &at, &error)) {
      return;
    }
    if (!offset_) offset_ = SteadyNow() - at;
    absl::SleepFor(at + *offset_ - SteadyNow());
  }

  void Send(const json::object& event, Replayed& session) {
    std::optional<WireMessage> message = MessageOf(event, session.form);
    if (!message) return BreakOff(session, "a request is not in the recording");
    ++requests_;
    // A call may be over before its input is.
    const bool may_be_late =
        message->opcode == Opcode::kText && message->payload.empty();
    const absl::Status sent = session.socket->Send(
        message->opcode, std::move(message->payload), timeout_);
    if (!sent.ok() && !may_be_late) {
      BreakOff(session,
               absl::StrCat("a request cannot be sent: ", sent.message()));
    }
  }

  void Compare(const json::object& event, Replayed& session) {
    ++responses_;
    ++session.responses;
    const std::optional<WireMessage> expected = MessageOf(event, session.form);
    if (session.joins && expected) return CompareStream(*expected, session);
    const absl::StatusOr<WireMessage> received =
        session.socket->Receive(timeout_);
    const std::string which = absl::StrCat("response ", session.responses);
    if (!received.ok()) {
      return BreakOff(session,
                      absl::StrCat(which, ": ", received.status().message()));
    }
    if (!expected || IsSame(*expected, *received)) return;
    Differ(session,
           absl::StrCat(which, ": recorded ",
                        Excerpt(expected->payload, expected->opcode), ", now ",
                        Excerpt(received->payload, received->opcode)));
  }

  void CompareStream(const WireMessage& expected, Replayed& session) {
    session.expected += expected.payload;
    while (session.received.size() < session.expected.size()) {
      const absl::StatusOr<WireMessage> message =
          session.socket->Receive(timeout_);
      if (!message.ok()) {
        return BreakOff(session,
                        absl::StrCat("response ", session.responses, ": ",
                                     message.status().message()));
      }
      session.received += message->payload;
    }
    const std::size_t size = session.expected.size();
    if (session.received.compare(0, size, session.expected) != 0) {
      return BreakOff(
          session,
          absl::StrCat("response ", session.responses, ": recorded ",
                       Excerpt(session.expected, Opcode::kBinary), ", now ",
                       Excerpt(session.received, Opcode::kBinary)));
    }
    session.received.erase(0, size);
    session.expected.clear();
  }

  void End(const json::object& event, Replayed& session) {
    if (Member(event, "by") != "gateway") {
      session.socket->Close();
      session.socket = nullptr;
      return;
    }
    const absl::StatusOr<int> code = session.socket->AwaitClose(timeout_);
    const json::value* recorded = event.if_contains("close");
    if (!code.ok()) {
      Differ(session,
             absl::StrCat("it does not end: ", code.status().message()));
    } else if (recorded != nullptr && recorded->is_int64() &&
               recorded->get_int64() != *code) {
      Differ(session, absl::StrCat("recorded Close ", recorded->get_int64(),
                                   ", now ", *code));
    }
    const absl::StatusOr<WireMessage> more =
        session.socket->Receive(absl::ZeroDuration());
    if (more.ok() || !session.received.empty()) {
      Differ(session, "there are more responses than were recorded");
    }
    session.socket = nullptr;
  }

  void BreakOff(Replayed& session, const std::string& why) {
    Differ(session, why);
    session.socket = nullptr;
  }

  void Differ(const Replayed& session, const std::string& how) {
    ++differences_;
    std::cout << session.name << ": " << OneLine(how) << std::endl;
  }

  bool IsSame(const WireMessage& a, const WireMessage& b) const {
    if (a.opcode != b.opcode) return false;
    if (a.payload == b.payload) return true;
    if (a.opcode != Opcode::kText) return false;
    json::error_code error;
    json::value left = json::parse(a.payload, error);
    if (error) return false;
    json::value right = json::parse(b.payload, error);
    if (error) return false;
    Drop(left);
    Drop(right);
    return left == right;
  }

  // Drops members that --ignore names.
  void Drop(json::value& value) const {
    if (auto* array = value.if_array()) {
      for (json::value& inner : *array) Drop(inner);
    }
    auto* object = value.if_object();
    if (object == nullptr) return;
    for (const std::string& name : flags_.ignored) object->erase(name);
    for (auto& member : *object) Drop(member.value());
  }

  const ReplayFlags& flags_;
  const WsUrl url_;
  const std::shared_ptr<const TlsContext> tls_;
  const DialHandshakeOptions handshake_;
  const absl::Duration timeout_;
  std::map<std::string, Replayed> sessions_;
  std::map<std::string, std::string> left_out_;  // Id -> why.
  std::optional<absl::Duration> offset_;
  bool has_gaps_ = false;
  std::uint64_t opened_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t responses_ = 0;
  std::uint64_t differences_ = 0;
};

int FailReplay(absl::string_view why, int status) {
  std::cerr << "headgate replay: " << OneLine(why) << std::endl;
  return status;
}

int RunReplay(const ReplayFlags& flags) {
  const absl::StatusOr<WsUrl> url = ParseWsUrl(flags.url);
  if (!url.ok()) return FailReplay(url.status().message(), kReplayUsage);
  const auto tls = ClientTlsOf(flags.tls, url->security);
  if (!tls.ok()) return FailReplay(tls.status().message(), kReplayUsage);
  const auto timeout =
      ParseDurationFlag("--timeout", flags.timeout, absl::Milliseconds(1));
  if (!timeout.ok()) {
    return FailReplay(timeout.status().message(), kReplayUsage);
  }
  DialHandshakeOptions handshake;
  if (!flags.bearer.empty()) handshake.bearer = flags.bearer;
  handshake.headers = flags.headers;
  if (const auto made = MakeDialHandshake(handshake); !made.ok()) {
    return FailReplay(made.status().message(), kReplayUsage);
  }
  const absl::StatusOr<std::string> recording =
      ReadFile(flags.file, kMaxRecordingBytes);
  if (!recording.ok()) {
    return FailReplay(
        absl::StrCat(flags.file, " ", recording.status().message()), kNotTold);
  }
  Replay replay(flags, *url, *tls, handshake, *timeout);
  std::size_t number = 0;
  for (const absl::string_view line : absl::StrSplit(*recording, '\n')) {
    ++number;
    if (line.empty()) continue;
    json::error_code error;
    const json::value event = json::parse({line.data(), line.size()}, error);
    if (error || !event.is_object() || !event.get_object().contains("event")) {
      return FailReplay(
          absl::StrCat(flags.file, ":", number, ": is no line of a recording"),
          kNotTold);
    }
    if (const absl::Status taken = replay.Take(event.get_object());
        !taken.ok()) {
      return FailReplay(taken.message(), kNotTold);
    }
  }
  return replay.Finish();
}

}  // namespace

void AddReplay(CLI::App& app, std::function<int()>& run) {
  const auto flags = std::make_shared<ReplayFlags>();
  CLI::App* command = app.add_subcommand(
      "replay",
      "Sends a recording of \"headgate tap\" to another gateway, and "
      "compares what it responds");
  command->footer(kReplayFooter);
  command->add_option("FILE", flags->file, "The recording")
      ->type_name("")
      ->required();
  command->add_option("URL", flags->url, "The other gateway")
      ->type_name("")
      ->required();
  command
      ->add_option("--bearer", flags->bearer,
                   "The token of all sessions; the environment hides it from "
                   "other users, a flag does not")
      ->envname("HEADGATE_BEARER");
  command
      ->add_option("--header", flags->headers,
                   "Send this header in each handshake; may be repeated")
      ->type_name("'NAME: VALUE'")
      ->allow_extra_args(false);
  command
      ->add_option("--ignore", flags->ignored,
                   "Do not compare members of this name in JSON; may be "
                   "repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_flag("--timing", flags->timing,
                    "Take as long between messages as was taken; else as soon "
                    "as the order allows");
  command
      ->add_option("--timeout", flags->timeout,
                   "How long to wait for each response, and for a connection")
      ->type_name("DURATION")
      ->capture_default_str();
  AddClientTlsFlags(*command, flags->tls);
  command->callback(
      [&run, flags] { run = [flags] { return RunReplay(*flags); }; });
}

}  // namespace headgate
