#include "cmd/headgate/bench/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace headgate {

void LatencyHistogram::Add(std::int64_t ns, std::uint64_t times) {
  if (times == 0) return;
  ns = std::clamp(ns, std::int64_t{0}, (std::int64_t{1} << kMaxBits) - 1);
  min_ = count_ == 0 ? ns : std::min(min_, ns);
  max_ = std::max(max_, ns);
  count_ += times;
  sum_ += static_cast<double>(ns) * static_cast<double>(times);
  counts_[BucketOf(ns)] += times;
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  if (other.count_ == 0) return;
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  count_ += other.count_;
  sum_ += other.sum_;
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
}

double LatencyHistogram::mean() const {
  return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

std::int64_t LatencyHistogram::Percentile(double percent) const {
  if (count_ == 0) return 0;
  // 99.9 percent of 1000 are 999, though 99.9 is a little more than that.
  const auto rank = static_cast<std::uint64_t>(
      std::ceil(percent * static_cast<double>(count_) / 100 - 1e-6));
  const std::uint64_t wanted = std::clamp(rank, std::uint64_t{1}, count_);
  if (wanted == count_) return max_;
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (seen >= wanted) return std::clamp(MiddleOf(i), min_, max_);
  }
  return max_;
}

std::size_t LatencyHistogram::BucketOf(std::int64_t ns) {
  const auto value = static_cast<std::uint64_t>(ns);
  if (value < kLinear) return value;
  const int shift = std::bit_width(value) - 1 - kSubBits;
  // The top kSubBits + 1 bits, of which the first is set.
  return (static_cast<std::size_t>(shift) << kSubBits) + (value >> shift);
}

std::int64_t LatencyHistogram::MiddleOf(std::size_t bucket) {
  if (bucket < kLinear) return static_cast<std::int64_t>(bucket);
  const std::size_t shift = (bucket >> kSubBits) - 1;
  const std::uint64_t top = bucket - (shift << kSubBits);
  return static_cast<std::int64_t>((top << shift) +
                                   (std::uint64_t{1} << shift) / 2);
}

}  // namespace headgate
