#include "gateway/upstream/h2/dial.h"

#include <algorithm>
#include <utility>

namespace headgate {

std::vector<H2Endpoint> InterleaveFamilies(std::vector<H2Endpoint> endpoints) {
  if (endpoints.empty()) return endpoints;
  const int first_family = endpoints.front().protocol().family();
  const auto others = std::stable_partition(
      endpoints.begin(), endpoints.end(), [&](const H2Endpoint& one) {
        return one.protocol().family() == first_family;
      });
  std::vector<H2Endpoint> mixed;
  mixed.reserve(endpoints.size());
  auto first = endpoints.begin();
  auto second = others;
  while (first != others || second != endpoints.end()) {
    if (first != others) mixed.push_back(*first++);
    if (second != endpoints.end()) mixed.push_back(*second++);
  }
  return mixed;
}

Dial::Dial(std::vector<H2Endpoint> order, Clock::time_point now,
           const H2Timing& timing)
    : order_(std::move(order)),
      attempt_delay_(timing.attempt_delay),
      deadline_(now + timing.connect_timeout),
      last_(now) {}

std::optional<H2Endpoint> Dial::Next(Clock::time_point now) {
  const std::optional<Clock::time_point> at = due(now);
  if (!at || *at > now) return std::nullopt;
  alone_ = true;
  last_ = now;
  return order_[next_++];
}

std::optional<Dial::Clock::time_point> Dial::due(Clock::time_point now) const {
  const Clock::time_point at = alone_ ? last_ + attempt_delay_ : last_;
  if (next_ == order_.size() || now >= deadline_ || at >= deadline_) {
    return std::nullopt;
  }
  return at;
}

}  // namespace headgate
