#include "cmd/headgate/bench/h2_streams.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

constexpr std::size_t kMaxRefusalBytes = 4096;

ws::Endpoint::Options StreamEndpointOptions(ws::MaskSource& masks) {
  ws::Endpoint::Options options;
  options.role = ws::Role::kClient;
  options.delivery = ws::Delivery::kPieces;
  options.masks = &masks;
  return options;
}

}  // namespace

LoadStream::LoadStream(const BenchDialect& dialect, Observer& observer)
    : dialect_(dialect), counter_(dialect.counter()), observer_(observer) {}

LoadStream::~LoadStream() = default;

void LoadStream::Restart() {
  counter_ = dialect_.counter();
  reading_ = Reading::kHead;
  http_status_ = 0;
  grpc_status_.clear();
  grpc_message_.clear();
}

LoadStream::Progress& LoadStream::MakeProgress() {
  if (!std::exchange(told_, true)) observer_.OnProgress(*this);
  return progress_;
}

LoadStream::Progress LoadStream::TakeProgress() {
  told_ = false;
  return std::exchange(progress_, {});
}

void LoadStream::CountBody(absl::string_view bytes, bool end) {
  const auto answers = counter_->Take(bytes, end);
  if (!answers.ok()) return Fail(Lost{std::string(answers.status().message())});
  if (*answers > 0) MakeProgress().answers += *answers;
}

void LoadStream::Fail(DialEnding failure) {
  if (reading_ == Reading::kOver) return;
  reading_ = Reading::kOver;
  MakeProgress().failure = std::move(failure);
}

void LoadStream::Succeed() {
  if (reading_ == Reading::kOver) return;
  reading_ = Reading::kOver;
  MakeProgress();
}

void LoadStream::OnField(absl::string_view name, absl::string_view value) {
  if (name == ":status") {
    if (!absl::SimpleAtoi(value, &http_status_)) http_status_ = 0;
  } else if (name == "grpc-status") {
    grpc_status_ = std::string(value);
  } else if (name == "grpc-message") {
    grpc_message_ = std::string(value);
  } else if (name == "sec-websocket-protocol") {
    subprotocol_ = std::string(value);
  }
}

void LoadStream::OnFieldsEnd(bool end_stream) {
  // 1xx is followed by the response.
  if (reading_ == Reading::kHead && http_status_ >= 200) {
    reading_ = Reading::kBody;
    if (http_status_ == 200) OnAccepted();
  }
  if (end_stream) OnEndStream();
}

void LoadStream::OnData(absl::string_view bytes) {
  if (session()->Consume(*this, bytes.size())) MakeProgress().may_grow = true;
  if (reading_ != Reading::kBody) return;
  if (http_status_ == 200) return OnBody(bytes);
  absl::StrAppend(&refusal_,
                  bytes.substr(0, kMaxRefusalBytes - refusal_.size()));
}

void LoadStream::OnEndStream() {
  if (auto failure = FailureOfResponse()) return Fail(*std::move(failure));
  if (reading_ == Reading::kBody) OnBodyEnd();
}

std::optional<DialEnding> LoadStream::FailureOfResponse() const {
  if (http_status_ != 200) return Refused{http_status_, refusal_};
  if (grpc_status_.empty() || grpc_status_ == "0") return std::nullopt;
  return Lost{absl::StrCat("grpc-status ", grpc_status_,
                           grpc_message_.empty() ? "" : ": ", grpc_message_)};
}

void LoadStream::OnEnd(const h2::StreamEnd& end) {
  Fail(Lost{absl::StrCat("the stream was reset: ", h2::ErrorName(end.code))});
  MakeProgress().ended = true;
}

void CallStream::Begin() {
  sent_ = 0;
  Restart();
}

h2::Stream::Outgoing CallStream::PeekOutgoing(std::size_t max) {
  const std::size_t left = message_.size() - sent_;
  return {std::min(left, max), left <= max};
}

void CallStream::MoveOutgoing(std::size_t bytes, std::string& to) {
  absl::StrAppend(&to, message_.substr(sent_, bytes));
  sent_ += bytes;
}

void CallStream::OnBodyEnd() {
  CountBody("", /*end=*/true);
  Succeed();
}

h2::Stream::Outgoing MessageStream::PeekOutgoing(std::size_t max) {
  const std::size_t left = messages_.Left(position_);
  return {std::min(left, max), closing_ && left <= max};
}

void MessageStream::MoveOutgoing(std::size_t bytes, std::string& to) {
  while (bytes > 0) {
    const absl::string_view next = messages_.Front(position_).substr(0, bytes);
    absl::StrAppend(&to, next);
    messages_.Advance(position_, next.size());
    bytes -= next.size();
  }
}

void BodyStream::OnBodyEnd() {
  if (closing_) return Succeed();
  Fail(Lost{"the call has ended"});
}

BenchWebSocket::BenchWebSocket(const Options& options,
                               const RepeatedMessage& messages,
                               ws::MaskSource& masks, Observer& observer)
    : MessageStream(*options.dialect, messages, observer),
      options_(options),
      endpoint_(StreamEndpointOptions(masks)) {}

void BenchWebSocket::Close() {
  if (endpoint_.may_write()) endpoint_.Close(CloseCode::kNormal, "");
  closing_ = true;
}

h2::Stream::Outgoing BenchWebSocket::PeekOutgoing(std::size_t max) {
  if (has_control()) {
    return {std::min(endpoint_.Front()[0].size(), max), false};
  }
  // The stream ends behind the peer's Close frame.
  const bool is_over = endpoint_.state() == ws::Endpoint::State::kOver;
  const std::size_t left = endpoint_.has_output()
                               ? messages_.FrontMessage(position_).size()
                               : messages_.Left(position_);
  return {std::min(left, max), is_over && left == 0};
}

void BenchWebSocket::MoveOutgoing(std::size_t bytes, std::string& to) {
  if (!has_control()) return MessageStream::MoveOutgoing(bytes, to);
  absl::StrAppend(&to, endpoint_.Front()[0].substr(0, bytes));
  endpoint_.OnSent(bytes);
}

void BenchWebSocket::OnAccepted() {
  Progress& progress = MakeProgress();
  progress.opened = true;
  progress.codec_declined = subprotocol_ != options_.offered;
  if (!options_.head) return;
  endpoint_.Write(options_.head->opcode, options_.head->payload);
}

void BenchWebSocket::OnBody(absl::string_view bytes) {
  while (!bytes.empty()) {
    switch (endpoint_.Next(bytes)) {
      case ws::Endpoint::Event::kPiece:
        CountBody(endpoint_.piece(), endpoint_.ends_message());
        break;
      case ws::Endpoint::Event::kClose:
        if (closing_) break;
        Fail(Closed{static_cast<std::uint16_t>(endpoint_.peer_close_code()),
                    std::string(endpoint_.close_reason()), std::nullopt});
        break;
      case ws::Endpoint::Event::kViolation:
        Fail(Lost{absl::StrCat("the other side broke the WebSocket protocol: ",
                               endpoint_.violation().what)});
        break;
      case ws::Endpoint::Event::kMessage:
      case ws::Endpoint::Event::kTooBig:
      case ws::Endpoint::Event::kNeedsBytes:
      case ws::Endpoint::Event::kPing:
      case ws::Endpoint::Event::kPong:
        break;
    }
  }
  const bool is_over = endpoint_.state() == ws::Endpoint::State::kOver;
  if (endpoint_.has_output() || is_over) session()->Resume(*this);
}

void BenchWebSocket::OnBodyEnd() {
  if (closing_) return Succeed();
  Fail(Lost{"the stream has ended without a Close frame"});
}

}  // namespace headgate
