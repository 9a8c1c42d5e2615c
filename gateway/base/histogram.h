#ifndef GATEWAY_BASE_HISTOGRAM_H_
#define GATEWAY_BASE_HISTOGRAM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace headgate {

// Counts observations by upper bounds, as Prometheus has them ("le": a value
// that equals a bound is below it).
//
// Thread: one at a time.
class Histogram {
 public:
  // `bounds` ascend, and must outlive every copy of the histogram.
  explicit Histogram(absl::Span<const double> bounds)
      : bounds_(bounds), counts_(bounds.size() + 1) {}

  void Observe(double value);
  // Adds what `other` has counted. Requires: of the same bounds.
  void Merge(const Histogram& other);

  absl::Span<const double> bounds() const { return bounds_; }
  // One for each bound, and one for what is above the last; not cumulative.
  const std::vector<std::uint64_t>& counts() const { return counts_; }
  double sum() const { return sum_; }

 private:
  absl::Span<const double> bounds_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_BASE_HISTOGRAM_H_
