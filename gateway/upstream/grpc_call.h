#ifndef GATEWAY_UPSTREAM_GRPC_CALL_H_
#define GATEWAY_UPSTREAM_GRPC_CALL_H_

#include <memory>
#include <string>
#include <utility>

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <boost/asio/io_context.hpp>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/upstream/hand_off.h"
#include "gateway/upstream/upstream.h"

namespace headgate {

// One channel and how many calls it carries.
//
// Thread:   the worker's.
// Lifetime: shared by the pool and the calls. A call counts until gRPC is done
//           with it, which may be long after its owner and the pool are gone.
struct PooledChannel {
  PooledChannel(std::shared_ptr<grpc::Channel> made, std::string call_authority)
      : channel(std::move(made)),
        stub(channel),
        authority(std::move(call_authority)) {}

  const std::shared_ptr<grpc::Channel> channel;
  grpc::GenericStub stub;
  const std::string authority;  // Of each call; empty: the channel's.
  int calls = 0;
  // Since when it has been seen without calls.
  absl::Time idle_since = absl::InfiniteFuture();
};

// Starts a call on `channel`. The worker of `hand_off` is the thread of the
// call, its observer and the channel, and must outlive all three.
std::unique_ptr<UpstreamCall> StartGrpcCall(
    std::shared_ptr<PooledChannel> channel, CallRequest request,
    std::shared_ptr<HandOff> hand_off, UpstreamCallObserver& observer);

// A call that cannot be started; its first Read reports `status`.
std::unique_ptr<UpstreamCall> MakeFailedCall(absl::Status status, Turn& turn,
                                             UpstreamCallObserver& observer);

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_GRPC_CALL_H_
