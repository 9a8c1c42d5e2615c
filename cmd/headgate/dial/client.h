#ifndef CMD_HEADGATE_DIAL_CLIENT_H_
#define CMD_HEADGATE_DIAL_CLIENT_H_

#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "client/url.h"
#include "cmd/headgate/dial/ending.h"
#include "cmd/headgate/dial/handshake.h"
#include "cmd/headgate/dial/lines.h"
#include "gateway/tls/context.h"

namespace headgate {

// What to do when the input has ended.
enum class AtEnd {
  kHalfClose,  // End our side, where the codec can.
  kStay,       // Nothing.
};

enum class OnLoss { kEnd, kReconnect };

// What goes to standard error.
enum class Verbosity {
  kEvents,
  kMetadata,  // And what both sides say of the call besides messages.
};

struct DialOptions {
  WsUrl url;
  // Null without TLS.
  std::shared_ptr<const TlsContext> tls;
  UpgradeHeaders handshake;
  LineOptions lines;
  // The message before all others; empty: the codec has none.
  std::string head = {};
  Verbosity verbosity = Verbosity::kEvents;
  AtEnd at_end = AtEnd::kHalfClose;
  OnLoss on_loss = OnLoss::kEnd;
  // Close when the input has ended and nothing has come for so long; none: wait
  // until the other side closes.
  std::optional<absl::Duration> linger;
  // For all of it, from the first attempt to connect to the end.
  absl::Duration timeout = absl::InfiniteDuration();
  // For connecting, and then again for the handshake. Looking the name up has
  // the system's own.
  absl::Duration connect_timeout = absl::Seconds(10);
};

// A WebSocket session between the process's standard input and output: lines
// in, messages out; what happens to it goes to standard error. Returns when it
// is over. Takes SIGINT and SIGTERM for itself meanwhile: the first one closes
// the session, a second one kills.
DialEnding RunDial(const DialOptions& options);

}  // namespace headgate

#endif  // CMD_HEADGATE_DIAL_CLIENT_H_
