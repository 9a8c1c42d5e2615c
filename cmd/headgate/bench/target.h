#ifndef CMD_HEADGATE_BENCH_TARGET_H_
#define CMD_HEADGATE_BENCH_TARGET_H_

#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/url.h"

namespace headgate {

// A method of a gRPC server that is called without a gateway.
struct GrpcTarget {
  std::string address;  // HOST:PORT, as gRPC takes it.
  std::string method;   // "/package.Service/Method"
};

using BenchTarget = std::variant<WsUrl, GrpcTarget>;

// Where ws://... or grpc://HOST:PORT/package.Service/Method leads to.
// INVALID_ARGUMENT for what is neither, UNIMPLEMENTED for wss://.
absl::StatusOr<BenchTarget> ParseBenchTarget(absl::string_view url);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_TARGET_H_
