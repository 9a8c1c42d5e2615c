#include "gateway/upstream/h2/call.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/base/gzip.h"
#include "gateway/upstream/h2/header_values.h"
#include "gateway/upstream/h2/request_head.h"

namespace headgate {
namespace {

// A longer timeout is none: no clock can hold it.
constexpr absl::Duration kMaxTimeout = absl::Hours(24 * 365 * 10);
// What messages may hold that are kept for another attempt.
constexpr std::size_t kMaxKeptBytes = 16 * 1024;
// Of messages that wait for the next one to leave with them.
constexpr std::size_t kMaxJoinedBytes = 16 * 1024;
constexpr int kMaxAttempts = 3;

// Keeps the loop running for a call that is not done.
void StartWork(boost::asio::io_context& worker) {
  worker.get_executor().on_work_started();
}
void FinishWork(boost::asio::io_context& worker) {
  worker.get_executor().on_work_finished();
}

// `status` of a message that cannot be read; one that is too long says enough.
absl::Status FaultOfUpstream(const absl::Status& status) {
  if (!absl::IsInternal(status)) return status;
  return absl::InternalError(
      absl::StrCat("the upstream sent a ", status.message()));
}

}  // namespace

H2Call::H2Call(std::shared_ptr<H2CallHost> host, CallRequest request,
               UpstreamCallObserver& observer)
    : host_(std::move(host)),
      observer_(observer),
      delivery_(request.metadata_delivery),
      request_(std::make_unique<CallRequest>(std::move(request))),
      reader_(request_->max_answer_bytes != 0
                  ? request_->max_answer_bytes
                  : host_->call_options().max_answer_bytes) {
  StartWork(host_->worker());
}

H2Call::~H2Call() {
  host_->alarms().Cancel(*this);
  host_->Forget(*this);
  if (connection() != nullptr) connection()->Reset(*this, h2::kCancel);
  if (!told_done_) FinishWork(host_->worker());
}

void H2Call::Start() {
  if (request_->timeout <= absl::ZeroDuration()) {
    return Abort(absl::DeadlineExceededError("Deadline Exceeded"));
  }
  if (request_->timeout < kMaxTimeout) {
    deadline_ =
        Alarms::Clock::now() + absl::ToChronoNanoseconds(request_->timeout);
    host_->alarms().Set(*this, *deadline_);
  }
  host_->Enqueue(*this);
}

void H2Call::Read() {
  if (told_done_) return;
  assert(!read_pending_);
  read_pending_ = true;
  Advance();
}

void H2Call::Write(std::string payload, WriteHint hint) {
  if (told_done_) return;
  assert(!write_pending_ && !writes_done_);
  write_pending_ = true;
  if (end_ != nullptr) {
    write_answered_ = true;
    return ScheduleEvents();
  }
  bool compressed = false;
  if (host_->call_options().compress) {
    std::string smaller = GzipCompress(payload);
    compressed = !smaller.empty() && smaller.size() < payload.size();
    if (compressed) payload = std::move(smaller);
  }
  const std::size_t size = payload.size();
  outgoing_.push_back(
      {MakeMessagePrefix(compressed ? kCompressedFlag : 0, size),
       std::move(payload)});
  outgoing_bytes_ += kMessagePrefixBytes + size;
  // With this write answered the next comes before anything is sent, and so
  // they leave together.
  if (hint == WriteHint::kMoreFollows && outgoing_bytes_ < kMaxJoinedBytes) {
    write_answered_ = true;
    ScheduleEvents();
  }
  if (connection() != nullptr) connection()->Resume(*this);
}

void H2Call::WritesDone() {
  assert(!writes_done_);
  writes_done_ = true;
  if (connection() != nullptr) connection()->Resume(*this);
}

bool H2Call::OpenOn(H2Connection& connection) {
  const H2CallHost::Options& options = host_->call_options();
  std::string timeout;
  if (deadline_) {
    timeout =
        EncodeTimeout(absl::FromChrono(*deadline_ - Alarms::Clock::now()));
  }
  std::vector<std::string> encoded;
  encoded.reserve(request_->metadata.size());  // Fields point into it.
  std::vector<h2::Field> fields = H2RequestHead(options, request_->method);
  if (deadline_) fields.push_back(h2::MakeField("grpc-timeout", timeout));
  if (options.compress)
    fields.push_back(h2::MakeField("grpc-encoding", "gzip"));
  fields.push_back(h2::MakeField("grpc-accept-encoding", "identity,gzip"));
  for (const auto& [name, value] : request_->metadata) {
    if (IsReservedHeader(name)) continue;
    if (IsBinaryKey(name)) {
      encoded.push_back(EncodeBinaryValue(value));
      fields.push_back(h2::MakeField(name, encoded.back()));
    } else {
      fields.push_back(h2::MakeField(name, value));
    }
  }
  // A server may answer a longer one with the end of the connection.
  const std::size_t bytes = h2::HeaderListBytes(fields);
  if (bytes > connection.max_header_list_bytes()) {
    Abort(absl::ResourceExhaustedError(absl::StrCat(
        "the call's headers are ", bytes, " bytes, the upstream takes ",
        connection.max_header_list_bytes())));
    return false;
  }
  if (!connection.Open(*this, fields)) return false;
  ++attempts_;
  if (attempts_ == kMaxAttempts) Commit();
  return true;
}

void H2Call::FailToConnect(absl::Status status) { Abort(std::move(status)); }

void H2Call::OnHeaderBlock(HeaderBlock block, bool end_stream) {
  Commit();
  if (block.is_informational()) return;
  if (end_stream) return End(block.TakeEnd(head_came_));
  absl::Status status = block.CheckHead();
  if (!status.ok()) return Abort(std::move(status));
  head_came_ = true;
  encoding_ = block.encoding();
  if (delivery_ != MetadataDelivery::kDelivered) return;
  headers_ = std::make_unique<Metadata>(block.TakeMetadata());
  ScheduleEvents();
}

void H2Call::OnData(absl::string_view bytes) {
  unconsumed_ += bytes.size();
  if (read_pending_ && !reader_.complete() && held_bytes() == 0) {
    bytes.remove_prefix(Feed(bytes));
    if (end_ != nullptr) return;
  }
  // Who is always behind would never drop what it has taken.
  if (received_taken_ > held_bytes()) {
    received_.erase(0, std::exchange(received_taken_, 0));
  }
  received_.append(bytes.data(), bytes.size());
  Advance();
}

void H2Call::OnEndStream() {
  End({absl::UnknownError("the upstream ended the call without a status"), ""});
}

void H2Call::OnDraining() {
  draining_ = true;
  ScheduleEvents();
}

void H2Call::OnRefused() {
  if (request_ == nullptr || end_ != nullptr) {
    return OnClosed(absl::UnavailableError("the upstream refused the call"));
  }
  for (std::size_t i = 0; i < outgoing_next_; ++i) {
    outgoing_bytes_ += outgoing_[i].bytes();
  }
  outgoing_bytes_ += outgoing_offset_;
  outgoing_next_ = outgoing_offset_ = 0;
  host_->Enqueue(*this);
}

void H2Call::OnClosed(absl::Status why) {
  if (end_ != nullptr) return;
  // The backend's clock may have been first.
  if (absl::IsCancelled(why) && deadline_ &&
      Alarms::Clock::now() >= *deadline_) {
    why = absl::DeadlineExceededError("Deadline Exceeded");
  }
  End({std::move(why), ""});
}

h2::Stream::Outgoing H2Call::PeekOutgoing(std::size_t max) {
  const std::size_t bytes = std::min(max, outgoing_bytes_);
  return {bytes, writes_done_ && bytes == outgoing_bytes_};
}

void H2Call::MoveOutgoing(std::size_t bytes, std::string& to) {
  outgoing_bytes_ -= bytes;
  bytes_taken_ += bytes;
  while (bytes > 0) {
    const Message& message = outgoing_[outgoing_next_];
    const bool in_prefix = outgoing_offset_ < kMessagePrefixBytes;
    const absl::string_view rest =
        in_prefix
            ? absl::string_view(message.prefix.data(), kMessagePrefixBytes)
                  .substr(outgoing_offset_)
            : absl::string_view(message.payload)
                  .substr(outgoing_offset_ - kMessagePrefixBytes);
    const std::size_t size = std::min(bytes, rest.size());
    to.append(rest.data(), size);
    outgoing_offset_ += size;
    bytes -= size;
    if (outgoing_offset_ == message.bytes()) {
      outgoing_offset_ = 0;
      ++outgoing_next_;
    }
  }
  std::size_t kept = outgoing_offset_;
  for (std::size_t i = 0; i < outgoing_next_; ++i) {
    kept += outgoing_[i].bytes();
  }
  if (request_ == nullptr || kept > kMaxKeptBytes) Commit();
  if (outgoing_bytes_ == 0 && write_pending_) {
    write_answered_ = true;
    ScheduleEvents();
  }
}

void H2Call::Commit() {
  request_.reset();
  outgoing_.erase(
      outgoing_.begin(),
      outgoing_.begin() + static_cast<std::ptrdiff_t>(outgoing_next_));
  outgoing_next_ = 0;
  if (outgoing_.empty()) outgoing_ = {};
}

void H2Call::OnAlarm() {
  Abort(absl::DeadlineExceededError("Deadline Exceeded"));
}

void H2Call::Abort(absl::Status status) {
  if (end_ != nullptr) return;
  if (connection() != nullptr) connection()->Reset(*this, h2::kCancel);
  End({std::move(status), ""});
}

void H2Call::End(CallEnd end) {
  assert(end_ == nullptr);
  end_ = std::make_unique<CallEnd>(std::move(end));
  host_->alarms().Cancel(*this);
  host_->Forget(*this);
  if (connection() != nullptr) connection()->Finish(*this);
  outgoing_ = {};
  outgoing_next_ = outgoing_offset_ = outgoing_bytes_ = 0;
  request_.reset();
  if (write_pending_) write_answered_ = true;
  ScheduleEvents();
}

void H2Call::Advance() {
  while (read_pending_ && !reader_.complete() && held_bytes() > 0) {
    const std::size_t taken =
        Feed(absl::string_view(received_).substr(received_taken_));
    if (!read_pending_ || received_.empty()) return;  // It has ended.
    received_taken_ += taken;
    if (held_bytes() == 0) DropReceived();
  }
  OpenWindow();
  ScheduleEvents();
}

std::size_t H2Call::Feed(absl::string_view bytes) {
  const absl::StatusOr<std::size_t> taken = reader_.Feed(bytes);
  if (taken.ok()) return *taken;
  EndInstead(FaultOfUpstream(taken.status()));
  return 0;
}

void H2Call::EndInstead(absl::Status status) {
  DropReceived();
  if (connection() != nullptr) connection()->Reset(*this, h2::kCancel);
  end_.reset();
  End({std::move(status), ""});
}

void H2Call::DropReceived() {
  std::string().swap(received_);
  received_taken_ = 0;
}

void H2Call::OpenWindow() {
  const std::size_t held = held_bytes();
  if (unconsumed_ <= held) return;
  const std::size_t bytes = std::exchange(unconsumed_, held) - held;
  if (connection() != nullptr) connection()->Consume(*this, bytes);
}

absl::StatusOr<std::string> H2Call::TakeMessage() {
  const bool compressed = reader_.compressed();
  std::string message = reader_.Take();
  if (!compressed) return message;
  if (encoding_ != MessageEncoding::kGzip) {
    return absl::InternalError(
        "the upstream sent a message compressed in a way that it did not name "
        "or that is not known");
  }
  absl::StatusOr<std::string> plain =
      GzipDecompress(message, reader_.max_message_bytes());
  if (!plain.ok()) return FaultOfUpstream(plain.status());
  return plain;
}

bool H2Call::HasEvent() const {
  if (told_done_) return false;
  return headers_ != nullptr || draining_ || write_answered_ ||
         (read_pending_ && (reader_.complete() || end_ != nullptr));
}

void H2Call::ScheduleEvents() {
  if (HasEvent()) host_->turn().Soon(*this);
}

void H2Call::OnTurn() {
  // The observer may destroy the call, so nothing comes after its event.
  if (headers_ != nullptr) {
    const std::unique_ptr<Metadata> headers = std::move(headers_);
    ScheduleEvents();
    return observer_.OnHeaders(std::move(*headers));
  }
  if (std::exchange(draining_, false)) {
    ScheduleEvents();
    return observer_.OnDraining();
  }
  // Once the backend has ended the call a write is answered at once, so that
  // writes would keep what was sent before the end from being delivered.
  const bool ends = end_ != nullptr && read_pending_;
  if (write_answered_ && !ends) {
    write_answered_ = write_pending_ = false;
    ScheduleEvents();
    return observer_.OnWritten();
  }
  if (!read_pending_) return;
  if (reader_.complete()) {
    absl::StatusOr<std::string> message = TakeMessage();
    if (!message.ok()) return EndInstead(message.status());
    read_pending_ = false;
    ScheduleEvents();
    return observer_.OnMessage(*std::move(message));
  }
  if (end_ == nullptr) return;
  if (reader_.in_message() && end_->status.ok()) {
    *end_ = {absl::InternalError("the upstream sent half a message"), ""};
  }
  // With a connection all of its calls may end at once.
  Turn& turn = host_->turn();
  std::optional<Turn::Work> work;
  if (!end_->status.ok()) {
    if (turn.has_worked_long()) return turn.Postpone(*this);
    work.emplace(turn);
  }
  read_pending_ = false;
  told_done_ = true;
  const std::unique_ptr<CallEnd> end = std::move(end_);
  FinishWork(host_->worker());
  observer_.OnDone(std::move(*end));
}

}  // namespace headgate
