#include "gateway/upstream/grpc_upstream.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/client_callback.h>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

namespace headgate {
namespace {

// What a backend's metadata may hold, bytes as HTTP/2 counts them.
constexpr int kMaxMetadataBytes = 64 * 1024;

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

CallEnd ToCallEnd(const grpc::Status& status) {
  return CallEnd{absl::Status(StatusCodeFromWire(status.error_code()),
                              status.error_message()),
                 status.error_details()};
}

using TrackedExecutor = decltype(boost::asio::prefer(
    std::declval<boost::asio::io_context::executor_type>(),
    boost::asio::execution::outstanding_work.tracked));

// The gRPC side of one call.
//
// Thread:   the reactions (On...) run on gRPC's threads and only post; all
//           other methods, and what was posted, run on the worker.
// Lifetime: owns itself from Start until what OnDone posted has run. A hold,
//           taken in Start, keeps OnDone away while the worker may still start
//           an operation.
class Reactor final
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Reactor(boost::asio::io_context& worker, UpstreamCallObserver& observer)
      : worker_(boost::asio::prefer(
            worker.get_executor(),
            boost::asio::execution::outstanding_work.tracked)),
        observer_(&observer) {}

  void Start(grpc::GenericStub& stub, CallRequest request) {
    for (auto& [key, value] : request.metadata) {
      context_.AddMetadata(key, value);
    }
    if (request.timeout != absl::InfiniteDuration()) {
      context_.set_deadline(absl::ToChronoTime(absl::Now() + request.timeout));
    }
    stub.PrepareBidiStreamingCall(&context_, request.method, {}, this);
    AddHold();
    StartCall();
  }

  void Read() {
    if (held_) StartRead(&incoming_);
  }
  void Write(std::string payload) {
    if (!held_) return;  // OnDone may already be posted: post nothing after it.
    if (deaf_) return OnWriteDone(false);
    grpc::ByteBuffer buffer = ToByteBuffer(std::move(payload));
    outgoing_.Swap(&buffer);
    StartWrite(&outgoing_);
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

  void OnReadDone(bool ok) override {
    boost::asio::post(worker_, [this, ok] {
      if (!ok) return Release();
      if (observer_ == nullptr) return;
      std::string payload = ToString(incoming_);
      incoming_.Clear();
      observer_->OnMessage(std::move(payload));
    });
  }
  // A failed write does not end the call: the messages and the status that
  // explain it are still to be read. Only a failed read ends it.
  void OnWriteDone(bool ok) override {
    boost::asio::post(worker_, [this, ok] {
      if (!ok) deaf_ = true;
      if (observer_ != nullptr) observer_->OnWritten();
    });
  }
  void OnDone(const grpc::Status& status) override {
    boost::asio::post(worker_, [this, end = ToCallEnd(status)]() mutable {
      if (observer_ != nullptr) observer_->OnDone(std::move(end));
      delete this;
    });
  }

 private:
  ~Reactor() override = default;

  void Release() {
    if (!held_) return;
    held_ = false;
    RemoveHold();
  }

  const TrackedExecutor worker_;
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  // What follows is the worker's alone.
  UpstreamCallObserver* observer_;  // Null once detached.
  bool held_ = true;
  bool deaf_ = false;  // The upstream takes no more messages.
};

// The worker's handle on a Reactor. A reactor ends by itself and a handle when
// its owner says so, in either order, so each can tell the other.
class GrpcCall final : public UpstreamCall, private UpstreamCallObserver {
 public:
  GrpcCall(grpc::GenericStub& stub, CallRequest request,
           boost::asio::io_context& worker, UpstreamCallObserver& observer)
      : observer_(observer), reactor_(new Reactor(worker, *this)) {
    reactor_->Start(stub, std::move(request));
  }
  ~GrpcCall() override {
    if (reactor_ != nullptr) reactor_->Detach();
  }

  void Read() override {
    if (reactor_ != nullptr) reactor_->Read();
  }
  void Write(std::string payload) override {
    if (reactor_ != nullptr) reactor_->Write(std::move(payload));
  }
  void WritesDone() override {
    if (reactor_ != nullptr) reactor_->WritesDone();
  }

 private:
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

}  // namespace

std::shared_ptr<grpc::Channel> MakeGrpcChannel(
    const GrpcChannelOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(
      static_cast<int>(options.max_answer_bytes));
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A call belongs to a session; what could be retried is for its client to
  // know.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  // A status and its details come as metadata; gRPC's own limit, 8 KiB, would
  // turn a long one into RESOURCE_EXHAUSTED.
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  // Left to itself gRPC lets the window grow with the bandwidth, to megabytes
  // for each client that stops reading.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES,
                   static_cast<int>(std::max<std::size_t>(
                       options.read_ahead_bytes, 64 * 1024)));
  // An upstream is near: http_proxy in the environment is not meant for it.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 250);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  return grpc::CreateCustomChannel(
      options.target, grpc::InsecureChannelCredentials(), arguments);
}

GrpcUpstream::GrpcUpstream(std::shared_ptr<grpc::Channel> channel,
                           boost::asio::io_context& worker)
    : stub_(std::move(channel)), worker_(worker) {}

std::unique_ptr<UpstreamCall> GrpcUpstream::StartCall(
    CallRequest request, UpstreamCallObserver& observer) {
  return std::make_unique<GrpcCall>(stub_, std::move(request), worker_,
                                    observer);
}

}  // namespace headgate
