#ifndef GATEWAY_SESSION_SESSION_GUARD_H_
#define GATEWAY_SESSION_SESSION_GUARD_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/status.h"
#include "gateway/base/token_bucket.h"
#include "gateway/route/route.h"

namespace headgate {

// A limit that has ended a session, for the metrics.
enum class Limit {
  kMessageBytes,
  kMessageRate,
  kByteRate,
  kIdle,
  kMaxAge,
  kSendTimeout,
  kStall,
  kKeepalive,
  kMessageTime,
  kMemory,
  kTokenExpiry,
};
// "max_message_bytes", "messages_per_second", ...
absl::string_view LimitName(Limit limit);

// What a route allows one session: how much its client may send, how long it
// may be silent, how long it may last. A state machine whose clock is what it
// is told.
class SessionGuard {
 public:
  struct Violation {
    Limit limit;
    Ending ending;
  };

  // `route` must outlive it.
  // `id`: the session's; it decides by how much less than max_age it lasts, so
  // that sessions that began together do not all end together; the same after
  // `token_expiry`.
  SessionGuard(const Route& route, absl::string_view id,
               absl::Time token_expiry);

  // The credentials have come in-band.
  void SetTokenExpiry(absl::string_view id, absl::Time token_expiry);

  // The credentials are valid until then, whatever the route says.
  void ExpireAt(absl::Time at) { token_end_ = at; }

  void Start(absl::Time now);

  // The client has sent so many messages, pings among them, and bytes. Bytes
  // are those of the wire, with what frames them; kFramingBytes may come at
  // once besides the burst, so that a burst of a message's length lets that
  // message through.
  std::optional<Violation> OnReceived(std::size_t messages, std::size_t bytes);

  // `activity` changes with each message, whichever way. To be called at least
  // a few times in a second, or Refill before OnReceived: rates are as fine as
  // that.
  std::optional<Violation> OnTick(absl::Time now, std::uint64_t activity);
  // Counts the time that has passed for the rates.
  void Refill(absl::Time now);

  static constexpr std::size_t kFramingBytes = 4096;

 private:
  const Route& route_;
  TokenBucket messages_;
  TokenBucket bytes_;
  const absl::Duration max_age_;  // This session's part of the route's.
  absl::Time token_end_;
  absl::Time started_at_;
  absl::Time active_at_;
  std::uint64_t activity_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_SESSION_GUARD_H_
