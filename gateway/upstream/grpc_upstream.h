#ifndef GATEWAY_UPSTREAM_GRPC_UPSTREAM_H_
#define GATEWAY_UPSTREAM_GRPC_UPSTREAM_H_

#include <cstddef>
#include <memory>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <boost/asio/io_context.hpp>

#include "gateway/upstream/upstream.h"

namespace headgate {

struct GrpcChannelOptions {
  // A gRPC name (grpc/grpc doc/naming.md): "host:port", "dns:///host:port",
  // "unix:/path", ...
  std::string target;
  // A longer answer ends its call with RESOURCE_EXHAUSTED.
  std::size_t max_answer_bytes = 4 * 1024 * 1024;
  // What gRPC takes of a call's answers ahead of Read: the HTTP/2 window of a
  // stream, at least the 64 KiB of RFC 9113 section 6.9.2.
  std::size_t read_ahead_bytes = 64 * 1024;
};

// A channel with a connection of its own, shared with no other channel. It
// connects when the first call needs it, and again after a failure, with a
// backoff of at most 1 s: each worker has its own, and an upstream that is back
// should be back for all of them.
std::shared_ptr<grpc::Channel> MakeGrpcChannel(
    const GrpcChannelOptions& options);

// Upstream over one channel of gRPC C++, for the calls of one worker.
//
// Thread: the worker's, the one that runs `worker`. gRPC's own threads only
// post to it; a call counts as work there until gRPC is done with it, so that
// run() returns no sooner.
class GrpcUpstream final : public Upstream {
 public:
  // `worker` must outlive every call, and be run by one thread.
  GrpcUpstream(std::shared_ptr<grpc::Channel> channel,
               boost::asio::io_context& worker);

  std::unique_ptr<UpstreamCall> StartCall(
      CallRequest request, UpstreamCallObserver& observer) override;

 private:
  grpc::GenericStub stub_;
  boost::asio::io_context& worker_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_GRPC_UPSTREAM_H_
