#ifndef CMD_HEADGATE_BENCH_WS_LOAD_H_
#define CMD_HEADGATE_BENCH_WS_LOAD_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "cmd/headgate/bench/endpoints.h"
#include "cmd/headgate/bench/load.h"
#include "cmd/headgate/bench/ws_handshake.h"
#include "gateway/codec/codec.h"

namespace headgate {

// What all threads' WebSockets have in common.
struct WsLoadOptions {
  LoadOptions load;
  std::vector<Endpoint> endpoints;  // At least one.
  WsRequest request;
  CodecKind codec = CodecKind::kProtobuf;
  WireMessage message;
};

// WebSockets over TCP: an epoll(7) of its own, without a library in between,
// so that a message costs the load generator far less than the gateway. All
// that is due on a connection is one write, all that has come one read, into a
// buffer that the thread's connections share.
//
// In a closed loop the latency of a message counts from just before the write
// that has it to just after the read that has its answer. In an open loop the
// thread sleeps until the next message is due, but at least 20 µs.
//
// Both arguments must outlive it. INTERNAL when the system has no descriptors.
absl::StatusOr<std::unique_ptr<Load>> MakeWsLoad(const WsLoadOptions& options,
                                                 Share share,
                                                 const StopFlag& stop);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_WS_LOAD_H_
