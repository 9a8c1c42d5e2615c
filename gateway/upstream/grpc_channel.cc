#include "gateway/upstream/grpc_channel.h"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <string>

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/upstream/reflection.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/wrappers.pb.h"

namespace headgate {
namespace {

// What a backend's metadata may hold on its way, bytes as HTTP/2 counts them.
// gRPC ends the connection over more. What a call may have is
// kMaxHeaderListBytes (grpc_call.cc); so a backend may quote a long message and
// end one call only.
constexpr int kMaxMetadataBytes = 16 * 1024 * 1024;

// Servers allow a ping every 5 min by default.
constexpr absl::Duration kSafePingInterval = absl::Seconds(330);

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(std::clamp<std::int64_t>(
      absl::ToInt64Milliseconds(duration), 1, INT_MAX));
}

std::string JsonString(const std::string& text) {
  google::protobuf::StringValue value;
  value.set_value(text);
  std::string json;
  // Text that is not UTF-8 gives "" at worst: no such service.
  (void)google::protobuf::util::MessageToJsonString(value, &json);
  return json.empty() ? "\"\"" : json;
}

// Health checks are asked for by a service config (gRFC A17), and only
// round_robin makes them. So is the limit of responses that is not reflection's
// (grpc/grpc-proto grpc/service_config/service_config.proto): descriptors are
// longer than other responses, and of this limit and the channel's the smaller
// one counts.
void SetServiceConfig(const UpstreamOptions& options,
                      grpc::ChannelArguments& arguments) {
  const UpstreamSettings& settings = options.settings;
  const auto max_bytes = [](std::size_t bytes) {
    return static_cast<int>(std::min<std::size_t>(bytes, INT_MAX));
  };
  std::string config = absl::StrCat(
      R"({"methodConfig":[{"name":[{}],"maxResponseMessageBytes":)",
      max_bytes(options.max_answer_bytes),
      R"(},{"name":[{"service":"grpc.reflection.v1.ServerReflection"},)",
      R"({"service":"grpc.reflection.v1alpha.ServerReflection"}]}])");
  if (settings.health_check) {
    absl::StrAppend(&config, R"(,"loadBalancingConfig":[{"round_robin":{}}],)",
                    R"("healthCheckConfig":{"serviceName":)",
                    JsonString(*settings.health_check), "}");
  } else {
    const bool round_robin =
        settings.load_balancing == UpstreamSettings::LoadBalancing::kRoundRobin;
    arguments.SetLoadBalancingPolicyName(round_robin ? "round_robin"
                                                     : "pick_first");
  }
  config += "}";
  arguments.SetServiceConfigJSON(config);
  // An xDS server has its own config, in the place of this one.
  const bool is_xds = absl::StartsWith(settings.target, "xds:");
  arguments.SetMaxReceiveMessageSize(max_bytes(
      is_xds ? options.max_answer_bytes
             : std::max(options.max_answer_bytes, kMaxDescriptorBytes)));
}

// grpc/grpc doc/keepalive.md. Pings go out for as long as there are calls,
// however silent: sessions may be.
void SetKeepalive(const UpstreamSettings& settings,
                  grpc::ChannelArguments& arguments) {
  const absl::Duration interval =
      settings.keepalive_interval.value_or(kSafePingInterval);
  if (interval == absl::InfiniteDuration()) return;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(interval));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   Milliseconds(settings.keepalive_timeout));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
}

// Without a name of its own for TLS gRPC checks the certificate against the
// authority. With one, that becomes the authority of calls that do not set
// theirs.
void SetNames(const UpstreamSettings& settings,
              grpc::ChannelArguments& arguments) {
  if (!settings.authority.empty()) {
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, settings.authority);
  }
  if (settings.tls && !settings.tls->authority.empty()) {
    arguments.SetSslTargetNameOverride(settings.tls->authority);
  }
}

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> MakeTlsCredentials(
    const TlsMaterial& material) {
  return grpc::SslCredentials(grpc::SslCredentialsOptions{
      material.ca, material.key, material.certificate});
}

std::shared_ptr<grpc::Channel> MakeGrpcChannel(
    const UpstreamOptions& options,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  const UpstreamSettings& settings = options.settings;
  grpc::ChannelArguments arguments;
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A call belongs to a session; what could be retried is for its client to
  // know.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  // gRPC 1.51 gives a connection up over the second frame of a header block
  // whose call has been cancelled. Servers on its core then send such a block
  // in one frame; DATA frames are limited by the windows as well.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kMaxMetadataBytes - 1);
  // Left to itself gRPC lets the window grow with the bandwidth, to megabytes
  // for each client that stops reading.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES,
                   static_cast<int>(std::clamp<std::size_t>(
                       options.read_ahead_bytes, 64 * 1024, INT_MAX)));
  // An upstream is near: http_proxy in the environment is not meant for it.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 250);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // A name is looked up again when a connection was lost. gRPC's own pause, 30
  // s, is long for backends that come back with another address.
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
  if (settings.compression == UpstreamSettings::Compression::kGzip) {
    arguments.SetCompressionAlgorithm(GRPC_COMPRESS_GZIP);
  }
  SetServiceConfig(options, arguments);
  SetKeepalive(settings, arguments);
  SetNames(settings, arguments);
  return grpc::CreateCustomChannel(settings.target, credentials, arguments);
}

}  // namespace headgate
