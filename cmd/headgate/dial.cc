#include "cmd/headgate/dial.h"

#include <unistd.h>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cmd/headgate/client_tls_flags.h"
#include "cmd/headgate/dial/client.h"
#include "cmd/headgate/dial/output.h"
#include "cmd/headgate/duration_flag.h"
#include "gateway/codec/grpc_websockets.h"

namespace headgate {
namespace {

constexpr char kDialFooter[] = R"(URL:
  ws://HOST[:PORT]/PATH[?QUERY]
  wss://HOST[:PORT]/PATH[?QUERY]   with TLS
  ws+unix:/SOCKET:/PATH[?QUERY]    over the socket file /SOCKET; wss+unix: too

Lines and messages, by codec:
  none      a line is one text message, an empty one is not sent; answers are
            printed as they are, binary ones as "binary BASE64"
  json      the same, as lines of JSON
  packet    a line is the content of one packet (--packet); an answer is one
            line per packet, "TYPE:WHO CONTENT" or "TYPE:WHO base64:...", and
            "TYPE:WHO {N}" before the N packets that are nested in it; an end
            packet is "end:WHO STATUS" or "end:WHO STATUS: MESSAGE"
  protobuf  a line is one serialized message in base64 (--content); so are
            answers
  raw       a line is one text message, the empty one too
  grpc-websockets
            a line is one serialized message in base64 (--content), as with
            protobuf; headers go in-band

The end of the input, Ctrl-D at a terminal, ends the client's side of the call,
and what the call sends is awaited until the other side closes, however long it
takes. On a route with several calls it ends the client's side of all of them,
and the session is closed when the last one has ended. raw has nothing that ends
one side: it waits, and Ctrl-D closes. --stay leaves the client's side open.
--linger and --timeout end a session that does not end.

Exit status:
  0       closed with 1000; by this side after --linger
  1 - 16  closed with 4001 - 4016: the gRPC code of the call, of the first that
          failed of several; 1 when a signal cancelled it, 4 when --timeout did
  20      refused in the handshake
  21      could not connect
  22      the connection broke without a Close frame
  23      closed with any other code
  64      wrong usage or input

Examples:
  printf '{"greeting":"ann"}\n' | headgate dial --codec json \
    ws://127.0.0.1:8080/headgate.demo.v1.HelloService/BidiHello
  echo hello | headgate dial --codec packet --packet 7:42 \
    ws://127.0.0.1:8080/packets
  printf '3:1 0a03616e6e1005\n3:2 0a03626f621007\n' | headgate dial \
    --codec packet --packet line --content hex ws://127.0.0.1:8080/game
  HEADGATE_BEARER=s3cret headgate dial --codec json \
    ws://127.0.0.1:8080/headgate.demo.v1.EchoService/Metadata </dev/null)";

// The flags as they were typed.
struct DialFlags {
  std::string url;
  std::string codec;
  std::string bearer;
  std::string origin;
  std::vector<std::string> headers;
  std::string packet = "0:0";
  std::string content;
  std::string packet_order = "type-length-who";
  std::string packet_endian = "big";
  std::string packet_length_counts = "content";
  std::vector<std::uint32_t> packet_containers;
  ClientTlsFlags tls;
  std::string linger;
  std::string timeout;
  std::string connect_timeout = "10s";
  bool end = false;
  bool stay = false;
  bool reconnect = false;
  bool print_status = false;
  bool verbose = false;
};

std::vector<std::string> DialCodecs() {
  std::vector<std::string> names = DialectNames();
  names.emplace_back(kGrpcWebSocketsDialect.name);
  return names;
}

// The headers of the call, which this codec has in-band; those that HTTP needs
// stay with the handshake.
std::string TakeHead(const DialFlags& flags, UpgradeHeaders& handshake) {
  std::string head = "content-type: application/grpc-web+proto\r\n";
  std::vector<std::pair<std::string, std::string>> kept;
  for (auto& [name, value] : std::exchange(handshake.headers, {})) {
    if (absl::EqualsIgnoreCase(name, "Host") ||
        absl::EqualsIgnoreCase(name, "Origin") ||
        absl::EqualsIgnoreCase(name, "Cookie")) {
      kept.emplace_back(std::move(name), std::move(value));
    } else {
      absl::StrAppend(&head, absl::AsciiStrToLower(name), ": ", value, "\r\n");
    }
  }
  handshake.headers = std::move(kept);
  if (!flags.bearer.empty()) {
    absl::StrAppend(&head, "authorization: Bearer ", flags.bearer, "\r\n");
  }
  return head;
}

// The gateway sends the metadata of the json codec to those who ask.
void AskForStatus(WsUrl& url) {
  if (absl::StrContains(url.target, "status=")) return;
  const char sign = absl::StrContains(url.target, '?') ? '&' : '?';
  absl::StrAppend(&url.target, std::string(1, sign), "status=1");
}

PacketOptions WireOf(const DialFlags& flags) {
  PacketOptions wire;
  if (flags.packet_order == "type-who-length") {
    wire.order = PacketOptions::Order::kTypeWhoLength;
  }
  if (flags.packet_endian == "little") {
    wire.endian = PacketOptions::Endian::kLittle;
  }
  if (flags.packet_length_counts == "packet") {
    wire.length_counts = PacketOptions::LengthCounts::kPacket;
  }
  wire.container_types = flags.packet_containers;
  return wire;
}

absl::StatusOr<DialOptions> OptionsOf(const DialFlags& flags) {
  DialOptions options;
  auto url = ParseWsUrl(flags.url);
  if (!url.ok()) return url.status();
  options.url = *std::move(url);
  auto tls = ClientTlsOf(flags.tls, options.url.security);
  if (!tls.ok()) return tls.status();
  options.tls = *std::move(tls);

  DialHandshakeOptions handshake;
  handshake.codec = FindDialect(flags.codec);
  const bool has_head = handshake.codec == &kGrpcWebSocketsDialect;
  if (!flags.bearer.empty()) handshake.bearer = flags.bearer;
  if (!flags.origin.empty()) handshake.origin = flags.origin;
  handshake.headers = flags.headers;
  auto made = MakeDialHandshake(handshake);
  if (!made.ok()) return made.status();
  options.handshake = *std::move(made);
  if (has_head) {
    options.head = TakeHead(flags, options.handshake);
    options.handshake.subprotocols = {std::string(handshake.codec->token)};
  }
  if (flags.verbose) {
    options.verbosity = Verbosity::kMetadata;
    if (handshake.codec == &kJsonDialect) AskForStatus(options.url);
  }

  options.lines.codec = handshake.codec;
  if (flags.packet == "line") {
    options.lines.packet.reset();
  } else {
    auto packet = ParsePacketAddress(flags.packet);
    if (!packet.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--packet ", packet.status().message(), ", or line"));
    }
    options.lines.packet = *packet;
  }
  options.lines.wire = WireOf(flags);
  if (!flags.content.empty()) {
    if (handshake.codec != &kPacketDialect &&
        handshake.codec != &kProtobufDialect && !has_head) {
      return absl::InvalidArgumentError(
          "--content: only with --codec packet, protobuf or grpc-websockets");
    }
    options.lines.content =
        flags.content == "hex" ? ContentForm::kHex : ContentForm::kBase64;
  }

  if (flags.end && options.lines.codec == &kRawDialect) {
    return absl::InvalidArgumentError(
        "--end: the codec raw has nothing that ends one side");
  }
  if (flags.stay) options.at_end = AtEnd::kStay;
  if (flags.reconnect) options.on_loss = OnLoss::kReconnect;

  if (!flags.linger.empty()) {
    auto linger = ParseDurationFlag("--linger", flags.linger);
    if (!linger.ok()) return linger.status();
    options.linger = *linger;
  }
  if (!flags.timeout.empty()) {
    auto timeout =
        ParseDurationFlag("--timeout", flags.timeout, absl::Milliseconds(1));
    if (!timeout.ok()) return timeout.status();
    options.timeout = *timeout;
  }
  auto connect_timeout =
      ParseDurationFlag("--connect-timeout", flags.connect_timeout);
  if (!connect_timeout.ok()) return connect_timeout.status();
  if (*connect_timeout < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError(
        "--connect-timeout: must be at least 1ms");
  }
  options.connect_timeout = *connect_timeout;
  return options;
}

int Dial(const DialFlags& flags) {
  // Whoever reads our output may stop; that is no reason to be killed.
  std::signal(SIGPIPE, SIG_IGN);
  const auto options = OptionsOf(flags);
  if (!options.ok()) {
    Tell(options.status().message());
    return kExitUsage;
  }
  const DialEnding ending = RunDial(*options);
  if (flags.print_status) {
    WriteOut(STDOUT_FILENO, absl::StrCat(StatusJson(ending), "\n"));
  }
  return ExitStatus(ending);
}

}  // namespace

void AddDial(CLI::App& app, std::function<int()>& run) {
  auto flags = std::make_shared<DialFlags>();
  CLI::App* const dial = app.add_subcommand(
      "dial",
      "Speak with a WebSocket: lines of standard input become messages, "
      "messages become lines of standard output");
  dial->footer(kDialFooter);
  dial->add_option("URL", flags->url, "Where to connect to, see below")
      ->required();
  dial->add_option("--codec", flags->codec,
                   "Ask for this codec, as the subprotocol headgate.CODEC.v1, "
                   "or for grpc-websockets")
      ->check(CLI::IsMember(DialCodecs()));
  dial->add_option("--bearer", flags->bearer,
                   "Send this token as credentials; the environment hides it "
                   "from other users, a flag does not")
      ->envname("HEADGATE_BEARER");
  dial->add_option("--header", flags->headers,
                   "Send this header in the handshake; may be repeated")
      ->type_name("'NAME: VALUE'")
      ->allow_extra_args(false);
  dial->add_option("--origin", flags->origin,
                   "Send this Origin, as a browser would");

  auto* const end =
      dial->add_flag("--end", flags->end,
                     "End the client's side with the input: the default, and "
                     "a fault with raw, which has no such end");
  dial->add_flag("--stay", flags->stay,
                 "Do not end the client's side with the input: listen on, "
                 "until the other side closes")
      ->excludes(end);
  dial->add_option("--linger", flags->linger,
                   "Close when the input has ended and nothing has come for "
                   "this long")
      ->type_name("DURATION");
  dial->add_option("--timeout", flags->timeout,
                   "End it, with exit status 4, when all of it takes longer "
                   "than this")
      ->type_name("DURATION");
  dial->add_option("--connect-timeout", flags->connect_timeout,
                   "Give up connecting, or the handshake, after this long")
      ->type_name("DURATION")
      ->capture_default_str();
  dial->add_flag("--reconnect", flags->reconnect,
                 "Connect again when the connection cannot be made or breaks, "
                 "on close codes 1001, 1012, 1013 and 4014, and on HTTP 503; "
                 "waits up to 250ms at first, up to 10s in the end, and before "
                 "that as long as the other side asks for (retry-after)");
  dial->add_flag("--print-status", flags->print_status,
                 "Print a last line, a JSON object that tells how the session "
                 "ended: close or http, code, status, message");

  dial->add_flag(
      "-v,--verbose", flags->verbose,
      "Tell on standard error what both sides say of the call "
      "besides messages: headers that are sent (>), and the "
      "backend's metadata, the status and its details (<), where "
      "the codec has a place for them: grpc-websockets, packet "
      "(details), and json, for which ?status=1 is added to the URL");

  dial->add_option("--content", flags->content,
                   "How bytes stand in lines, both ways: the content of "
                   "packets, which else is text as it is, and the messages of "
                   "protobuf, which else are base64")
      ->check(CLI::IsMember({"base64", "hex"}));

  AddClientTlsFlags(*dial, flags->tls);

  const std::string packets = "Packets";
  dial->add_option("--packet", flags->packet,
                   "The header of packets that are sent, decimal or 0x...; "
                   "line: each line begins with its own, as \"TYPE:WHO "
                   "CONTENT\", and \"end:WHO\" ends the client's side of one "
                   "call")
      ->type_name("TYPE:WHO")
      ->capture_default_str()
      ->group(packets);
  dial->add_option("--packet-order", flags->packet_order,
                   "The order of the header's fields")
      ->check(CLI::IsMember({"type-length-who", "type-who-length"}))
      ->capture_default_str()
      ->group(packets);
  dial->add_option("--packet-endian", flags->packet_endian,
                   "The order of the bytes in a field")
      ->check(CLI::IsMember({"big", "little"}))
      ->capture_default_str()
      ->group(packets);
  dial->add_option("--packet-length-counts", flags->packet_length_counts,
                   "What the length counts")
      ->check(CLI::IsMember({"content", "packet"}))
      ->capture_default_str()
      ->group(packets);
  dial->add_option("--packet-container", flags->packet_containers,
                   "A type whose content is packets, besides 0xFFFFFFFE; may "
                   "be repeated")
      ->type_name("TYPE")
      ->allow_extra_args(false)
      ->group(packets);

  dial->callback([&run, flags] { run = [flags] { return Dial(*flags); }; });
}

}  // namespace headgate
