#ifndef GATEWAY_H2_WINDOWS_H_
#define GATEWAY_H2_WINDOWS_H_

#include <cstddef>

#include "gateway/h2/round_trip.h"
#include "gateway/h2/time.h"
#include "gateway/h2/window_use.h"

namespace headgate::h2 {

// What one stream has of ReceiveWindows.
struct StreamWindow {
  WindowUse use;
  std::size_t growth_bytes = 0;
  std::size_t to_give_back = 0;  // Bytes that were taken.
};

// How much of each stream the peer may send ahead, and when it is given its
// window back: by halves, or, where the peer is far away, by eighths, as what
// waits to be given back is missing from the path. The window of a stream to a
// distant peer grows where it holds the stream up: to 1 MiB, and all of a
// connection by 4 MiB together (docs/design/flow-control.md).
//
// Not thread-safe.
class ReceiveWindows {
 public:
  // `initial_bytes`: of each stream, at least the 64 KiB of RFC 9113 section
  // 6.9.2.
  explicit ReceiveWindows(std::size_t initial_bytes);

  std::size_t initial_bytes() const { return initial_bytes_; }
  std::size_t size_of(const StreamWindow& stream) const {
    return initial_bytes_ + stream.growth_bytes;
  }
  RoundTrip& round_trip() { return round_trip_; }

  // So many bytes of the stream were taken. Returns how many to give back now;
  // `*may_grow`: Grow is to be called.
  std::size_t Take(StreamWindow& stream, std::size_t bytes, bool* may_grow);

  struct Growth {
    bool measure =
        false;  // A round trip is to be measured, if a PING may be sent.
    std::size_t bytes = 0;  // By which the window grows.
  };
  Growth Grow(StreamWindow& stream, Time now);
  // The stream is gone; others may have what it had.
  void Release(StreamWindow& stream);

 private:
  const std::size_t initial_bytes_;
  RoundTrip round_trip_;
  std::size_t growth_bytes_ = 0;  // Of all streams.
};

}  // namespace headgate::h2

#endif  // GATEWAY_H2_WINDOWS_H_
