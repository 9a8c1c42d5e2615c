#ifndef GATEWAY_UPSTREAM_GRPC_CHANNEL_H_
#define GATEWAY_UPSTREAM_GRPC_CHANNEL_H_

#include <memory>

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include "gateway/tls/files.h"
#include "gateway/upstream/grpc_upstream.h"

namespace headgate {

// The credentials of channels with TLS by `material`.
//
// They are gRPC's plain SslCredentials, made anew when the files change, with
// channels made anew. Its watcher of files (experimental) would be a thread for
// each upstream of each worker, and takes the credentials away from all new
// connections while a file is half written.
std::shared_ptr<grpc::ChannelCredentials> MakeTlsCredentials(
    const TlsMaterial& material);

// A channel with connections of its own, shared with no other channel.
std::shared_ptr<grpc::Channel> MakeGrpcChannel(
    const UpstreamOptions& options,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials);

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_GRPC_CHANNEL_H_
