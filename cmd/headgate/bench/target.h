#ifndef CMD_HEADGATE_BENCH_TARGET_H_
#define CMD_HEADGATE_BENCH_TARGET_H_

#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/url.h"

namespace headgate {

// A method of a gRPC server: of the backend, or of a gateway's HTTP/2 listener.
struct GrpcTarget {
  std::string address;  // HOST:PORT, as gRPC takes it.
  std::string method;   // "/package.Service/Method"
};

// A method that is called over HTTP; the URL's security is kTls for https://.
struct HttpMethodTarget {
  WsUrl url;
};

using BenchTarget = std::variant<WsUrl, GrpcTarget, HttpMethodTarget>;

// The target of a WebSocket's URL, as dial takes them, of
// http://HOST[:PORT]/PATH, https:// the same with TLS, or of
// grpc://HOST:PORT/package.Service/Method. INVALID_ARGUMENT for anything else.
absl::StatusOr<BenchTarget> ParseBenchTarget(absl::string_view url);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_TARGET_H_
