#include "gateway/net/http_transport.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "gateway/codec/http_form.h"
#include "gateway/codec/json_failure.h"
#include "gateway/http/response.h"

namespace headgate {
namespace {

// The most that a Read takes of the body.
constexpr std::size_t kMaxPieceBytes = 16 * 1024;

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
  end_ =
      OutEnd{Ending{CloseCode::kProtocolError, CallEnd{std::move(status), ""}}};
  failed_request_ = http_status;
  closing_ = true;
  outgoing_.reset();
  held_.reset();
  head_.reset();
  NotifyClosed(end);
  if (head_sent_) return link_.ExchangeOver(HttpLink::Afterwards::kCutOff);
  Flush();
}

// --- The response ---

void HttpTransport::SendHead(OutHead head) {
  if (notified_ || closing_ || head_sent_) return;
  head_ = std::make_unique<OutHead>(std::move(head));
  if (head_->is_whole) return;
  // What is right behind it comes first.
  link_.Post([this] {
    head_due_ = true;
    Flush();
  });
}

void HttpTransport::Write(WireMessage message) {
  assert(head_sent_ || head_ != nullptr || notified_ || closing_);
  if (notified_ || closing_) return;
  if (!std::exchange(has_written_, true)) link_.OnFirstAnswer();
  outgoing_ = std::move(message);
  Flush();
}

void HttpTransport::Close(const OutEnd& end) {
  if (notified_ || closing_) return;
  end_ = end;
  closing_ = true;
  Flush();
}

void HttpTransport::Flush() {
  if (sending_) return;
  if (outgoing_) {
    FlushMessage(*std::exchange(outgoing_, std::nullopt));
  } else if (closing_ && !end_sent_) {
    SendEnd();
  } else if (MaySendHead()) {
    Send(StreamHead(), "", "");
  }
}

// Before the end of a request it would promise less: see Head.
bool HttpTransport::MaySendHead() const {
  return head_due_ && !notified_ && head_ != nullptr && !head_->is_whole &&
         (body_.done() || !TakesOneRequest(options_.kind));
}

void HttpTransport::FlushMessage(WireMessage message) {
  if (!head_sent_ && head_->is_whole) return Hold(std::move(message));
  std::string head;
  if (!head_sent_) head = StreamHead();
  writing_ = true;
  if (options_.is_head) return Send(std::move(head), "", "");
  std::string after;
  // An empty chunk would be the last one.
  if (!message.payload.empty() && IsChunked()) {
    head += ChunkBegin(message.payload.size());
    after = "\r\n";
  }
  Send(std::move(head), std::move(message.payload), std::move(after));
}

void HttpTransport::Hold(WireMessage message) {
  held_ = std::move(message);
  link_.Post([this] {
    if (!notified_) session_->OnWritten();
  });
}

std::string HttpTransport::StreamHead() {
  HttpFields fields = std::move(head_->fields);
  if (IsChunked()) fields.emplace_back("Transfer-Encoding", "chunked");
  std::string preamble = std::move(head_->preamble);
  filler_ = head_->filler;
  std::string head = Head(head_->http_status, std::move(fields));
  if (!preamble.empty() && !options_.is_head)
    head += Chunk(std::move(preamble));
  return head;
}

std::string HttpTransport::Chunk(std::string text) const {
  if (!IsChunked()) return text;
  return absl::StrCat(ChunkBegin(text.size()), text, "\r\n");
}

void HttpTransport::SendEnd() {
  if (!head_sent_ && head_ == nullptr) {
    // There is no codec to tell it.
    return SendWhole(
        failed_request_ ? failed_request_ : HttpStatusOf(end_.ending),
        {{"Content-Type", "application/json"}},
        JsonFailure(end_.ending.end.status, "[]", MethodKind::kUnary,
                    options_.error_shape));
  }
  if (!head_sent_ && head_->is_whole) {
    return SendWhole(head_->http_status, std::move(head_->fields),
                     held_ ? std::move(held_->payload) : "");
  }
  if (end_.is_cut_off) {
    end_sent_ = true;
    return link_.Post([this] {
      NotifyClosed(
          {TransportEnd::Cause::kClosedByGateway, end_.ending.close, ""});
      link_.ExchangeOver(HttpLink::Afterwards::kCutOff);
    });
  }
  end_sent_ = true;
  std::string head = head_sent_ ? "" : StreamHead();
  std::string end;
  if (!options_.is_head) {
    if (!end_.coda.empty()) end = Chunk(std::string(end_.coda));
    if (IsChunked()) end += LastChunk(Trailers());
  }
  Send(std::move(head), "", std::move(end));
}

void HttpTransport::SendWhole(int status, HttpFields fields, std::string body) {
  end_sent_ = true;
  const HttpFields trailers = Trailers();
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

std::string HttpTransport::Head(int status, HttpFields fields) {
  head_sent_ = true;
  if (closing_) DropBody();
  // Else what the client is still sending would have to be read first.
  reusable_ = options_.keep_alive && !draining_ && !options_.is_http_1_0 &&
              !failed_request_ && body_.done();
  fields.insert(fields.end(), options_.fields.begin(), options_.fields.end());
  AddFieldsOfStatus(status, fields);
  HttpFields metadata;
  if (head_ != nullptr) metadata = std::move(head_->metadata);
  head_.reset();
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
  return end_.trailers;
}

void HttpTransport::OnSent() {
  sending_ = false;
  if (end_sent_) {
    NotifyClosed(
        {TransportEnd::Cause::kClosedByGateway, end_.ending.close, ""});
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
    NotifyClosed(
        {TransportEnd::Cause::kClosedByGateway, end_.ending.close, ""});
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
  SendFiller(now);
  session_->OnTick(now);
}

// What stands between client and gateway may end a connection on which nothing
// comes for a while.
void HttpTransport::SendFiller(absl::Time now) {
  if (filler_.empty() || options_.is_head || closing_) return;
  if (std::exchange(sent_any_, false) || sending_ || !silent_since_) {
    silent_since_ = now;
  } else if (now - *silent_since_ >= options_.filler_interval) {
    Send(Chunk(std::string(filler_)), "", "");
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
