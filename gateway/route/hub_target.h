#ifndef GATEWAY_ROUTE_HUB_TARGET_H_
#define GATEWAY_ROUTE_HUB_TARGET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace headgate {

// What happens to a client for which more waits than it takes.
struct SlowClientSettings {
  enum class Policy {
    kDisconnect,
    kDropOldest,  // Whole messages that have not begun to leave.
    kKeepLatest,  // As kDropOldest; and of one key only the newest waits.
    kBlock,       // The stream waits; not for messages of groups.
  };
  Policy policy = Policy::kDisconnect;
  std::size_t max_bytes = 256 * 1024;
  int max_messages = 1024;
  // The backend hears of a client for which more than this waits; 0: never.
  std::size_t warn_bytes = 64 * 1024;

  bool operator==(const SlowClientSettings&) const = default;
};

// The sessions of the route share streams to the backend. Plain data; sizes in
// bytes.
struct HubTarget {
  enum class Admission {
    kAsk,   // The handshake is answered after the backend's Accept.
    kOpen,  // At once.
  };
  enum class Streams {
    kOne,        // For all sessions of the gateway.
    kPerWorker,  // One for those of each worker.
  };
  enum class OnBackendLoss { kHold, kClose };
  // Of events to the backend, across streams.
  enum class Delivery {
    kAtMostOnce,
    kAtLeastOnce,  // They are kept until the backend acknowledges them.
  };

  std::string method = "/headgate.v1.HubBackend/Attach";
  Streams streams = Streams::kOne;
  Admission admission = Admission::kAsk;
  absl::Duration admission_timeout = absl::Seconds(5);
  // The full name of the type of Payload.message; empty: none.
  std::string message;
  // Of packets that carry text, bytes or a message to packet clients.
  std::uint32_t packet_type = 0;
  // Joined by every session; "{name}" is a variable of the route's template.
  std::vector<std::string> groups;
  int max_groups = 128;  // Of one session.
  // Of groups that clients may join and leave, and publish to; names, or
  // prefixes with "*" behind them.
  std::vector<std::string> client_join;
  std::vector<std::string> client_join_ask;  // Where the backend decides.
  std::vector<std::string> client_publish;

  OnBackendLoss on_backend_loss = OnBackendLoss::kHold;
  absl::Duration hold = absl::Seconds(15);
  Delivery delivery = Delivery::kAtMostOnce;
  // Of clients' messages that the stream has not taken: in all, and of one
  // session.
  std::size_t events_bytes = 1024 * 1024;
  std::size_t session_events_bytes = 64 * 1024;
  SlowClientSettings slow;
  bool reports_pongs = false;

  bool operator==(const HubTarget&) const = default;
};

}  // namespace headgate

#endif  // GATEWAY_ROUTE_HUB_TARGET_H_
