#ifndef CMD_HEADGATE_BENCH_WS_LOAD_H_
#define CMD_HEADGATE_BENCH_WS_LOAD_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/upgrade.h"
#include "cmd/headgate/bench/endpoints.h"
#include "cmd/headgate/bench/load.h"
#include "gateway/codec/dialect.h"
#include "gateway/tls/context.h"

namespace headgate {

// What all threads' WebSockets have in common.
struct WsLoadOptions {
  LoadOptions load;
  std::vector<Endpoint> endpoints;  // At least one.
  UpgradeRequest request;
  // Null: plain. Else certificates must be for `server`.
  std::shared_ptr<const TlsContext> tls;
  std::string server;
  const Dialect* codec = &kProtobufDialect;
  WireMessage message;
  // A message is this request of HTTP/1.1; empty: one of a WebSocket.
  std::string http_request = {};
};

// WebSockets, or connections of HTTP/1.1, over TCP or a Unix socket, on an
// epoll(7) of its own without a library in between, so that a message costs the
// load generator far less than the gateway. All that is due on a connection is
// one write, all that has arrived one read, into a buffer that the thread's
// connections share. All messages are the same, so their frames are made once.
//
// In a closed loop the latency of a message counts from just before the write
// of the message to just after the read of its response. In an open loop the
// thread sleeps until the next message is due, but at least 20 µs.
//
// Both arguments must outlive the load. INTERNAL when the system has no
// descriptors.
absl::StatusOr<std::unique_ptr<Load>> MakeWsLoad(const WsLoadOptions& options,
                                                 Share share,
                                                 const StopFlag& stop);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_WS_LOAD_H_
