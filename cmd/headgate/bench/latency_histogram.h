#ifndef CMD_HEADGATE_BENCH_LATENCY_HISTOGRAM_H_
#define CMD_HEADGATE_BENCH_LATENCY_HISTOGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace headgate {

// Counts times in nanoseconds, in buckets that are 1 ns wide below 2 µs and at
// most a thousandth of their value above, up to 73 minutes; longer ones count
// as that long. It has the same size (270 KB) whatever it holds.
//
// Thread: one at a time.
class LatencyHistogram {
 public:
  // A negative time counts as none.
  void Add(std::int64_t ns) { Add(ns, 1); }
  void Add(std::int64_t ns, std::uint64_t times);
  void Merge(const LatencyHistogram& other);

  std::uint64_t count() const { return count_; }
  // These are exact, and 0 when nothing was counted.
  std::int64_t min() const { return count_ == 0 ? 0 : min_; }
  std::int64_t max() const { return max_; }
  double mean() const;
  // The time that `percent` (above 0, up to 100) of those counted do not
  // exceed, within a thousandth; 0 when nothing was counted.
  std::int64_t Percentile(double percent) const;

 private:
  // Each power of two is divided into so many buckets.
  static constexpr int kSubBits = 10;
  static constexpr int kMaxBits = 42;
  static constexpr std::size_t kLinear = std::size_t{2} << kSubBits;
  static constexpr std::size_t kBuckets =
      kLinear + (std::size_t{kMaxBits - kSubBits - 1} << kSubBits);

  static std::size_t BucketOf(std::int64_t ns);
  static std::int64_t MiddleOf(std::size_t bucket);

  std::uint64_t count_ = 0;
  std::int64_t min_ = 0;
  std::int64_t max_ = 0;
  double sum_ = 0;
  std::array<std::uint64_t, kBuckets> counts_ = {};
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_LATENCY_HISTOGRAM_H_
