#include "gateway/upstream/grpc_call.h"

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/strings/match.h"
#include "gateway/base/metadata.h"
#include "gateway/upstream/h2/response_head.h"

namespace headgate {
namespace {

// How long a head without metadata waits for the end of the call. If that was
// all there is of the response, gRPC reports the two within microseconds.
constexpr std::chrono::milliseconds kEmptyHeadPatience(100);

// Below this a copy is cheaper than handing the buffer over.
constexpr std::size_t kCopyBelowBytes = 1024;

grpc::ByteBuffer ToByteBuffer(std::string payload) {
  if (payload.size() < kCopyBelowBytes) {
    const grpc::Slice slice(payload);
    return grpc::ByteBuffer(&slice, 1);
  }
  auto* owned = new std::string(std::move(payload));
  const grpc::Slice slice(
      owned->data(), owned->size(),
      [](void* string) { delete static_cast<std::string*>(string); }, owned);
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  bytes.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// What the backend itself has said: "grpc-..." is the protocol's.
Metadata ToMetadata(
    const std::multimap<grpc::string_ref, grpc::string_ref>& from) {
  Metadata metadata;
  for (const auto& [key, value] : from) {
    if (absl::StartsWith({key.data(), key.size()}, "grpc-")) continue;
    metadata.emplace_back(std::string(key.data(), key.size()),
                          std::string(value.data(), value.size()));
  }
  return metadata;
}

std::size_t HeaderListBytes(
    const std::multimap<grpc::string_ref, grpc::string_ref>& from) {
  std::size_t bytes = 0;
  for (const auto& [key, value] : from) {
    bytes += key.size() + value.size() + kHeaderFieldBytes;
  }
  return bytes;
}

// What of a header list a status is (grpc/grpc doc/PROTOCOL-HTTP2.md,
// "Responses": the message is percent-encoded, the details are base64).
std::size_t HeaderListBytes(const grpc::Status& status) {
  std::size_t bytes = status.error_details().size() * 4 / 3;
  for (const char c : status.error_message()) {
    bytes += c < 0x20 || c > 0x7E || c == '%' ? 3 : 1;
  }
  return bytes;
}

// What gRPC says of an upstream that it cannot reach ends so, with addresses
// and what TLS has against them behind it.
constexpr absl::string_view kLastError = "; last error: ";

CallEnd ToCallEnd(const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE &&
      absl::StrContains(status.error_message(), kLastError)) {
    return CallEnd{WithDetailForLog(
                       absl::UnavailableError("the upstream cannot be reached"),
                       status.error_message()),
                   ""};
  }
  return CallEnd{absl::Status(StatusCodeFromWire(status.error_code()),
                              status.error_message()),
                 status.error_details()};
}

using TrackedExecutor = decltype(boost::asio::prefer(
    std::declval<boost::asio::io_context::executor_type>(),
    boost::asio::execution::outstanding_work.tracked));

// The gRPC side of one call.
//
// Thread:   the reactions (On...) run on gRPC's threads and only hand over; all
//           other methods, the events included, run on the worker.
// Lifetime: owns itself from Start until the event of OnDone has run. A hold,
//           taken in Start, keeps OnDone away while the worker may still start
//           an operation.
class Reactor final
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Reactor(std::shared_ptr<PooledChannel> channel, MetadataDelivery delivery,
          std::shared_ptr<HandOff> hand_off, UpstreamCallObserver& observer)
      : channel_(std::move(channel)),
        delivery_(delivery),
        hand_off_(std::move(hand_off)),
        work_(boost::asio::prefer(
            hand_off_->worker().get_executor(),
            boost::asio::execution::outstanding_work.tracked)),
        observer_(&observer) {}

  void Start(CallRequest request) {
    ++channel_->calls;
    for (auto& [key, value] : request.metadata) {
      context_.AddMetadata(key, value);
    }
    if (request.timeout != absl::InfiniteDuration()) {
      context_.set_deadline(absl::ToChronoTime(absl::Now() + request.timeout));
    }
    if (!channel_->authority.empty()) {
      context_.set_authority(channel_->authority);
    }
    channel_->stub.PrepareBidiStreamingCall(&context_, request.method, {},
                                            this);
    AddHold();
    StartCall();
  }

  void Read() {
    if (held_) StartRead(&incoming_);
  }
  void Write(std::string payload, WriteHint hint) {
    if (!held_) return;  // OnDone may already be posted: post nothing after it.
    if (deaf_) return OnWriteDone(false);
    grpc::ByteBuffer buffer = ToByteBuffer(std::move(payload));
    outgoing_.Swap(&buffer);
    grpc::WriteOptions options;
    if (hint == WriteHint::kMoreFollows) options.set_buffer_hint();
    StartWrite(&outgoing_, options);
  }
  void WritesDone() {
    if (held_ && !deaf_) StartWritesDone();
  }

  // Cancels the call; the observer hears nothing more.
  void Detach() {
    observer_ = nullptr;
    context_.TryCancel();
    Release();
  }

  // gRPC asks this before OnReadInitialMetadataDone. Its own answer aborts the
  // process, in builds with assertions as Debian's are, when the connection
  // broke in a way that left both headers and a mark for none (call.cc,
  // is_trailers_only). So an empty head may be none: see Head.
  bool InternalTrailersOnly(const grpc_call* /*call*/) const override {
    return false;
  }
  // Comes for every call, whether or not there was any metadata.
  void OnReadInitialMetadataDone(bool ok) override {
    if (ok) {
      const auto& headers = context_.GetServerInitialMetadata();
      const std::size_t bytes = HeaderListBytes(headers);
      if (bytes > kMaxHeaderListBytes) {
        too_long_ = MetadataTooLong(bytes);
        context_.TryCancel();
        ok = false;
      } else if (delivery_ == MetadataDelivery::kDelivered) {
        headers_ = ToMetadata(headers);
      }
    }
    if (delivery_ == MetadataDelivery::kDelivered) {
      headers_event_.ok = ok;
      hand_off_->Post(headers_event_);
    }
  }
  void OnReadDone(bool ok) override {
    read_event_.ok = ok;
    hand_off_->Post(read_event_);
  }
  void OnWriteDone(bool ok) override {
    write_event_.ok = ok;
    hand_off_->Post(write_event_);
  }
  void OnDone(const grpc::Status& status) override {
    const auto& trailers = context_.GetServerTrailingMetadata();
    const std::size_t bytes =
        HeaderListBytes(status) + HeaderListBytes(trailers);
    if (bytes > kMaxHeaderListBytes) too_long_ = MetadataTooLong(bytes);
    if (!too_long_.ok()) {
      end_ = CallEnd{too_long_, ""};
    } else {
      end_ = ToCallEnd(status);
      if (delivery_ == MetadataDelivery::kDelivered) {
        end_.trailers = ToMetadata(trailers);
      }
    }
    hand_off_->Post(done_event_);
  }

 private:
  // What a reaction hands over: the call of a method with whether it went well.
  template <void (Reactor::*kHandle)(bool ok)>
  struct Event final : HandOff::Event {
    explicit Event(Reactor& owner) : reactor(owner) {}
    void Run() override { (reactor.*kHandle)(ok); }
    Reactor& reactor;
    bool ok = true;
  };

  // The head of the response, if metadata is delivered.
  enum class Head {
    kAwaited,
    // Came without metadata. If the end of the call comes next, the response
    // was its status alone, and had no head.
    kEmpty,
    kReported,  // Or never will be.
  };

  // Reports an empty head when the end of the call does not follow it. Outlives
  // the reactor when its handler is already queued.
  struct EmptyHeadTimer {
    EmptyHeadTimer(Reactor& owner, boost::asio::io_context& worker)
        : reactor(&owner), timer(worker, kEmptyHeadPatience) {}
    Reactor* reactor;  // Null once the reactor is gone.
    boost::asio::steady_timer timer;
  };

  ~Reactor() override {
    if (empty_head_timer_ != nullptr) empty_head_timer_->reactor = nullptr;
  }

  void HandleHeaders(bool ok) {
    head_ = Head::kEmpty;
    if (!headers_.empty()) {
      ReportHead();
    } else if (ok && held_ && !message_held_back_) {
      AwaitEnd();
    }
    if (message_held_back_) Deliver();
  }
  void AwaitEnd() {
    empty_head_timer_ =
        std::make_shared<EmptyHeadTimer>(*this, hand_off_->worker());
    empty_head_timer_->timer.async_wait(
        [shared = empty_head_timer_](boost::system::error_code error) {
          if (error || shared->reactor == nullptr) return;
          Reactor& self = *shared->reactor;
          if (self.held_) self.ReportHead();
          self.hand_off_->turn().Run();
        });
  }
  void ReportHead() {
    if (std::exchange(head_, Head::kReported) != Head::kEmpty) return;
    if (observer_ != nullptr) observer_->OnHeaders(std::move(headers_));
  }
  void HandleRead(bool ok) {
    if (!ok) return Release();
    // gRPC may tell of the two in either order.
    message_held_back_ = head_ == Head::kAwaited;
    if (!message_held_back_) Deliver();
  }
  // A failed write does not end the call: the messages and the status that
  // explain it are still to be read. Only a failed read ends it.
  void HandleWritten(bool ok) {
    if (!ok) deaf_ = true;
    if (observer_ != nullptr) observer_->OnWritten();
  }
  void HandleDone(bool /*ok*/) {
    --channel_->calls;  // First: the observer may start the next call.
    if (observer_ != nullptr) observer_->OnDone(std::move(end_));
    delete this;
  }

  void Deliver() {
    message_held_back_ = false;
    ReportHead();
    if (observer_ == nullptr) return;
    std::string payload = ToString(incoming_);
    incoming_.Clear();
    observer_->OnMessage(std::move(payload));
  }

  void Release() {
    if (!held_) return;
    held_ = false;
    if (empty_head_timer_ != nullptr) empty_head_timer_->timer.cancel();
    RemoveHold();
  }

  const std::shared_ptr<PooledChannel> channel_;
  const MetadataDelivery delivery_;
  const std::shared_ptr<HandOff> hand_off_;
  const TrackedExecutor work_;
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  absl::Status too_long_;  // gRPC's: what the backend sent is too long.
  // Each is gRPC's until its event is posted, then the worker's.
  Metadata headers_;  // Empty also when none came.
  CallEnd end_;
  Event<&Reactor::HandleHeaders> headers_event_{*this};
  Event<&Reactor::HandleRead> read_event_{*this};
  Event<&Reactor::HandleWritten> write_event_{*this};
  Event<&Reactor::HandleDone> done_event_{*this};
  // What follows is the worker's alone.
  UpstreamCallObserver* observer_;  // Null once detached.
  bool held_ = true;
  bool deaf_ = false;  // The upstream takes no more messages.
  Head head_ = delivery_ == MetadataDelivery::kDelivered ? Head::kAwaited
                                                         : Head::kReported;
  std::shared_ptr<EmptyHeadTimer> empty_head_timer_;  // Null: not needed yet.
  bool message_held_back_ = false;  // In incoming_, until the headers came.
};

// The worker's handle on a Reactor. A reactor ends by itself and a handle when
// its owner says so, in either order, so each can tell the other.
class GrpcCall final : public UpstreamCall, private UpstreamCallObserver {
 public:
  GrpcCall(std::shared_ptr<PooledChannel> channel, CallRequest request,
           std::shared_ptr<HandOff> hand_off, UpstreamCallObserver& observer)
      : observer_(observer),
        reactor_(new Reactor(std::move(channel), request.metadata_delivery,
                             std::move(hand_off), *this)) {
    reactor_->Start(std::move(request));
  }
  ~GrpcCall() override {
    if (reactor_ != nullptr) reactor_->Detach();
  }

  void Read() override {
    if (reactor_ != nullptr) reactor_->Read();
  }
  void Write(std::string payload, WriteHint hint) override {
    if (reactor_ != nullptr) reactor_->Write(std::move(payload), hint);
  }
  void WritesDone() override {
    if (reactor_ != nullptr) reactor_->WritesDone();
  }

 private:
  void OnHeaders(Metadata headers) override {
    observer_.OnHeaders(std::move(headers));
  }
  void OnMessage(std::string payload) override {
    observer_.OnMessage(std::move(payload));
  }
  void OnWritten() override { observer_.OnWritten(); }
  void OnDone(CallEnd end) override {
    reactor_ = nullptr;
    observer_.OnDone(std::move(end));
  }

  UpstreamCallObserver& observer_;
  Reactor* reactor_;  // Null once it is done.
};

class FailedCall final : public UpstreamCall, private TurnTask {
 public:
  FailedCall(absl::Status status, Turn& turn, UpstreamCallObserver& observer)
      : status_(std::move(status)), turn_(turn), observer_(observer) {}

  void Read() override {
    read_pending_ = !done_;
    turn_.Soon(*this);
  }
  void Write(std::string, WriteHint) override {
    write_pending_ = !done_;
    turn_.Soon(*this);
  }
  void WritesDone() override {}

 private:
  // The observer may destroy the call, so nothing comes after its event.
  void OnTurn() override {
    if (std::exchange(write_pending_, false)) {
      if (read_pending_) turn_.Soon(*this);
      return observer_.OnWritten();
    }
    if (!std::exchange(read_pending_, false)) return;
    done_ = true;
    observer_.OnDone({status_, ""});
  }

  const absl::Status status_;
  Turn& turn_;
  UpstreamCallObserver& observer_;
  bool read_pending_ = false;
  bool write_pending_ = false;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<UpstreamCall> StartGrpcCall(
    std::shared_ptr<PooledChannel> channel, CallRequest request,
    std::shared_ptr<HandOff> hand_off, UpstreamCallObserver& observer) {
  return std::make_unique<GrpcCall>(std::move(channel), std::move(request),
                                    std::move(hand_off), observer);
}

std::unique_ptr<UpstreamCall> MakeFailedCall(absl::Status status, Turn& turn,
                                             UpstreamCallObserver& observer) {
  return std::make_unique<FailedCall>(std::move(status), turn, observer);
}

}  // namespace headgate
