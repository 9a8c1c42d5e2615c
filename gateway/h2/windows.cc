#include "gateway/h2/windows.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace headgate::h2 {
namespace {

// What the window of a stream may grow to: 20 MB/s over 50 ms. And by how much
// all of a connection may grow together.
constexpr std::size_t kMaxStreamWindowBytes = 1024 * 1024;
constexpr std::size_t kMaxGrowthBytes = 4 * 1024 * 1024;

}  // namespace

ReceiveWindows::ReceiveWindows(std::size_t initial_bytes)
    : initial_bytes_(
          std::clamp<std::size_t>(initial_bytes, 64 * 1024, INT32_MAX)) {}

std::size_t ReceiveWindows::Take(StreamWindow& stream, std::size_t bytes,
                                 bool* may_grow) {
  const std::size_t window = size_of(stream);
  const bool is_far = round_trip_.IsFar();
  *may_grow = is_far && stream.use.Take(bytes, window);
  stream.to_give_back += bytes;
  if (stream.to_give_back < window / (is_far ? 8 : 2)) return 0;
  return std::exchange(stream.to_give_back, 0);
}

ReceiveWindows::Growth ReceiveWindows::Grow(StreamWindow& stream, Time now) {
  if (!stream.use.IsHeldUp(now, round_trip_.smallest())) return {};
  const std::size_t window = size_of(stream);
  const std::size_t wider =
      std::min({2 * window, std::max(window, kMaxStreamWindowBytes),
                window + kMaxGrowthBytes - growth_bytes_});
  if (wider == window) return {};
  // Each step needs a measurement of its own: the farther a window has grown,
  // the surer it is that the peer is far away.
  Growth growth;
  growth.bytes = round_trip_.TakeFresh() ? wider - window : 0;
  growth.measure = round_trip_.MayStart();
  stream.growth_bytes += growth.bytes;
  growth_bytes_ += growth.bytes;
  return growth;
}

void ReceiveWindows::Release(StreamWindow& stream) {
  growth_bytes_ -= stream.growth_bytes;
  stream = {};
}

}  // namespace headgate::h2
