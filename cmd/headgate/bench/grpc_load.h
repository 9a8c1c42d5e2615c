#ifndef CMD_HEADGATE_BENCH_GRPC_LOAD_H_
#define CMD_HEADGATE_BENCH_GRPC_LOAD_H_

#include <memory>
#include <string>

#include "cmd/headgate/bench/load.h"
#include "cmd/headgate/bench/target.h"
#include "cmd/headgate/dial/handshake.h"

namespace headgate {

struct GrpcLoadOptions {
  LoadOptions load;
  GrpcTarget target;
  UpgradeHeaders metadata;  // Its headers become metadata.
  std::string message;      // Serialized.
};

// Bidirectional calls of a gRPC server without any gateway: gRPC's own client
// as a program would use it, with its own threads. A channel is a connection
// and carries at most 100 calls, which is where many servers have their limit;
// calls beyond it would be queued without a word.
//
// Both arguments must outlive it.
std::unique_ptr<Load> MakeGrpcLoad(const GrpcLoadOptions& options, Share share,
                                   const StopFlag& stop);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_GRPC_LOAD_H_
