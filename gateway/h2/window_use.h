#ifndef GATEWAY_H2_WINDOW_USE_H_
#define GATEWAY_H2_WINDOW_USE_H_

#include <cstddef>
#include <optional>

#include "gateway/h2/time.h"

namespace headgate::h2 {

// Whether the window of a stream holds its backend up: it lets no more through
// than its size in each round trip (RFC 9113 section 5.2), which is 1.3 MB/s
// for 64 KiB over 50 ms.
//
// Where half of it is taken within two round trips, again and again, more might
// come if there was room. A backend that has no more to send, or a client that
// takes no more, is slower.
//
// Not thread-safe.
class WindowUse {
 public:
  // So many bytes were taken. True where that makes half of `window`: then
  // IsHeldUp is to be asked, once.
  bool Take(std::size_t bytes, std::size_t window) {
    taken_ += bytes;
    if (taken_ < window / 2) return false;
    taken_ = 0;
    return true;
  }

  bool IsHeldUp(Time now, Duration round_trip) {
    const bool quick = since_ && now - *since_ <= 2 * round_trip;
    since_ = now;
    return quick;
  }

 private:
  std::size_t taken_ = 0;  // Since the last half.
  std::optional<Time> since_;
};

}  // namespace headgate::h2

#endif  // GATEWAY_H2_WINDOW_USE_H_
