#ifndef CMD_HEADGATE_DIAL_CLIENT_H_
#define CMD_HEADGATE_DIAL_CLIENT_H_

#include "absl/time/time.h"
#include "cmd/headgate/dial/ending.h"
#include "cmd/headgate/dial/handshake.h"
#include "cmd/headgate/dial/lines.h"
#include "cmd/headgate/dial/url.h"

namespace headgate {

// What to do when the input has ended.
enum class AtEnd {
  kLinger,     // Close once no answer has come for a while.
  kHalfClose,  // End our side, and wait for the other one to close.
  kStay,       // Listen until the other side closes.
};

enum class OnLoss { kEnd, kReconnect };

struct DialOptions {
  DialUrl url;
  DialHandshake handshake;
  LineOptions lines;
  AtEnd at_end = AtEnd::kLinger;
  OnLoss on_loss = OnLoss::kEnd;
  absl::Duration linger = absl::Seconds(1);
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
