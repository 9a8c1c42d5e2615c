#ifndef CMD_HEADGATE_BENCH_RUN_H_
#define CMD_HEADGATE_BENCH_RUN_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cmd/headgate/bench/dialect.h"
#include "cmd/headgate/bench/load.h"
#include "cmd/headgate/bench/report.h"
#include "cmd/headgate/bench/target.h"
#include "cmd/headgate/dial/handshake.h"
#include "gateway/tls/context.h"

namespace headgate {

struct BenchOptions {
  std::string url;  // As it was given, for the report.
  BenchTarget target;
  const BenchDialect* dialect = &kBenchProtobuf;
  UpgradeHeaders handshake;
  std::shared_ptr<const TlsContext> tls;  // Null without wss:// or https://.
  // Over HTTP/2, so many connections of the load on each socket; else null.
  std::optional<std::size_t> http2_streams;
  WireMessage message;
  std::size_t size = 0;  // Of the message's content, for the report.
  LoadOptions load;
  std::size_t threads = 1;
  absl::Duration duration = absl::Seconds(10);
  // Before what is counted: a time, or with `messages` a number of them.
  absl::Duration warm_up = absl::Seconds(2);
  std::uint64_t warm_up_messages = 0;
  // Counts so many messages, instead of a duration.
  std::optional<std::uint64_t> messages;
  std::optional<pid_t> pid;  // The process to measure.
};

// Puts the load on the target and reports what was measured; progress goes to
// standard error when that is a terminal. FAILED_PRECONDITION or UNAVAILABLE
// when it cannot begin. Takes SIGINT and SIGTERM for itself meanwhile: the
// first one ends the load and leaves what was measured so far, a second one
// kills.
absl::StatusOr<BenchResult> RunBench(const BenchOptions& options);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_RUN_H_
