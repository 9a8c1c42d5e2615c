#ifndef CMD_HEADGATE_BENCH_WS_LOAD_H_
#define CMD_HEADGATE_BENCH_WS_LOAD_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/upgrade.h"
#include "cmd/headgate/bench/dialect.h"
#include "cmd/headgate/bench/endpoints.h"
#include "cmd/headgate/bench/load.h"
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
  const BenchDialect* dialect = &kBenchProtobuf;
  WireMessage message;
  // What a WebSocket sends before its messages.
  std::optional<WireMessage> head = std::nullopt;
  // A message is this request of HTTP/1.1; empty: one of a WebSocket.
  std::string http_request = {};
};

// WebSockets, or connections of HTTP/1.1, each over a socket of its own
// (SocketLoad). All that is due on a connection is one write, all that has
// arrived one read, into a buffer that the thread's connections share. All
// messages are the same, so their frames are made once.
//
// Both arguments must outlive the load. INTERNAL when the system has no
// descriptors.
absl::StatusOr<std::unique_ptr<Load>> MakeWsLoad(const WsLoadOptions& options,
                                                 Share share,
                                                 const StopFlag& stop);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_WS_LOAD_H_
