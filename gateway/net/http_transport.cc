#include "gateway/net/http_transport.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

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

HttpTransport::HttpTransport(Options options, HttpLink& link)
    : options_(std::move(options)),
      link_(link),
      body_(options_.expects_continue ? Body::kContinueDue : Body::kComing) {}

void HttpTransport::Start(std::unique_ptr<Session> session, absl::Time now) {
  session_ = std::move(session);
  session_->Start(now);
}

// --- The request ---

void HttpTransport::Read() {
  if (reading_ || notified_ || body_ == Body::kDropped) return;
  reading_ = true;
  if (body_ == Body::kContinueDue) {
    assert(wire_ == Wire::kFree);  // Nothing is sent before the first Read.
    body_ = Body::kComing;
    if (link_.Continue()) {
      wire_ = Wire::kOwn;
      sent_any_ = true;
    }
  }
  link_.ReceiveSoon();
}

void HttpTransport::OnReceived() { DeliverBody(); }

void HttpTransport::DeliverBody() {
  if (!reading_ || notified_) return;
  assert(body_ == Body::kComing || body_ == Body::kEnded);
  if (body_ == Body::kEnded)
    return link_.Receive();  // To see the client leave.
  absl::StatusOr<HttpLink::BodyPiece> taken = link_.TakeBody(
      std::clamp(options_.max_message_bytes, std::size_t{1}, kMaxPieceBytes));
  if (!taken.ok()) {
    return FailRequest(400,
                       Annotate(taken.status(), "the body of the request"));
  }
  wire_bytes_ += taken->wire_bytes;
  if (taken->wire_bytes > 0) session_->OnWireBytes(taken->wire_bytes);
  if (!taken->bytes.empty()) {
    body_bytes_ += taken->bytes.size();
    if (TakesOneRequest(options_.kind) &&
        body_bytes_ > options_.max_message_bytes) {
      body_ = Body::kDropped;
      reading_ = false;
      return session_->OnMessageTooBig({});
    }
    reading_ = false;
    return session_->OnMessage({Opcode::kText, std::move(taken->bytes)});
  }
  if (!link_.body_done()) return link_.Receive();
  body_ = Body::kEnded;
  reading_ = false;
  Flush();  // The head may have waited for this.
  session_->OnMessage({Opcode::kText, ""});
}

void HttpTransport::FailRequest(int http_status, absl::Status status) {
  if (closing_ != Closing::kNone) return;
  const TransportEnd end{TransportEnd::Cause::kBrokenByClient,
                         CloseCode::kProtocolError,
                         std::string(status.message())};
  end_ =
      OutEnd{Ending{CloseCode::kProtocolError, CallEnd{std::move(status), ""}}};
  failed_request_ = http_status;
  closing_ = Closing::kDue;
  outgoing_.reset();
  held_.reset();
  head_.reset();
  NotifyClosed(end);
  if (head_is_sent()) return link_.ExchangeOver(HttpLink::Outcome::kCutOff);
  Flush();
}

// --- The response ---

void HttpTransport::SendHead(OutHead head) {
  if (notified_ || closing_ != Closing::kNone || head_is_sent()) return;
  head_ = std::make_unique<OutHead>(std::move(head));
  if (head_->is_whole) return;
  // What is right behind it comes first.
  link_.Post([this] {
    if (head_state_ == Head::kHeld) head_state_ = Head::kDue;
    Flush();
  });
}

void HttpTransport::Write(WireMessage message) {
  if (notified_ || closing_ != Closing::kNone) return;
  assert(head_is_sent() || head_ != nullptr);
  assert(!outgoing_ && wire_ != Wire::kWrite);
  if (!std::exchange(has_written_, true)) link_.OnFirstAnswer();
  outgoing_ = std::move(message);
  Flush();
}

void HttpTransport::Close(const OutEnd& end) {
  if (notified_ || closing_ != Closing::kNone) return;
  end_ = end;
  closing_ = Closing::kDue;
  Flush();
}

void HttpTransport::Flush() {
  if (wire_ != Wire::kFree) return;
  if (outgoing_) {
    FlushMessage(*std::exchange(outgoing_, std::nullopt));
  } else if (closing_ == Closing::kDue) {
    SendEnd();
  } else if (MaySendHead()) {
    Send(StreamHead());
  }
}

// Before the end of a request it would promise less: see Head.
bool HttpTransport::MaySendHead() const {
  return head_state_ == Head::kDue && !notified_ && head_ != nullptr &&
         !head_->is_whole &&
         (link_.body_done() || !TakesOneRequest(options_.kind));
}

void HttpTransport::FlushMessage(WireMessage message) {
  if (!head_is_sent() && head_->is_whole) return Hold(std::move(message));
  ResponsePart part;
  if (!head_is_sent()) part = StreamHead();
  part.content = std::move(message.payload);
  Send(std::move(part), Wire::kWrite);
}

void HttpTransport::Hold(WireMessage message) {
  held_ = std::move(message);
  link_.Post([this] {
    if (!notified_) session_->OnWritten();
  });
}

ResponsePart HttpTransport::StreamHead() {
  ResponsePart part;
  HttpFields fields = std::move(head_->fields);
  part.lead = std::move(head_->preamble);
  filler_ = head_->filler;
  part.head = MakeHead(head_->http_status, std::move(fields));
  return part;
}

void HttpTransport::SendEnd() {
  if (!head_is_sent() && head_ == nullptr) {
    // There is no codec to tell it.
    if (options_.failure != nullptr) {
      WholeResponse failure = options_.failure(end_.ending.end);
      const int status = failure.head.http_status;
      HttpFields fields = std::move(failure.head.fields);
      head_ = std::make_unique<OutHead>(std::move(failure.head));
      return SendWhole(status, std::move(fields), std::move(failure.body));
    }
    return SendWhole(
        failed_request_ ? failed_request_ : HttpStatusOf(end_.ending),
        {{"Content-Type", "application/json"}},
        JsonFailure(end_.ending.end.status, "[]", MethodKind::kUnary,
                    options_.error_shape));
  }
  if (!head_is_sent() && head_->is_whole) {
    return SendWhole(head_->http_status, std::move(head_->fields),
                     held_ ? std::move(held_->payload) : "");
  }
  if (end_.is_cut_off) {
    closing_ = Closing::kSent;
    return link_.Post([this] {
      NotifyClosed(
          {TransportEnd::Cause::kClosedByGateway, end_.ending.close, ""});
      link_.ExchangeOver(HttpLink::Outcome::kCutOff);
    });
  }
  closing_ = Closing::kSent;
  ResponsePart part;
  if (!head_is_sent()) part = StreamHead();
  part.content = std::string(end_.coda);
  part.is_last = true;
  part.trailers = Trailers();
  Send(std::move(part));
}

void HttpTransport::SendWhole(int status, HttpFields fields, std::string body) {
  closing_ = Closing::kSent;
  ResponsePart part;
  part.head = MakeHead(status, std::move(fields));
  part.head->is_whole = true;
  part.content = std::move(body);
  part.is_last = true;
  part.trailers = Trailers();
  Send(std::move(part));
}

void HttpTransport::Send(ResponsePart part, Wire as) {
  assert(wire_ == Wire::kFree);
  wire_ = as;
  sent_any_ = true;
  link_.Send(std::move(part));
}

ResponsePart::Head HttpTransport::MakeHead(int status, HttpFields fields) {
  assert(head_state_ != Head::kSent);
  head_state_ = Head::kSent;
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
  ResponsePart::Head head;
  head.status = status;
  head.fields = std::move(fields);
  return head;
}

HttpFields HttpTransport::Trailers() const {
  return options_.has_trailers ? end_.trailers : HttpFields{};
}

void HttpTransport::OnSent() {
  const Wire sent = std::exchange(wire_, Wire::kFree);
  assert(sent != Wire::kFree);
  if (closing_ == Closing::kSent) {
    NotifyClosed(
        {TransportEnd::Cause::kClosedByGateway, end_.ending.close, ""});
    return link_.ExchangeOver(HttpLink::Outcome::kComplete);
  }
  if (notified_) return Flush();
  if (options_.is_head && head_is_sent()) {
    // The head is all there is to say; the stream need not be heard.
    NotifyClosed(
        {TransportEnd::Cause::kClosedByGateway, CloseCode::kNormal, ""});
    return link_.ExchangeOver(HttpLink::Outcome::kComplete);
  }
  if (sent == Wire::kOwn) return Flush();
  session_->OnWritten();
}

void HttpTransport::OnLost(const TransportEnd& end) {
  if (closing_ != Closing::kNone && end.cause == TransportEnd::Cause::kLost) {
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
  if (!reading_ || link_.body_done() || closing_ != Closing::kNone) {
    return std::nullopt;
  }
  if (TakesOneRequest(options_.kind)) return 0;
  return session_->unfinished_message();
}

void HttpTransport::OnTick(absl::Time now) {
  if (notified_) return;
  if (message_watch_.IsStuck(now, options_.message_timeout, UnfinishedMessage(),
                             wire_bytes_)) {
    // Behind a head the dialect may have a place for it.
    if (head_is_sent())
      return session_->OnMessageStuck(options_.message_timeout);
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
  if (filler_.empty() || options_.is_head || closing_ != Closing::kNone) return;
  if (std::exchange(sent_any_, false) || wire_ != Wire::kFree ||
      !silent_since_) {
    silent_since_ = now;
  } else if (now - *silent_since_ >= options_.filler_interval) {
    ResponsePart part;
    part.content = std::string(filler_);
    Send(std::move(part));
  }
}

void HttpTransport::Drain(const DrainOrder& order) {
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
