#include "gateway/upstream/pooled_upstream.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "gateway/base/metadata.h"
#include "gateway/upstream/grpc_upstream.h"
#include "gateway/upstream/h2_upstream.h"

namespace headgate {

std::size_t OwnHeaderListBytes(const UpstreamSettings& settings) {
  // The longest values that gRPC C++ or transport h2 sends (grpc/grpc
  // doc/PROTOCOL-HTTP2.md, "Requests"), but for the authority.
  static const Metadata& fields = *new Metadata{
      {":method", "POST"},
      {":scheme", "https"},
      {":path", ""},
      {":authority", ""},
      {"te", "trailers"},
      {"content-type", "application/grpc"},
      {"user-agent", std::string(96, 'x')},
      {"grpc-timeout", "99999999S"},
      {"grpc-encoding", "identity"},
      {"grpc-accept-encoding", "identity, deflate, gzip"},
  };
  // gRPC makes the authority of the target: at most all of it.
  std::size_t authority =
      std::max({settings.authority.size(), settings.target.size(),
                absl::string_view("localhost").size()});
  if (settings.tls) {
    authority = std::max(authority, settings.tls->authority.size());
  }
  return HeaderListBytes(fields) + authority;
}

std::unique_ptr<PooledUpstream> MakePooledUpstream(
    UpstreamOptions options, boost::asio::io_context& worker, Turn& turn) {
  if (options.settings.ChosenTransport() == UpstreamSettings::Transport::kH2) {
    return std::make_unique<H2Upstream>(std::move(options), worker, turn);
  }
  return std::make_unique<GrpcUpstream>(std::move(options), worker, turn);
}

}  // namespace headgate
