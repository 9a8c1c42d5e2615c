#ifndef GATEWAY_WS_MESSAGE_WATCH_H_
#define GATEWAY_WS_MESSAGE_WATCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace headgate::ws {

// Detects a message whose rest does not arrive: in each `patience` kLeastBytes
// of it must arrive, or its end. With 30 s that is 137 bytes a second: the
// slowest mobile and satellite links manage that, and a client that only wants
// the gateway to hold the message must send as much.
//
// Thread: not thread-safe. No I/O.
class MessageWatch {
 public:
  static constexpr std::size_t kLeastBytes = 4096;

  // To be called with each tick. `message`: a number that identifies the
  // message whose rest is awaited from the client; absent: there is none.
  // `bytes`: of all messages so far. Returns true if the rest has not arrived
  // in time.
  bool IsStuck(absl::Time now, absl::Duration patience,
               std::optional<std::uint64_t> message, std::uint64_t bytes) {
    if (message != message_ || bytes - bytes_ >= kLeastBytes) {
      message_ = message;
      bytes_ = bytes;
      since_ = now;
    }
    return message_.has_value() && now - since_ >= patience;
  }

 private:
  std::optional<std::uint64_t> message_;
  std::uint64_t bytes_ = 0;  // At since_.
  absl::Time since_;
};

}  // namespace headgate::ws

#endif  // GATEWAY_WS_MESSAGE_WATCH_H_
