#include "gateway/net/http_transport.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "gateway/codec/json_failure.h"
#include "gateway/http/response.h"

namespace headgate {
namespace {

// The most that a Read takes of the body.
constexpr std::size_t kMaxPieceBytes = 16 * 1024;

// The HTML standard, "Server-sent events". When a client may come back, ms; a
// comment; what ends a stream, so that it does not come back at all.
constexpr absl::string_view kRetryField = "retry: 3000\n\n";
constexpr absl::string_view kComment = ":\n\n";
constexpr absl::string_view kEndEvent =
    "event: end\ndata: {\"code\":0,\"message\":\"\",\"details\":[]}\n\n";

}  // namespace

HttpTransport::HttpTransport(Options options, RequestBody body, HttpLink& link)
    : options_(std::move(options)),
      body_(body),
      link_(link),
      continue_due_(options_.expects_continue) {}

void HttpTransport::Start(std::unique_ptr<Session> session, absl::Time now) {
  session_ = std::move(session);
  session_->Start(now);
}

// --- The request ---

void HttpTransport::Read() {
  if (reading_ || notified_ || discarding_) return;
  reading_ = true;
  // Nothing else was sent before the first Read.
  if (std::exchange(continue_due_, false) && !body_.done() &&
      link_.received().empty()) {
    Send(std::string(kContinue), "", "");
  }
  link_.Post([this] { DeliverBody(); });
}

void HttpTransport::OnReceived() { DeliverBody(); }

void HttpTransport::DeliverBody() {
  if (!reading_ || notified_) return;
  if (half_closed_) return link_.Receive();  // To see the client leave.
  std::string piece;
  absl::string_view bytes = link_.received();
  const absl::Status taken = body_.Take(
      bytes,
      std::clamp(options_.max_message_bytes, std::size_t{1}, kMaxPieceBytes),
      piece);
  const std::size_t wire_bytes = link_.received().size() - bytes.size();
  link_.received().erase(0, wire_bytes);
  wire_bytes_ += wire_bytes;
  if (wire_bytes > 0) session_->OnWireBytes(wire_bytes);
  if (!taken.ok()) {
    return FailRequest(400, Annotate(taken, "the body of the request"));
  }
  if (!piece.empty()) {
    body_bytes_ += piece.size();
    if (TakesOneRequest(options_.kind) &&
        body_bytes_ > options_.max_message_bytes) {
      discarding_ = true;
      reading_ = false;
      return session_->OnMessageTooBig({});
    }
    reading_ = false;
    return session_->OnMessage({Opcode::kText, std::move(piece)});
  }
  if (!body_.done()) return link_.Receive();
  half_closed_ = true;
  reading_ = false;
  Flush();  // The head may have waited for this.
  session_->OnMessage({Opcode::kText, ""});
}

void HttpTransport::FailRequest(int http_status, absl::Status status) {
  if (closing_) return;
  const TransportEnd end{TransportEnd::Cause::kBrokenByClient,
                         CloseCode::kProtocolError,
                         std::string(status.message())};
  ending_ = Ending{CloseCode::kProtocolError, CallEnd{std::move(status), ""}};
  failed_ = true;
  failed_request_ = http_status;
  closing_ = true;
  outgoing_.reset();
  held_.reset();
  NotifyClosed(end);
  if (head_sent_) return link_.ExchangeOver(HttpLink::Afterwards::kCutOff);
  Flush();
}

// --- The answer ---

void HttpTransport::OnCallHeaders(const Metadata& headers) {
  headers_ = headers;
  if (!IsStream() || options_.gives_bytes) return;
  // What is right behind them comes first.
  link_.Post([this] {
    head_due_ = true;
    Flush();
  });
}

void HttpTransport::OnEnding(const Ending& ending) {
  ending_ = ending;
  failed_ = !ending.end.status.ok();
  if (failed_) held_.reset();  // The one answer, of which nobody hears now.
}

void HttpTransport::Write(WireMessage message) {
  if (notified_ || closing_) return;
  if (!std::exchange(has_written_, true)) link_.OnFirstAnswer();
  outgoing_ = std::move(message);
  Flush();
}

void HttpTransport::Close(const Ending& ending) {
  if (notified_ || closing_) return;
  ending_ = ending;
  failed_ = !ending.end.status.ok();
  closing_ = true;
  Flush();
}

void HttpTransport::Flush() {
  if (sending_) return;
  if (outgoing_) {
    FlushMessage(*std::exchange(outgoing_, std::nullopt));
  } else if (closing_ && !end_sent_) {
    SendEnd();
  } else if (head_due_ && !head_sent_ && !failed_ && !notified_ &&
             (body_.done() || !TakesOneRequest(options_.kind))) {
    // Before the end of a request it would promise less: see Head.
    Send(StreamHead(""), "", "");
  }
}

void HttpTransport::FlushMessage(WireMessage message) {
  // What the status line depends on.
  if (!head_sent_ && (failed_ || !IsStream())) return Hold(std::move(message));
  // The message that tells the failure is the last one, which shows when there
  // is no other behind it.
  if (failed_ && options_.wants_events && !raw_) {
    std::optional<WireMessage> earlier = std::exchange(held_, std::nullopt);
    if (!earlier) return Hold(std::move(message));
    held_ = std::move(message);
    message = *std::move(earlier);
  }
  if (head_sent_ && raw_ && failed_ && message.media_type.empty()) {
    return Hold(std::move(message));  // It would be taken for content.
  }
  writing_ = true;
  SendPiece(std::move(message), Event::kData);
}

void HttpTransport::Hold(WireMessage message) {
  held_ = std::move(message);
  link_.Post([this] {
    if (!notified_) session_->OnWritten();
  });
}

void HttpTransport::SendPiece(WireMessage message, Event event) {
  std::string head;
  if (!head_sent_) {
    head = StreamHead(message.media_type);
    if (options_.is_head) return Send(std::move(head), "", "");
  }
  std::string before;
  std::string after;
  if (raw_) {
    // As it is.
  } else if (options_.wants_events) {
    before = event == Event::kError ? "event: status-error\ndata: " : "data: ";
    after = "\n\n";
  } else {
    after = "\n";
  }
  const std::size_t bytes =
      before.size() + message.payload.size() + after.size();
  // An empty chunk would be the last one.
  if (bytes > 0 && IsChunked()) {
    before = ChunkBegin(bytes) + before;
    after += "\r\n";
  }
  Send(head + before, std::move(message.payload), std::move(after));
}

std::string HttpTransport::StreamHead(absl::string_view media_type) {
  raw_ = !media_type.empty();
  HttpFields fields;
  AddContentType(media_type, fields);
  if (IsChunked()) fields.emplace_back("Transfer-Encoding", "chunked");
  std::string head = Head(200, std::move(fields));
  if (options_.wants_events && !raw_ && !options_.is_head) {
    head += Chunk(std::string(kRetryField));
  }
  return head;
}

std::string HttpTransport::Chunk(std::string text) const {
  if (!IsChunked()) return text;
  return absl::StrCat(ChunkBegin(text.size()), text, "\r\n");
}

void HttpTransport::SendEnd() {
  if (!head_sent_ && (failed_ || !IsStream())) {
    const bool told = held_ && !failed_request_;
    if (failed_ && !told) {
      return SendWholeAnswer(JsonFailure(
          ending_.end.status, "[]", MethodKind::kUnary, options_.error_shape));
    }
    return SendWholeAnswer(held_ ? std::move(held_->payload) : "");
  }
  if (failed_ && raw_) {
    end_sent_ = true;
    return link_.Post([this] {
      NotifyClosed({TransportEnd::Cause::kClosedByGateway, ending_.close, ""});
      link_.ExchangeOver(HttpLink::Afterwards::kCutOff);
    });
  }
  if (held_) {
    return SendPiece(*std::exchange(held_, std::nullopt), Event::kError);
  }
  end_sent_ = true;
  std::string head = head_sent_ ? "" : StreamHead("");
  std::string end;
  if (!options_.is_head) {
    if (options_.wants_events && !raw_ && !failed_) {
      end = Chunk(std::string(kEndEvent));
    }
    if (IsChunked()) end += LastChunk(Trailers());
  }
  Send(std::move(head), "", std::move(end));
}

void HttpTransport::SendWholeAnswer(std::string body) {
  end_sent_ = true;
  const int status = failed_request_ ? failed_request_ : HttpStatusOf(ending_);
  const HttpFields trailers = Trailers();
  HttpFields fields;
  fields.emplace_back("Content-Type", held_ && !held_->media_type.empty()
                                          ? held_->media_type
                                          : "application/json");
  const bool chunked = !trailers.empty();
  if (chunked) {
    fields.emplace_back("Transfer-Encoding", "chunked");
    fields.emplace_back("Trailer", absl::StrJoin(FieldNames(trailers), ", "));
  } else {
    fields.emplace_back("Content-Length", absl::StrCat(body.size()));
  }
  std::string head = Head(status, std::move(fields));
  if (options_.is_head) return Send(std::move(head), "", "");
  std::string tail;
  if (chunked) {
    if (!body.empty()) {
      head += ChunkBegin(body.size());
      tail = "\r\n";
    }
    tail += LastChunk(trailers);
  }
  Send(std::move(head), std::move(body), std::move(tail));
}

void HttpTransport::Send(std::string head, std::string content,
                         std::string tail) {
  sending_ = true;
  sent_any_ = true;
  link_.Send(std::move(head), std::move(content), std::move(tail));
}

void HttpTransport::AddContentType(absl::string_view media_type,
                                   HttpFields& fields) const {
  if (!media_type.empty()) {
    fields.emplace_back("Content-Type", media_type);
  } else if (options_.wants_events) {
    fields.emplace_back("Content-Type", "text/event-stream");
    fields.emplace_back("Cache-Control", "no-cache");
  } else {
    fields.emplace_back("Content-Type", "application/json");
  }
}

std::string HttpTransport::Head(int status, HttpFields fields) {
  head_sent_ = true;
  if (closing_) DropBody();
  // Else what the client is still sending would have to be read first.
  reusable_ = options_.keep_alive && !draining_ && !options_.is_http_1_0 &&
              !failed_request_ && body_.done();
  fields.insert(fields.end(), options_.fields.begin(), options_.fields.end());
  AddFieldsOfStatus(status, fields);
  HttpFields metadata = MetadataFields("Grpc-Metadata-", headers_);
  if (options_.is_cross_origin) {
    std::vector<std::string> exposed = FieldNames(metadata);
    exposed.emplace_back("X-Request-Id");
    fields.emplace_back("Access-Control-Expose-Headers",
                        absl::StrJoin(exposed, ", "));
  }
  std::move(metadata.begin(), metadata.end(), std::back_inserter(fields));
  if (!reusable_) fields.emplace_back("Connection", "close");
  return ResponseHead(status, fields);
}

// Takes what is there of a body that nobody reads any longer.
void HttpTransport::DropBody() {
  absl::string_view bytes = link_.received();
  std::string dropped;
  if (!body_.Take(bytes, bytes.size(), dropped).ok()) return;
  link_.received().erase(0, link_.received().size() - bytes.size());
}

HttpFields HttpTransport::Trailers() const {
  if (!options_.wants_trailers || options_.is_http_1_0 || options_.is_head) {
    return {};
  }
  return MetadataFields("Grpc-Trailer-", ending_.end.trailers);
}

void HttpTransport::OnSent() {
  sending_ = false;
  if (end_sent_) {
    NotifyClosed({TransportEnd::Cause::kClosedByGateway, ending_.close, ""});
    return link_.ExchangeOver(reusable_ ? HttpLink::Afterwards::kNextRequest
                                        : HttpLink::Afterwards::kClose);
  }
  const bool is_written = std::exchange(writing_, false);
  if (notified_) return Flush();
  if (options_.is_head && head_sent_) {
    // The head is all there is to say; the stream need not be heard.
    NotifyClosed(
        {TransportEnd::Cause::kClosedByGateway, CloseCode::kNormal, ""});
    return link_.ExchangeOver(reusable_ ? HttpLink::Afterwards::kNextRequest
                                        : HttpLink::Afterwards::kClose);
  }
  if (!is_written) return Flush();
  session_->OnWritten();
}

void HttpTransport::OnLost(const TransportEnd& end) {
  if (closing_ && end.cause == TransportEnd::Cause::kLost) {
    NotifyClosed({TransportEnd::Cause::kClosedByGateway, ending_.close, ""});
  } else {
    NotifyClosed(end);
  }
}

void HttpTransport::NotifyClosed(const TransportEnd& end) {
  if (std::exchange(notified_, true)) return;
  if (session_ != nullptr) session_->OnClosed(end);
}

std::optional<std::uint64_t> HttpTransport::UnfinishedMessage() const {
  if (!reading_ || body_.done() || closing_) return std::nullopt;
  if (TakesOneRequest(options_.kind)) return 0;
  return session_->unfinished_message();
}

void HttpTransport::OnTick(absl::Time now) {
  if (notified_) return;
  if (message_watch_.IsStuck(now, options_.message_timeout, UnfinishedMessage(),
                             wire_bytes_)) {
    session_->NoteLimit(Limit::kMessageTime);
    return FailRequest(
        408, absl::DeadlineExceededError(absl::StrCat(
                 "the rest of the body did not come within "
                 "timeouts.message (",
                 absl::FormatDuration(options_.message_timeout), ")")));
  }
  KeepEventsAlive(now);
  session_->OnTick(now);
}

// What stands between client and gateway may end a connection on which nothing
// comes for a while.
void HttpTransport::KeepEventsAlive(absl::Time now) {
  if (!options_.wants_events || raw_ || options_.is_head || !head_sent_ ||
      closing_) {
    return;
  }
  if (std::exchange(sent_any_, false) || sending_ || !silent_since_) {
    silent_since_ = now;
  } else if (now - *silent_since_ >= options_.event_keepalive) {
    Send(Chunk(std::string(kComment)), "", "");
  }
}

void HttpTransport::Drain(const DrainOrder& order) {
  draining_ = true;
  if (!notified_) session_->Drain(order);
}

void HttpTransport::CloseForMemory() {
  if (notified_) return;
  if (outgoing_) std::string().swap(outgoing_->payload);
  held_.reset();
  session_->CloseForMemory();
}

std::size_t HttpTransport::held_bytes() const {
  return (session_ == nullptr ? 0 : session_->held_bytes()) +
         (outgoing_ ? outgoing_->payload.size() : 0) +
         (held_ ? held_->payload.size() : 0);
}

void HttpTransport::CloseSession() {
  if (!notified_) session_->CloseByOperator();
}

}  // namespace headgate
