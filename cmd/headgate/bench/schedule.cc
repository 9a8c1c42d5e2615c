#include "cmd/headgate/bench/schedule.h"

namespace headgate {

// From the number each time, so that rounding does not add up.
std::int64_t Schedule::AtNs(std::uint64_t number) const {
  const double after = static_cast<double>(number) * (1e9 / options_.rate);
  return options_.begin_ns + static_cast<std::int64_t>(after);
}

std::optional<Schedule::Due> Schedule::Peek() const {
  if (connection_ >= options_.connections) return std::nullopt;
  const std::uint64_t number = before_ + connection_;
  if (options_.messages.has_value() && number >= *options_.messages) {
    return std::nullopt;
  }
  return Due{AtNs(number), connection_};
}

void Schedule::Advance() {
  connection_ += options_.step;
  if (connection_ < options_.connections) return;
  connection_ = options_.first;
  before_ += options_.connections;
}

}  // namespace headgate
