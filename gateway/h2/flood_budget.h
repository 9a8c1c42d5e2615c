#ifndef GATEWAY_H2_FLOOD_BUDGET_H_
#define GATEWAY_H2_FLOOD_BUDGET_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "gateway/h2/time.h"

namespace headgate::h2 {

// What is legal, cheap to send, and of no use to any stream (RFC 9113 section
// 10.5).
enum class Nuisance {
  kReset,      // Streams that the peer has opened and that end early.
  kPing,       // Without ACK.
  kSettings,   // Without ACK.
  kEmptyData,  // DATA without bytes that does not end its stream.
};
inline constexpr std::size_t kNuisances = 4;

// What a peer has sent too much of: a Nuisance, or bytes that serve nothing.
enum class Flood { kNone, kResets, kPings, kSettings, kEmptyData, kBytes };
// For the log: "PING".
absl::string_view FloodName(Flood flood);

struct FloodLimits {
  static constexpr int kUnlimited = INT32_MAX;

  // Frames in FloodBudget::kPeriod.
  int resets = kUnlimited;
  int pings = kUnlimited;
  int settings = kUnlimited;
  int empty_data = kUnlimited;
  // Bytes that header blocks of more than one frame may take for each stream,
  // besides what serves nothing, and for all streams at one time.
  std::int64_t block_bytes = 4 * 1024 * 1024;
  std::int64_t max_block_bytes = 64 * 1024 * 1024;
};

// How much of what serves no stream a peer may still send: 256 KiB in each
// period, and so many frames of each Nuisance. Streams, their data and what we
// send earn more bytes.
//
// Not thread-safe.
class FloodBudget {
 public:
  static constexpr std::int64_t kSpareBytes = 256 * 1024;
  static constexpr std::chrono::seconds kPeriod{10};

  FloodBudget(const FloodLimits& limits, Time now);

  // From the peer, as they are on the wire, all of it.
  void Spend(std::size_t bytes) {
    spare_bytes_ -= static_cast<std::int64_t>(bytes);
  }
  void Count(Nuisance nuisance) {
    ++counts_[static_cast<std::size_t>(nuisance)];
    counted_ = true;
  }
  // Of these, header blocks of more than one frame.
  void OnBlock(std::size_t bytes);

  // A stream begins: its head, its trailers, and what is under way in its
  // window when it is given up.
  void OnStream(std::size_t window_bytes, std::size_t header_list_bytes);
  void OnWindowGrowth(std::size_t bytes) { Earn(bytes); }
  // Data for a stream, with its frame.
  void OnData(std::size_t bytes) { Earn(bytes + kForFrame); }
  // DATA of ours, for WINDOW_UPDATE, and for a PING that measures how fast it
  // comes: grpc-go's clients send one each round trip.
  void OnDataSent(std::size_t bytes) {
    Earn(kForFrame + bytes / kForSentBytes);
    int& pings = counts_[static_cast<std::size_t>(Nuisance::kPing)];
    if (pings > 0) --pings;
  }

  // What the peer has sent too much of.
  Flood Exceeded(Time now);

 private:
  static constexpr std::size_t kForFrame = 64;
  static constexpr std::size_t kForSentBytes = 16;  // One for so many.

  void Earn(std::size_t bytes) {
    spare_bytes_ += static_cast<std::int64_t>(bytes);
  }

  const FloodLimits limits_;
  std::int64_t spare_bytes_ = kSpareBytes;
  std::int64_t spare_block_bytes_ = 0;
  std::array<int, kNuisances> counts_ = {};
  bool counted_ = false;  // One of them.
  Time since_;
};

}  // namespace headgate::h2

#endif  // GATEWAY_H2_FLOOD_BUDGET_H_
