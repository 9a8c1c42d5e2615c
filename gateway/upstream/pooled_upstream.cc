#include "gateway/upstream/pooled_upstream.h"

#include <utility>

#include "gateway/upstream/grpc_upstream.h"
#include "gateway/upstream/h2_upstream.h"

namespace headgate {

std::unique_ptr<PooledUpstream> MakePooledUpstream(
    UpstreamOptions options, boost::asio::io_context& worker) {
  if (options.settings.ChosenTransport() == UpstreamSettings::Transport::kH2) {
    return std::make_unique<H2Upstream>(std::move(options), worker);
  }
  return std::make_unique<GrpcUpstream>(std::move(options), worker);
}

}  // namespace headgate
