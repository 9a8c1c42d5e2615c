#ifndef GATEWAY_WS_MESSAGE_WATCH_H_
#define GATEWAY_WS_MESSAGE_WATCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace headgate::ws {

// Whether the rest of a message that a client has begun comes: in each
// `patience` kLeastBytes of it, or its end. That is 137 bytes a second with 30
// s, which the slowest of mobile and satellite links manage, and which a client
// that only wants the gateway to hold the message has to send as well.
//
// Pure. Thread: not thread-safe.
class MessageWatch {
 public:
  static constexpr std::size_t kLeastBytes = 4096;

  // To be called now and then. `message`: a number for the message whose rest
  // the client is waited for, another one for each; absent: there is none, or
  // the client is not what is waited for. `bytes`: of messages, so far. True
  // when the rest has not come.
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
