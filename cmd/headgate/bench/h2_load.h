#ifndef CMD_HEADGATE_BENCH_H2_LOAD_H_
#define CMD_HEADGATE_BENCH_H2_LOAD_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/upgrade.h"
#include "client/url.h"
#include "cmd/headgate/bench/dialect.h"
#include "cmd/headgate/bench/endpoints.h"
#include "cmd/headgate/bench/load.h"
#include "gateway/tls/context.h"

namespace headgate {

struct H2LoadOptions {
  LoadOptions load;
  std::vector<Endpoint> endpoints;  // At least one.
  WsUrl url;
  UpgradeHeaders headers;
  std::shared_ptr<const TlsContext> tls;  // Null: plain, by prior knowledge.
  const BenchDialect* dialect = nullptr;
  WireMessage message;
  std::optional<WireMessage> head;  // Of a WebSocket, before its messages.
  std::size_t streams = 1;  // So many connections of the load share a socket.
};

// Streams of HTTP/2: WebSockets (RFC 8441), calls, or streams of messages
// (BenchDialect::Form). All that is due on a socket is one write (SocketLoad).
//
// Both arguments must outlive the load. INTERNAL when the system has no
// descriptors.
absl::StatusOr<std::unique_ptr<Load>> MakeH2Load(const H2LoadOptions& options,
                                                 Share share,
                                                 const StopFlag& stop);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_H2_LOAD_H_
