#include "cmd/headgate/bench.h"

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "cmd/headgate/bench/dialect.h"
#include "cmd/headgate/bench/report.h"
#include "cmd/headgate/bench/run.h"
#include "cmd/headgate/bench/target.h"
#include "cmd/headgate/client_tls_flags.h"
#include "cmd/headgate/dial/output.h"
#include "cmd/headgate/duration_flag.h"
#include "gateway/base/file.h"

namespace headgate {
namespace {

constexpr int kExitUsage = 64;  // EX_USAGE of sysexits.h.

constexpr char kBenchFooter[] = R"(URL:
  ws://HOST[:PORT]/PATH[?QUERY]              through a gateway
  wss://HOST[:PORT]/PATH[?QUERY]             the same with TLS
  ws+unix:/SOCKET:/PATH[?QUERY]              over the Unix socket /SOCKET,
                                             wss+unix: with TLS
  http://HOST[:PORT]/package.Service/Method  calls, or a stream of messages,
  https://HOST[:PORT]/package.Service/Method over HTTP
  grpc://HOST:PORT/package.Service/Method    gRPC C++, of the backend itself for
                                             comparison, or through a gateway

--codec, and what a connection of the load is:
  with ws://, a WebSocket: protobuf, packet, json, raw; grpc-websockets;
    grpc-websockets-multiplex, with one call
  with http://, calls of one message each: connect, connect-json, grpc-web,
    grpc-web-text, grpc
  with http://, one call with a stream of messages: connect-stream,
    connect-stream-json, grpc-stream
grpc and the streams are over HTTP/2, the others with --http2.

The method must answer each message with one message, in order, as the demo
backend's headgate.v1.PacketService/Connect does (/packets; with raw: /echo).
The default message is one that it echoes; with calls it is one of
headgate.demo.v1.HelloService/SayHello. --message is the content of a packet
with packet, a line of JSON with json, and else the bytes of one message.

Closed loop: each connection keeps --in-flight messages outstanding; the answer
to one sends the next. Open loop (--rate): messages are sent at their time
whether or not earlier ones were answered, and latency counts from the time
that a message was due, so that a gateway which stops for a moment is not
spared those that it kept waiting. --in-flight is then how many may be
outstanding on a connection; what is over that is sent late and counts as such.
Latency includes the time until the load generator runs: some 50us when it
sleeps between messages, more when it shares its processors.

Exit status: 0 when every connection was opened and nothing went wrong; 1
otherwise, what it was on stderr; 64 for a command line that cannot be
understood. SIGINT ends early with what was measured so far.

Examples:
  headgate bench --connections 64 --in-flight 16 ws://127.0.0.1:8080/packets
  headgate bench --rate 20000 --connections 100 --json --pid $(pidof headgate) \
    ws://127.0.0.1:8080/packets
  headgate bench --connections 1 --idle 10000 ws://127.0.0.1:8080/packets
  headgate bench --http2 --streams 100 --connections 100 --insecure \
    wss://127.0.0.1:8443/packets
  headgate bench --codec grpc --in-flight 16 \
    http://127.0.0.1:8080/headgate.demo.v1.HelloService/SayHello)";

// The flags as they were typed.
struct BenchFlags {
  std::string url;
  std::string codec = "protobuf";
  bool no_subprotocol = false;
  std::size_t connections = 1;
  std::optional<std::size_t> in_flight;
  std::optional<double> rate;
  std::size_t size = 64;
  std::optional<std::string> message;
  std::string duration = "10s";
  std::optional<std::string> warm_up;
  std::optional<std::uint64_t> messages;
  std::optional<double> ramp;
  std::size_t idle = 0;
  std::size_t threads = 1;
  bool http2 = false;
  std::optional<std::size_t> streams;
  std::string connect_timeout = "10s";
  std::string bearer;
  std::vector<std::string> headers;
  ClientTlsFlags tls;
  std::optional<int> pid;
  bool json = false;
};

constexpr std::size_t kMaxConnections = 1'000'000;
constexpr std::size_t kMaxInFlight = 1'000'000;
constexpr std::size_t kOpenLoopInFlight = 1024;
constexpr std::size_t kMaxSize = 64 * 1024 * 1024;

void Say(absl::string_view text) {
  WriteOut(STDERR_FILENO, absl::StrCat("headgate bench: ", text, "\n"));
}

// 'text' or '@FILE'.
absl::StatusOr<std::string> MessageContent(const std::string& text) {
  absl::string_view name = text;
  if (!absl::ConsumePrefix(&name, "@")) return text;
  absl::StatusOr<std::string> content = ReadFile(std::string(name), kMaxSize);
  if (!content.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--message '", text, "': ", content.status().message()));
  }
  return content;
}

absl::Status SetMessage(const BenchFlags& flags, BenchOptions& options) {
  options.size = flags.size;
  if (!flags.message.has_value()) {
    options.message =
        options.dialect->wire(options.dialect->content(flags.size));
    return absl::OkStatus();
  }
  auto content = MessageContent(*flags.message);
  if (!content.ok()) return content.status();
  if (options.dialect == &kBenchJson &&
      absl::StripSuffix(*content, "\n").find('\n') != std::string::npos) {
    return absl::InvalidArgumentError(
        "--message: must be one line with --codec json");
  }
  if (content->size() > kMaxSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("--message: must be at most ", kMaxSize, " bytes"));
  }
  options.size = content->size();
  options.message = options.dialect->wire(*content);
  return absl::OkStatus();
}

absl::Status SetHandshake(const BenchFlags& flags, BenchOptions& options) {
  const bool is_grpc = std::holds_alternative<GrpcTarget>(options.target);
  const bool is_http = std::holds_alternative<HttpMethodTarget>(options.target);
  if (is_http != options.dialect->is_http()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--codec: ", options.dialect->name,
                     is_http ? " is not for http:// and https://"
                             : " is for http:// and https:// only"));
  }
  if (is_grpc && options.dialect != &kBenchProtobuf) {
    return absl::InvalidArgumentError("--codec: grpc:// takes protobuf only");
  }
  DialHandshakeOptions handshake;
  if (!is_grpc && !is_http && !flags.no_subprotocol) {
    handshake.codec = options.dialect->dialect;
  }
  handshake.headers = flags.headers;
  if ((is_grpc || is_http) && !flags.bearer.empty()) {
    handshake.headers.push_back(
        absl::StrCat("authorization: Bearer ", flags.bearer));
  } else if (!flags.bearer.empty()) {
    handshake.bearer = flags.bearer;
  }
  auto made = MakeDialHandshake(handshake);
  if (!made.ok()) return made.status();
  options.handshake = *std::move(made);
  return absl::OkStatus();
}

absl::Status SetHttp2(const BenchFlags& flags, BenchOptions& options) {
  const bool is_grpc = std::holds_alternative<GrpcTarget>(options.target);
  if (is_grpc && (flags.http2 || flags.streams.has_value())) {
    return absl::InvalidArgumentError(
        "--http2 and --streams: grpc:// has HTTP/2 of its own");
  }
  const bool is_http2 = flags.http2 || options.dialect->needs_http2();
  if (is_http2) {
    options.http2_streams = flags.streams.value_or(1);
  } else if (flags.streams.has_value()) {
    return absl::InvalidArgumentError("--streams: needs --http2");
  }
  return absl::OkStatus();
}

absl::Status SetTls(const BenchFlags& flags, BenchOptions& options) {
  WsUrl::Security security = WsUrl::Security::kPlain;
  if (const auto* url = std::get_if<WsUrl>(&options.target)) {
    security = url->security;
  } else if (const auto* http =
                 std::get_if<HttpMethodTarget>(&options.target)) {
    security = http->url.security;
  }
  auto tls = ClientTlsOf(flags.tls, security,
                         options.http2_streams.has_value()
                             ? ClientTlsOptions::Http::k2
                             : ClientTlsOptions::Http::k11);
  if (!tls.ok()) return tls.status();
  options.tls = *std::move(tls);
  return absl::OkStatus();
}

absl::Status SetLoad(const BenchFlags& flags, BenchOptions& options) {
  LoadOptions& load = options.load;
  load.connections = flags.connections;
  load.idle = flags.idle;
  if (load.connections == 0 && load.idle == 0) {
    return absl::InvalidArgumentError(
        "--connections: must be at least 1 without --idle");
  }
  if (flags.rate.has_value() && load.connections == 0) {
    return absl::InvalidArgumentError(
        "--rate: needs --connections of at least 1");
  }
  if (flags.messages.has_value() && load.connections == 0) {
    return absl::InvalidArgumentError(
        "--messages: needs --connections of at least 1");
  }
  load.rate = flags.rate;
  load.ramp = flags.ramp;
  const bool is_http1 =
      std::holds_alternative<HttpMethodTarget>(options.target) &&
      !options.http2_streams.has_value();
  load.in_flight = flags.in_flight.value_or(
      flags.rate.has_value() && !is_http1 ? kOpenLoopInFlight : std::size_t{1});
  if (is_http1 && load.in_flight > 1) {
    return absl::InvalidArgumentError(
        "--in-flight: a connection of HTTP/1.1 has one request at a time");
  }
  auto connect_timeout = ParseDurationFlag(
      "--connect-timeout", flags.connect_timeout, absl::Milliseconds(1));
  if (!connect_timeout.ok()) return connect_timeout.status();
  load.connect_timeout = *connect_timeout;
  return absl::OkStatus();
}

// How long, or how many messages.
absl::Status SetWindow(const BenchFlags& flags, BenchOptions& options) {
  auto duration =
      ParseDurationFlag("--duration", flags.duration, absl::Milliseconds(1));
  if (!duration.ok()) return duration.status();
  options.duration = *duration;
  options.messages = flags.messages;
  // An exact number is an exact number from the start.
  const std::string warm_up =
      flags.warm_up.value_or(flags.messages.has_value() ? "0" : "2s");
  if (flags.messages.has_value() &&
      absl::SimpleAtoi(warm_up, &options.warm_up_messages)) {
    options.warm_up = absl::ZeroDuration();
    return absl::OkStatus();
  }
  auto time = ParseDurationFlag("--warm-up", warm_up, absl::ZeroDuration());
  if (!time.ok()) return time.status();
  options.warm_up = *time;
  return absl::OkStatus();
}

absl::StatusOr<BenchOptions> OptionsOf(const BenchFlags& flags) {
  BenchOptions options;
  options.url = flags.url;
  auto target = ParseBenchTarget(flags.url);
  if (!target.ok()) return target.status();
  options.target = *std::move(target);
  options.dialect = FindBenchDialect(flags.codec);
  options.threads = flags.threads;
  options.pid = flags.pid;
  for (absl::Status (*set)(const BenchFlags&, BenchOptions&) :
       {SetMessage, SetHandshake, SetHttp2, SetTls, SetLoad, SetWindow}) {
    const absl::Status status = set(flags, options);
    if (!status.ok()) return status;
  }
  return options;
}

int RunBench(const BenchFlags& flags) {
  const auto options = OptionsOf(flags);
  if (!options.ok()) {
    Say(options.status().message());
    return kExitUsage;
  }
  const auto result = RunBench(*options);
  if (!result.ok()) {
    Say(result.status().message());
    return 1;
  }
  if (result->counts.codec_declined) {
    Say(absl::StrCat("note: the other side did not take the subprotocol ",
                     options->dialect->dialect->token));
  }
  WriteOut(STDERR_FILENO, ReportFailures(*result));
  WriteOut(STDOUT_FILENO, flags.json ? absl::StrCat(ReportJson(*result), "\n")
                                     : ReportText(*result));
  return result->ok() ? 0 : 1;
}

void AddLoadFlags(CLI::App& bench, BenchFlags& flags) {
  bench
      .add_option("--connections", flags.connections,
                  "So many connections carry the load")
      ->check(CLI::Range(std::size_t{0}, kMaxConnections))
      ->capture_default_str();
  bench
      .add_option("--in-flight", flags.in_flight,
                  "So many messages are outstanding on each: 1 by default; "
                  "with --rate at most so many, 1024 by default")
      ->check(CLI::Range(std::size_t{1}, kMaxInFlight));
  bench
      .add_option("--rate", flags.rate,
                  "Open loop: so many messages a second on all connections "
                  "together, evenly")
      ->check(CLI::Range(0.001, 1e9));
  bench
      .add_option("--duration", flags.duration, "How long messages are counted")
      ->type_name("DURATION")
      ->capture_default_str();
  bench
      .add_option("--messages", flags.messages,
                  "Count exactly so many messages, instead of a duration")
      ->check(CLI::PositiveNumber);
  bench
      .add_option("--warm-up", flags.warm_up,
                  "Load before that, not counted: 2s by default; with "
                  "--messages a duration or a number of messages, none by "
                  "default")
      ->type_name("DURATION");
  bench
      .add_option("--ramp", flags.ramp,
                  "Open so many connections a second; else as fast as 64 at a "
                  "time will go")
      ->check(CLI::Range(0.001, 1e9));
  bench
      .add_option("--idle", flags.idle,
                  "So many further connections, which send one message, await "
                  "its answer and stay open in silence")
      ->check(CLI::Range(std::size_t{0}, kMaxConnections))
      ->capture_default_str();
  bench.add_flag("--http2", flags.http2,
                 "HTTP/2, by prior knowledge or, with TLS, by ALPN: WebSockets "
                 "are streams (RFC 8441), calls run at the same time");
  bench
      .add_option("--streams", flags.streams,
                  "With HTTP/2, so many connections of the load share a "
                  "socket: 1 by default")
      ->check(CLI::Range(std::size_t{1}, kMaxConnections));
  bench
      .add_option("--threads", flags.threads,
                  "So many threads share the connections; with grpc://, gRPC "
                  "has more of its own")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
}

}  // namespace

void AddBench(CLI::App& app, std::function<int()>& run) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* const bench = app.add_subcommand(
      "bench", "Put load on a gateway, or a gRPC server, and measure it");
  bench->footer(kBenchFooter);
  bench
      ->add_option("URL", flags->url,
                   "ws://HOST[:PORT]/PATH[?QUERY], wss://, "
                   "ws+unix:/SOCKET:/PATH, http://HOST[:PORT]/PATH, https:// "
                   "or grpc://HOST:PORT/package.Service/Method")
      ->required();
  bench
      ->add_option(
          "--codec", flags->codec,
          "What messages are, and the subprotocol headgate.CODEC.v1 or "
          "that of another dialect; see below")
      ->check(CLI::IsMember(BenchDialectNames()))
      ->capture_default_str();
  bench->add_flag("--no-subprotocol", flags->no_subprotocol,
                  "Offer no subprotocol, for gateways that know none");
  auto* const size = bench
                         ->add_option("--size", flags->size,
                                      "The bytes of content of a message")
                         ->check(CLI::Range(std::size_t{0}, kMaxSize))
                         ->capture_default_str();
  bench
      ->add_option("--message", flags->message, "A message of your own instead")
      ->type_name("TEXT|@FILE")
      ->excludes(size);
  AddLoadFlags(*bench, *flags);
  bench
      ->add_option("--connect-timeout", flags->connect_timeout,
                   "Give up opening a connection after this long")
      ->type_name("DURATION")
      ->capture_default_str();
  bench
      ->add_option("--bearer", flags->bearer,
                   "Send this token as credentials; the environment hides it "
                   "from other users, a flag does not")
      ->envname("HEADGATE_BEARER");
  bench
      ->add_option("--header", flags->headers,
                   "Send this header in the handshake, or as metadata; may be "
                   "repeated")
      ->type_name("'NAME: VALUE'")
      ->allow_extra_args(false);
  AddClientTlsFlags(*bench, flags->tls);
  bench
      ->add_option("--pid", flags->pid,
                   "Measure this process as well: the gateway's processor "
                   "time and memory")
      ->check(CLI::PositiveNumber);
  bench->add_flag("--json", flags->json, "Print the result as one JSON object");
  bench->callback(
      [&run, flags] { run = [flags] { return RunBench(*flags); }; });
}

}  // namespace headgate
