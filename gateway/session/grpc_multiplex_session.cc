#include "gateway/session/grpc_multiplex_session.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/message_framing.h"
#include "gateway/codec/dialect.h"
#include "gateway/codec/grpc_websockets.h"
#include "gateway/http/call_head.h"
#include "gateway/route/plan.h"
#include "gateway/session/numbered_call.h"

namespace headgate {
namespace {

constexpr std::size_t kNumberBytes = 4;
constexpr std::uint32_t kLastBit = 0x80000000;
// The number that stands for none; deephaven-core calls it GO_AWAY.
constexpr std::uint32_t kGoAwayNumber = 0x7FFFFFFF;
constexpr absl::string_view kPathHeader = "grpc-websockets-path";

void AppendNumber(std::uint32_t number, std::string& out) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += static_cast<char>(number >> shift & 0xFF);
  }
}

std::uint32_t NumberAt(absl::string_view bytes) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < kNumberBytes; ++i) {
    number = number << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return number;
}

std::string Numbered(std::uint32_t number, absl::string_view bytes) {
  std::string message;
  message.reserve(kNumberBytes + bytes.size());
  AppendNumber(number, message);
  absl::StrAppend(&message, bytes);
  return message;
}

// "/package.Service/Method" of the headers; empty: they name none, or several.
std::string PathOf(const InBandHead& head) {
  std::string path;
  for (const auto& [name, value] : head.fields) {
    if (!absl::EqualsIgnoreCase(name, kPathHeader)) continue;
    if (!path.empty()) return "";
    path = absl::StartsWith(value, "/") ? value : absl::StrCat("/", value);
  }
  return path;
}

// What a path leads to from a session's socket.
struct Destination {
  std::shared_ptr<const Route> route;
  std::string method;
};
absl::StatusOr<Destination> DestinationOf(const SessionRequest& session,
                                          const std::string& path) {
  if (path.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the headers of a call have one ", kPathHeader));
  }
  std::optional<Router::Match> match = session.router->Find(session.host, path);
  if (!match || match->method.empty() ||
      !match->plan->MaySpeak(&kGrpcWebSocketsMultiplexDialect)) {
    return absl::UnimplementedError(
        absl::StrCat("nothing is served at ", path));
  }
  if (match->route->upstream != session.route->upstream) {
    return absl::UnimplementedError(absl::StrCat(
        path, " is another upstream's: it needs a socket of its own"));
  }
  return Destination{std::move(match->route), std::move(match->method)};
}

}  // namespace

class GrpcMultiplexSession::StreamCall final : public NumberedCall {
 public:
  StreamCall(GrpcMultiplexSession& session, std::uint32_t number,
             Options options, bool is_named, absl::Time token_end,
             std::unique_ptr<Codec> codec)
      : NumberedCall(session, number, std::move(options)),
        session_(session),
        is_named_(is_named),
        token_end_(token_end),
        codec_(std::move(codec)) {}

  Codec& codec() { return *codec_; }
  absl::Time token_end() const { return token_end_; }

  absl::string_view known_method() const override {
    return is_named_ || resolved().method != nullptr ? method()
                                                     : absl::string_view();
  }
  std::size_t held_bytes() const override {
    return NumberedCall::held_bytes() + codec_->held_bytes();
  }

  absl::StatusOr<std::string> Encode(std::string&& response) override {
    SendHeaders({});
    std::string message;
    message.reserve(kNumberBytes + kMessagePrefixBytes + response.size());
    AppendNumber(number(), message);
    const MessagePrefix prefix = MakeMessagePrefix(0, response.size());
    message.append(prefix.data(), prefix.size());
    message += response;
    return message;
  }

  // Once; clients take the first block for the headers.
  void SendHeaders(const Metadata& headers) {
    if (std::exchange(has_headers_, true)) return;
    session_.Send(Numbered(number(), GrpcWebHeaderBlock(headers)));
  }

 private:
  void OnHeaders(Metadata headers) override { SendHeaders(headers); }

  GrpcMultiplexSession& session_;
  const bool is_named_;  // By the configuration.
  const absl::Time token_end_;
  const std::unique_ptr<Codec> codec_;
  bool has_headers_ = false;
};

GrpcMultiplexSession::GrpcMultiplexSession(
    SessionRequest request, std::shared_ptr<const SessionContext> context,
    Transport& transport)
    : MultiplexSession(std::move(request), std::move(context), transport,
                       Reuse::kAfterHalfClose) {
  report_.codec = &kGrpcWebSocketsMultiplexDialect;
}

GrpcMultiplexSession::~GrpcMultiplexSession() = default;

std::size_t GrpcMultiplexSession::max_calls() const {
  return static_cast<std::size_t>(MethodTable().max_calls);
}

std::size_t GrpcMultiplexSession::most_held_bytes() const {
  return 2 * request_.route->max_message_bytes +
         open_calls() * MethodTable().call_window_bytes;
}

// --- What the client sends ---

void GrpcMultiplexSession::TakeIn(WireMessage message) {
  if (message.opcode == Opcode::kText) {
    return EndWith(Ending{
        CloseCode::kUnsupportedData,
        {absl::InvalidArgumentError(
             "text message: grpc-websockets-multiplex has binary ones only"),
         ""}});
  }
  if (message.payload.size() < kNumberBytes) {
    return EndWithFault("a message without the number of a call");
  }
  const std::uint32_t number = NumberAt(message.payload);
  message.payload.erase(0, kNumberBytes);
  if ((number & ~kLastBit) == kGoAwayNumber) return OnAcknowledged();
  if (message.payload.empty()) return EndWithFault("a message of no bytes");
  incoming_.emplace(Incoming{number & ~kLastBit, (number & kLastBit) != 0,
                             std::move(message)});
}

void GrpcMultiplexSession::OnAcknowledged() {
  if (go_away_ == GoAway::kNotSent) {
    return EndWithFault("GOAWAY is the gateway's to send");
  }
  go_away_ = GoAway::kAcknowledged;
}

GrpcMultiplexSession::StreamCall* GrpcMultiplexSession::FindStream(
    std::uint32_t number) {
  return static_cast<StreamCall*>(Find(number));
}

bool GrpcMultiplexSession::TakeNext() {
  const std::uint32_t number = incoming_->number;
  StreamCall* stream = FindStream(number);
  if (stream == nullptr) {
    if (!incoming_->is_fed && !IsBarred(number)) {
      const Incoming opening = *std::exchange(incoming_, std::nullopt);
      OpenStream(opening);
      return true;
    }
    // The rest of what is over.
    if (incoming_->is_last) EndSending(number);
    incoming_.reset();
    return true;
  }
  if (!std::exchange(incoming_->is_fed, true)) {
    stream->codec().Feed(std::move(incoming_->message));
    incoming_->message = {};
  }
  if (!Forward(*stream)) return false;
  const bool is_last = std::exchange(incoming_, std::nullopt)->is_last;
  stream = FindStream(number);
  if (stream != nullptr && stream->codec().inside_message() &&
      held_by_messages() > most_held_bytes()) {
    // There is no other bound to the beginnings of messages.
    stream->Fail({absl::ResourceExhaustedError(
                      "too many messages have begun that are not complete"),
                  ""});
  }
  if (!is_last) return true;
  EndSending(number);
  stream = FindStream(number);
  if (stream != nullptr && !stream->is_half_closed()) stream->HalfClose();
  return true;
}

bool GrpcMultiplexSession::Forward(StreamCall& stream) {
  const std::uint32_t number = stream.number();
  while (FindStream(number) == &stream && is_open()) {
    if (stream.is_full()) return false;
    Decoded decoded = stream.codec().Next();
    if (std::holds_alternative<NeedInput>(decoded)) return true;
    if (auto* request = std::get_if<RequestMessage>(&decoded)) {
      stream.Send(std::move(request->payload));
    } else if (std::holds_alternative<HalfClose>(decoded)) {
      EndSending(number);
      stream.HalfClose();
    } else {
      stream.Fail(std::get<Ending>(decoded).end);
    }
  }
  return true;
}

void GrpcMultiplexSession::OpenStream(const Incoming& incoming) {
  const std::uint32_t number = incoming.number;
  const auto refuse = [&](absl::Status status) {
    Refuse(number, std::move(status), !incoming.is_last);
  };
  if (go_away_ == GoAway::kAcknowledged) {
    return EndWithFault("a call opened after GOAWAY was acknowledged");
  }
  if (open_calls() >= max_calls()) {
    return refuse(absl::ResourceExhaustedError(
        absl::StrCat("more than ", max_calls(), " calls are open")));
  }
  std::unique_ptr<Codec> codec = MakeGrpcWebSocketsCodec(
      {request_.route->max_metadata_bytes, request_.route->max_message_bytes});
  codec->Feed(incoming.message);
  Decoded decoded = codec->Next();
  if (auto* fault = std::get_if<Ending>(&decoded)) {
    return refuse(fault->end.status);
  }
  const auto& head = std::get<InBandHead>(decoded);
  const absl::StatusOr<Destination> destination =
      DestinationOf(request_, PathOf(head));
  if (!destination.ok()) return refuse(destination.status());
  HeaderList headers;
  for (const auto& [name, value] : head.fields) headers.Add(name, value);
  absl::StatusOr<CallHead> judged = JudgeCallHead(
      headers, request_, *destination->route, destination->method, Clock());
  if (!judged.ok()) return refuse(judged.status());
  absl::Status counted = CountClient(judged->metadata, request_.metadata);
  if (!counted.ok()) return refuse(std::move(counted));
  const absl::Time token_end =
      judged->token_expiry + destination->route->token.leeway;
  const bool is_named =
      std::holds_alternative<FixedMethod>(destination->route->target);
  NumberedCall* opened = Open(std::make_unique<StreamCall>(
      *this, number,
      NumberedCall::Options{{destination->method, std::move(judged->metadata),
                             judged->timeout, MetadataDelivery::kDelivered},
                            MethodTable().call_window_bytes},
      is_named, token_end, std::move(codec)));
  if (!incoming.is_last) return;
  EndSending(number);
  if (opened != nullptr) opened->HalfClose();
}

// --- What the client gets ---

void GrpcMultiplexSession::SendStatus(std::uint32_t number, NumberedCall* call,
                                      const CallEnd& end) {
  if (call != nullptr) {
    static_cast<StreamCall*>(call)->SendHeaders({});
  } else {
    Send(Numbered(number, GrpcWebHeaderBlock({})));
  }
  Send(Numbered(number | kLastBit, GrpcWebTrailerBlock(end)));
}

// --- How it ends ---

bool GrpcMultiplexSession::BeginDrain(const DrainOrder& order) {
  if (drain_ != nullptr) return true;
  go_away_ = GoAway::kSent;
  drain_ = std::make_unique<const DrainOrder>(order);
  std::string message;
  AppendNumber(kGoAwayNumber, message);
  Send(std::move(message));
  return open_calls() == 0 || order.deadline - order.now <= kDrainPatience;
}

void GrpcMultiplexSession::TickCalls(absl::Time now) {
  MultiplexSession::TickCalls(now);
  for (const std::uint32_t number : OpenNumbers()) {
    StreamCall* stream = FindStream(number);
    if (stream != nullptr && stream->token_end() <= now) {
      stream->Fail({TokenExpired(), ""});
    }
  }
  if (drain_ == nullptr || !is_open()) return;
  if (open_calls() > 0 && now < drain_->deadline - kDrainPatience) return;
  DrainOrder order = *drain_;
  order.now = now;
  StartWindDown(order);
}

void GrpcMultiplexSession::EndWithFault(absl::string_view what) {
  EndWith(GrpcWebFault(absl::InvalidArgumentError(what)));
}

}  // namespace headgate
