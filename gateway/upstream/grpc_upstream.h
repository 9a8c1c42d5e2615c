#ifndef GATEWAY_UPSTREAM_GRPC_UPSTREAM_H_
#define GATEWAY_UPSTREAM_GRPC_UPSTREAM_H_

#include <cstddef>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/base/turn.h"
#include "gateway/upstream/pooled_upstream.h"

namespace headgate {

// Upstream over channels of gRPC C++, for the calls of one worker.
//
// Each channel has connections of its own, shared with no other channel, and
// at most max_streams_per_channel calls at a time; when all are full there is
// one more, and one that has had no call for half a minute goes again, but the
// last. With health checks it is one call less: they are a stream too.
// When the files of TLS change, new calls get new channels.
// A channel connects when its first call needs it, and again after a failure,
// with a backoff of at most 1 s: each worker has its own, and an upstream that
// is back should be back for all of them.
//
// Thread: the worker's, the one that runs `worker`. gRPC's own threads only
// post to it; a call counts as work there until gRPC is done with it, so that
// run() returns no sooner.
class GrpcUpstream final : public PooledUpstream {
 public:
  // `worker` and its `turn` must outlive every call, and be run by one thread.
  GrpcUpstream(UpstreamOptions options, boost::asio::io_context& worker,
               Turn& turn);
  ~GrpcUpstream() override;

  std::unique_ptr<UpstreamCall> StartCall(
      CallRequest request, UpstreamCallObserver& observer) override;

  std::size_t call_bytes() const override { return 11 * 1024; }

  void OnTick(absl::Time now) override;
  std::size_t channel_count() const override;
  void KeepConnected() override;
  bool is_up() const override;
  bool is_failing() const override;
  absl::Status tls_status() const override;

 private:
  class Pool;
  std::unique_ptr<Pool> pool_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_GRPC_UPSTREAM_H_
