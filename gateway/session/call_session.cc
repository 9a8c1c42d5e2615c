#include "gateway/session/call_session.h"

#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gateway/http/call_head.h"
#include "gateway/http/header_rules.h"

namespace headgate {

CallSession::CallSession(SessionRequest request,
                         std::shared_ptr<const SessionContext> context,
                         Transport& transport)
    : SessionCore(std::move(request), std::move(context), transport) {}

CallSession::~CallSession() = default;

void CallSession::Begin(absl::Time now) {
  began_ = Clock().steady;
  // Such a dialect tells any end in-band, also one before the method is known.
  const Dialect* dialect = request_.codec;
  if (dialect != nullptr && dialect->head == Dialect::Head::kFirstMessage &&
      !ChooseCodec(*dialect)) {
    return;
  }
  SchemaSource::Resolution resolution = context_->schemas->Resolve(
      request_.method, now,
      [this](const ResolvedMethod& resolved) { OnResolved(resolved); });
  if (const auto* resolved = std::get_if<ResolvedMethod>(&resolution)) {
    return OnResolved(*resolved);
  }
  ticket_ =
      std::get<std::unique_ptr<SchemaSource::Ticket>>(std::move(resolution));
}

void CallSession::OnResolved(const ResolvedMethod& resolved) {
  resolved_ = resolved;
  // Without descriptors a method is taken for bidirectional. But where the
  // upstream could not be asked, a guess would leave a unary call hanging.
  if (resolved_.method == nullptr &&
      resolved_.why_unknown.code() != absl::StatusCode::kUnimplemented) {
    return EndWith(EndingOf(resolved_.why_unknown));
  }
  const Dialect* dialect = request_.codec;
  if (codec_ != nullptr) {
    stage_ = Stage::kAwaitingHead;
  } else {
    if (dialect != nullptr && !ChooseCodec(*dialect)) return;
    StartCall(std::move(request_.metadata), request_.timeout);
  }
  if (early_message_) {
    Decode(std::move(*std::exchange(early_message_, nullptr)));
  } else if (codec_ != nullptr) {
    PumpRequests();  // Path and query may be all there is of the request.
  }
}

void CallSession::OnHead(const InBandHead& head) {
  HeaderList headers;
  for (const auto& [name, value] : head.fields) headers.Add(name, value);
  absl::StatusOr<CallHead> judged = JudgeCallHead(
      headers, request_, *request_.route, request_.method, Clock());
  if (!judged.ok()) return EndWith(EndingOf(judged.status()));
  const absl::Status counted = CountClient(judged->metadata, request_.metadata);
  if (!counted.ok()) return EndWith(EndingOf(counted));
  request_.trace_id = TraceIdOf(judged->metadata);
  guard_.SetTokenExpiry(request_.id, judged->token_expiry);
  StartCall(std::move(judged->metadata), judged->timeout);
}

void CallSession::StartCall(Metadata metadata, absl::Duration timeout) {
  stage_ = Stage::kCalling;
  const MethodKind kind = resolved_.method != nullptr
                              ? resolved_.method->kind
                              : MethodKind::kBidiStreaming;
  CallObserver& observer = *this;
  CallRequest request{request_.method, std::move(metadata), timeout,
                      metadata_delivery()};
  request.route = request_.route.get();
  request.client = request_.peer;
  call_ = std::make_unique<Call>(kind, std::move(request),
                                 context_->limits.requests, *context_->upstream,
                                 observer);
  call_->Read();
}

CodecInputs CallSession::codec_inputs() const {
  const Route& route = *request_.route;
  return {route.packet,
          route.json,
          resolved_.schema,
          resolved_.method,
          request_.binding.get(),
          request_.media_type,
          request_.wants_status,
          request_.body != nullptr ? *request_.body : kNoBodyFormat,
          route.max_message_bytes,
          route.max_metadata_bytes};
}

MetadataDelivery CallSession::metadata_delivery() const {
  const auto wants = [this](const Dialect* dialect) {
    return dialect->wants_metadata != nullptr &&
           dialect->wants_metadata(codec_inputs());
  };
  const bool wanted =
      codec_ != nullptr ? wants(report_.codec)
                        : wants(&kJsonDialect) || wants(request_.binary_codec);
  return wanted ? MetadataDelivery::kDelivered : MetadataDelivery::kDropped;
}

bool CallSession::ChooseCodec(const Dialect& dialect) {
  if (dialect.needs_descriptor && resolved_.method == nullptr) {
    EndWith(EndingOf(Annotate(resolved_.why_unknown,
                              absl::StrCat(absl::AsciiStrToUpper(dialect.name),
                                           " needs the method's descriptor"))));
    return false;
  }
  absl::StatusOr<std::unique_ptr<Codec>> codec = dialect.make(codec_inputs());
  if (!codec.ok()) {
    EndWith(EndingOf(codec.status()));
    return false;
  }
  codec_ = *std::move(codec);
  set_join_bytes(codec_->coalesce_bytes());
  report_.codec = &dialect;
  return true;
}

// --- Requests ---

void CallSession::OnMessage(WireMessage message) {
  // Over HTTP a message comes in pieces, as many as the network likes.
  const bool is_http =
      request_.codec != nullptr && request_.codec->on == Dialect::On::kHttp;
  const std::size_t messages = is_http ? 0 : 1;
  if (!Admit(message, messages)) return;
  if (stage_ == Stage::kResolving) {
    early_message_ = std::make_unique<WireMessage>(std::move(message));
    return;
  }
  Decode(std::move(message));
}

void CallSession::Decode(WireMessage message) {
  const bool first = codec_ == nullptr;
  if (first &&
      !ChooseCodec(message.opcode == Opcode::kText ? kJsonDialect
                                                   : *request_.binary_codec)) {
    return;
  }
  codec_->Feed(std::move(message));
  PumpRequests();
  if (!first || !is_open()) return;
  if (const auto headers = std::move(early_headers_)) {
    OnCallHeaders(*headers);
  }
  if (early_response_) {
    Deliver(std::move(*std::exchange(early_response_, nullptr)));
  }
}

void CallSession::PumpRequests() {
  while (is_open() && !request_pause_.is_active() && !waiting_end_ &&
         (call_ == nullptr || !call_->backlogged())) {
    if (wind_down().is_draining()) return ReadTransport();
    Decoded decoded = codec_->Next();
    std::optional<Ending> fault;
    if (std::holds_alternative<NeedInput>(decoded)) {
      return ReadTransport();
    } else if (const auto* head = std::get_if<InBandHead>(&decoded)) {
      ++requests_;
      OnHead(*head);
    } else if (auto* message = std::get_if<RequestMessage>(&decoded)) {
      if (!report_.codec->media_types.empty()) {
        EndWith(guard_.OnReceived(/*messages=*/1, /*bytes=*/0));
        if (!is_open()) return;
      }
      ++requests_;
      response_is_due_ = true;
      TapMessage(TapEvent::Kind::kRequest, message->payload);
      fault = call_->Send(std::move(message->payload));
    } else if (std::holds_alternative<HalfClose>(decoded)) {
      response_is_due_ = true;
      TapHalfClose();
      fault = call_->HalfClose();
    } else if (const auto* need = std::get_if<NeedType>(&decoded)) {
      request_pause_.Begin(*context_->schemas, need->full_name,
                           [this] { PumpRequests(); });
    } else {
      fault = std::move(std::get<Ending>(decoded));
    }
    if (fault) EndWith(*std::move(fault));
  }
}

void CallSession::OnCallWritable() { PumpRequests(); }

std::optional<std::uint64_t> CallSession::unfinished_message() const {
  const bool waits = is_open() && wind_down().fault() == nullptr &&
                     is_reading() && stage_ != Stage::kResolving &&
                     codec_ != nullptr;
  if (!waits || !codec_->inside_message()) return std::nullopt;
  return requests_;
}

// --- Responses ---

void CallSession::OnCallHeaders(Metadata headers) {
  if (codec_ == nullptr) {
    early_headers_ = std::make_unique<const Metadata>(std::move(headers));
    return;
  }
  codec_->EncodeHead(headers, outgoing());
  Flush();
}

void CallSession::OnCallMessage(std::string payload) {
  wind_down().OnResponse();
  response_is_due_ = false;
  if (codec_ == nullptr) {
    early_response_ = std::make_unique<std::string>(std::move(payload));
    return;
  }
  Deliver(std::move(payload));
}

void CallSession::Deliver(std::string response) {
  TapMessage(TapEvent::Kind::kResponse, response);
  Encode(std::move(response));
}

void CallSession::Encode(std::string response) {
  const absl::Status encoded =
      codec_->EncodeMessage(std::move(response), outgoing());
  if (const std::string type = AwaitedType(encoded); !type.empty()) {
    // EncodeMessage has left it as it was.
    // NOLINTNEXTLINE(bugprone-use-after-move)
    waiting_response_ = std::make_unique<std::string>(std::move(response));
    const auto again = [this] {
      Encode(std::move(*std::exchange(waiting_response_, nullptr)));
    };
    if (!response_pause_.Begin(*context_->schemas, type, again)) again();
    return;
  }
  if (!encoded.ok()) return EndWith(EndingOf(encoded));
  Flush();
  ReadCall();
}

void CallSession::ReadCall() {
  call_read_withheld_ = is_full();
  if (!call_read_withheld_) call_->Read();
}

void CallSession::OnWritten() {
  FinishWrite();
  if (is_open() && call_read_withheld_) ReadCall();
}

// --- How it ends ---

void CallSession::OnCallDone(CallEnd end) {
  // Servers say UNIMPLEMENTED without a word; here it is known what is.
  if (absl::IsUnimplemented(end.status) && end.status.message().empty() &&
      resolved_.method == nullptr) {
    end.status = resolved_.why_unknown;
  }
  if (waiting_response_) {
    // The call has broken off. The response goes as far as it is known.
    response_pause_.Cancel();
    std::string response =
        std::move(*std::exchange(waiting_response_, nullptr));
    const absl::Status encoded =
        codec_->EncodeMessage(std::move(response), outgoing());
    if (!encoded.ok() && AwaitedType(encoded).empty()) {
      return EndWith(EndingOf(encoded), end.status);
    }
  }
  if (!AwaitDetails(end)) FinishCall(std::move(end));
}

bool CallSession::AwaitDetails(CallEnd& end) {
  if (end.status.ok() || end.details.empty() || codec_ == nullptr ||
      !report_.codec->needs_descriptor) {
    return false;
  }
  std::string type;
  resolved_.schema->StatusDetailsToJson(SerializeRpcStatus(end),
                                        request_.route->json.json, &type);
  if (type.empty()) return false;
  waiting_end_ = std::make_unique<CallEnd>(std::move(end));
  if (response_pause_.Begin(*context_->schemas, type, [this] {
        FinishCall(std::move(*std::exchange(waiting_end_, nullptr)));
      })) {
    return true;
  }
  end = std::move(*std::exchange(waiting_end_, nullptr));
  return false;
}

void CallSession::FinishCall(CallEnd end) {
  if (const Ending* fault = wind_down().fault()) {
    return EndWith(*fault, end.status);
  }
  EndWith(EndingOf(std::move(end)));
}

void CallSession::EncodeEnding(const Ending& ending, Outgoing& out) {
  if (codec_ == nullptr) return out.End({ending});
  codec_->EncodeEnd(ending, out);
}

void CallSession::EndCalls(const absl::Status& status) {
  const bool known =
      resolved_.method != nullptr ||
      std::holds_alternative<FixedMethod>(request_.route->target);
  TellCallEnded(known ? request_.method : "", status, began_);
  ticket_.reset();
  request_pause_.Cancel();
  response_pause_.Cancel();
  waiting_response_.reset();
  waiting_end_.reset();
  call_.reset();
}

Outlook CallSession::outlook() const {
  Outlook outlook;
  if (call_ == nullptr) {
    outlook.has_ended = true;
    outlook.response_is_due = early_message_ != nullptr;
    return outlook;
  }
  outlook.may_respond = call_->may_answer();
  outlook.only_response_is_due = call_->awaits_only_answer();
  outlook.response_is_due =
      call_->pending_bytes() > 0 ||
      (outlook.may_respond &&
       (outlook.only_response_is_due || response_is_due_));
  outlook.reads_are_withheld =
      call_read_withheld_ || waiting_response_ || waiting_end_;
  return outlook;
}

void CallSession::TickCalls(absl::Time now) {
  request_pause_.OnTick(now);
  if (is_open()) response_pause_.OnTick(now);
  if (!is_open() || call_ == nullptr) return;
  const absl::Duration timeout = context_->limits.stall_timeout;
  if (stall_.OnTick(*call_, now, timeout)) {
    report_.limit = Limit::kStall;
    EndWith(EndingOf(StallStatus(timeout)));
  }
}

bool CallSession::is_at_rest() const {
  return is_open() && call_ != nullptr && !wind_down().is_active() &&
         !call_->writing() && !request_pause_.is_active() &&
         !response_pause_.is_active();
}

void CallSession::Shrink() {
  SessionCore::Shrink();
  if (call_ != nullptr) call_->Shrink();
}

// --- What it holds ---

void CallSession::DropWaiting() {
  early_message_.reset();
  early_response_.reset();
  response_pause_.Cancel();
  waiting_response_.reset();
  waiting_end_.reset();
  // Of the client's text; while it is open the codec has to tell the ending.
  if (!is_open()) codec_.reset();
}

std::size_t CallSession::held_by_calls() const {
  std::size_t bytes = 0;
  if (call_ != nullptr) bytes += call_->held_bytes();
  if (codec_ != nullptr) bytes += codec_->held_bytes();
  if (early_message_) bytes += early_message_->payload.size();
  if (early_response_) bytes += early_response_->size();
  if (waiting_response_) bytes += waiting_response_->size();
  return bytes;
}

std::size_t CallSession::waiting_bytes() const {
  return call_ == nullptr ? 0 : call_->pending_bytes();
}

}  // namespace headgate
