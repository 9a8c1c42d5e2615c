#include "gateway/session/call.h"

#include <utility>

namespace headgate {
namespace {

Ending ProtocolError(absl::string_view what) {
  return Ending{CloseCode::kProtocolError,
                CallEnd{absl::InvalidArgumentError(what), ""}};
}

}  // namespace

Call::Call(MethodKind kind, CallRequest request, Watermarks marks,
           Upstream& upstream, CallObserver& observer)
    : kind_(kind),
      observer_(observer),
      pending_(marks),
      upstream_call_(upstream.StartCall(std::move(request), *this)) {}

std::optional<Ending> Call::Send(std::string payload) {
  if (done_) return std::nullopt;  // Lost the race with the status.
  switch (client_) {
    case Client::kHalfClosed:
      return ProtocolError("data after half-close");
    case Client::kRequestComplete:
      return EndingOf(absl::InvalidArgumentError(
          "a second request message, and the method takes one"));
    case Client::kSending:
      break;
  }
  sent_any_ = true;
  if (TakesOneRequest(kind_)) client_ = Client::kRequestComplete;
  Enqueue(std::move(payload));
  return std::nullopt;
}

std::optional<Ending> Call::HalfClose() {
  if (done_) return std::nullopt;
  if (client_ == Client::kHalfClosed) {
    return ProtocolError("half-close after half-close");
  }
  const bool no_request = client_ == Client::kSending && TakesOneRequest(kind_);
  client_ = Client::kHalfClosed;
  if (no_request) {
    Enqueue("");
  } else {
    MaybeWrite();
  }
  return std::nullopt;
}

void Call::Read() {
  if (!done_) upstream_call_->Read();
}

void Call::OnHeaders(Metadata headers) {
  observer_.OnCallHeaders(std::move(headers));
}

void Call::OnMessage(std::string payload) {
  if (++answers_ > 1 && GivesOneAnswer(kind_)) {
    return OnDone(CallEnd{
        absl::InternalError(
            "the backend sent a second answer, and the method gives one"),
        ""});
  }
  observer_.OnCallMessage(std::move(payload));
}

void Call::OnWritten() {
  writing_ = false;
  ++messages_taken_;
  const bool was_backlogged = backlogged();
  MaybeWrite();
  if (was_backlogged && !backlogged()) observer_.OnCallWritable();
}

void Call::OnDone(CallEnd end) {
  done_ = true;
  if (end.status.ok() && answers_ == 0 && GivesOneAnswer(kind_)) {
    end.status = absl::InternalError(
        "the backend ended the call with OK but without an answer");
  }
  observer_.OnCallDone(std::move(end));
}

void Call::Enqueue(std::string payload) {
  const std::size_t bytes = payload.size();
  pending_.Push(std::move(payload), bytes);
  MaybeWrite();
}

void Call::MaybeWrite() {
  if (writing_ || writes_done_) return;
  if (!pending_.empty()) {
    writing_ = true;
    std::string payload = pending_.Pop();
    upstream_call_->Write(std::move(payload), pending_.empty()
                                                  ? WriteHint::kLast
                                                  : WriteHint::kMoreFollows);
  } else if (client_ != Client::kSending) {
    writes_done_ = true;
    upstream_call_->WritesDone();
  }
}

}  // namespace headgate
