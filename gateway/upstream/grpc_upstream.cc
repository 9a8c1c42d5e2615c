#include "gateway/upstream/grpc_upstream.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/base/file_stamp.h"
#include "gateway/tls/files.h"
#include "gateway/upstream/grpc_call.h"
#include "gateway/upstream/grpc_channel.h"

namespace headgate {
namespace {

// How long a channel that is no longer needed is kept for the next rush.
constexpr absl::Duration kIdleChannelTime = absl::Seconds(30);

// The health check of a connection is a stream of its own, for which the server
// counts one call less.
int CallsPerChannel(const UpstreamSettings& settings) {
  return std::max(
      1, settings.max_streams_per_channel - (settings.health_check ? 1 : 0));
}

}  // namespace

class GrpcUpstream::Pool {
 public:
  Pool(UpstreamOptions options, boost::asio::io_context& worker, Turn& turn)
      : options_(std::move(options)),
        calls_per_channel_(CallsPerChannel(options_.settings)),
        hand_off_(std::make_shared<HandOff>(worker, turn)) {
    if (options_.settings.tls) {
      const UpstreamTlsSettings& tls = *options_.settings.tls;
      files_ = std::make_unique<TlsFiles>(
          TlsFileNames{tls.ca, tls.certificate, tls.key});
      UseFiles();
    } else {
      credentials_ = grpc::InsecureChannelCredentials();
    }
  }

  std::unique_ptr<UpstreamCall> StartCall(CallRequest request,
                                          UpstreamCallObserver& observer) {
    if (credentials_ == nullptr) {
      return MakeFailedCall(absl::UnavailableError(absl::StrCat(
                                "TLS towards the upstream is not set up: ",
                                files_->status().message())),
                            hand_off_->turn(), observer);
    }
    return StartGrpcCall(ChannelWithRoom(), std::move(request), hand_off_,
                         observer);
  }

  void OnTick(absl::Time now) {
    if (files_ != nullptr && now - files_checked_ >= kFileCheckInterval) {
      files_checked_ = now;
      if (files_->Refresh()) UseFiles();
    }
    std::erase_if(retired_, [](const auto& one) { return one->calls == 0; });
    // The first one stays, so that the next call need not wait for a
    // connection.
    for (std::size_t i = channels_.size(); i-- > 0;) {
      PooledChannel& channel = *channels_[i];
      if (channel.calls > 0) {
        channel.idle_since = absl::InfiniteFuture();
      } else if (channel.idle_since == absl::InfiniteFuture()) {
        channel.idle_since = now;
      } else if (now - channel.idle_since >= kIdleChannelTime && i > 0) {
        channels_.erase(channels_.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }

  std::size_t channel_count() const {
    return channels_.size() + retired_.size();
  }

  // A channel that has lost its connection is idle until it is asked to
  // connect, and then tries again by itself.
  void KeepConnected() {
    if (channels_.empty()) {
      if (credentials_ == nullptr) return;
      AddChannel();
      // Sockets of a channel that has never had a call are polled every 5 s
      // only. This one is cancelled before it is sent.
      StartGrpcCall(channels_.front(), {"/grpc.health.v1.Health/Check", {}},
                    hand_off_, nobody_);
    }
    channels_.front()->channel->GetState(/*try_to_connect=*/true);
  }

  bool is_up() const { return AnyIs(GRPC_CHANNEL_READY); }

  // Of several channels one that still works is enough.
  bool is_failing() const {
    return AnyIs(GRPC_CHANNEL_TRANSIENT_FAILURE) && !is_up();
  }

  absl::Status tls_status() const {
    return files_ != nullptr ? files_->status() : absl::OkStatus();
  }

 private:
  // The oldest with room: so the newer ones run empty, and go.
  std::shared_ptr<PooledChannel> ChannelWithRoom() {
    for (const auto& channel : channels_) {
      if (channel->calls >= calls_per_channel_) continue;
      channel->idle_since = absl::InfiniteFuture();
      return channel;
    }
    AddChannel();
    return channels_.back();
  }

  void AddChannel() {
    channels_.push_back(std::make_shared<PooledChannel>(
        MakeGrpcChannel(options_, credentials_), options_.settings.authority));
  }

  bool AnyIs(grpc_connectivity_state state) const {
    return std::any_of(channels_.begin(), channels_.end(),
                       [state](const auto& channel) {
                         return channel->channel->GetState(
                                    /*try_to_connect=*/false) == state;
                       });
  }

  // Running calls keep the connections that they have; what begins now gets new
  // ones.
  void UseFiles() {
    if (!files_->material()) return;
    credentials_ = MakeTlsCredentials(*files_->material());
    retired_.insert(retired_.end(), channels_.begin(), channels_.end());
    channels_.clear();
  }

  struct Nobody final : UpstreamCallObserver {
    void OnMessage(std::string /*payload*/) override {}
    void OnWritten() override {}
    void OnDone(CallEnd /*end*/) override {}
  };

  const UpstreamOptions options_;
  const int calls_per_channel_;
  Nobody nobody_;
  const std::shared_ptr<HandOff> hand_off_;
  std::unique_ptr<TlsFiles> files_;  // Null without TLS.
  absl::Time files_checked_ = absl::InfinitePast();
  // Null while the files have never been usable.
  std::shared_ptr<grpc::ChannelCredentials> credentials_;
  std::vector<std::shared_ptr<PooledChannel>> channels_;  // Oldest first.
  // Those with earlier credentials, until their last call ends.
  std::vector<std::shared_ptr<PooledChannel>> retired_;
};

GrpcUpstream::GrpcUpstream(UpstreamOptions options,
                           boost::asio::io_context& worker, Turn& turn)
    : pool_(std::make_unique<Pool>(std::move(options), worker, turn)) {}
GrpcUpstream::~GrpcUpstream() = default;

std::unique_ptr<UpstreamCall> GrpcUpstream::StartCall(
    CallRequest request, UpstreamCallObserver& observer) {
  return pool_->StartCall(std::move(request), observer);
}

void GrpcUpstream::OnTick(absl::Time now) { pool_->OnTick(now); }

std::size_t GrpcUpstream::channel_count() const {
  return pool_->channel_count();
}

void GrpcUpstream::KeepConnected() { pool_->KeepConnected(); }

bool GrpcUpstream::is_up() const { return pool_->is_up(); }

bool GrpcUpstream::is_failing() const { return pool_->is_failing(); }

absl::Status GrpcUpstream::tls_status() const { return pool_->tls_status(); }

}  // namespace headgate
