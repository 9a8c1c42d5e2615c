#include "gateway/h2/flood_budget.h"

#include <algorithm>

namespace headgate::h2 {

FloodBudget::FloodBudget(const FloodLimits& limits, Time now)
    : limits_(limits), since_(now) {}

void FloodBudget::OnBlock(std::size_t bytes) {
  const auto block =
      std::min(spare_block_bytes_, static_cast<std::int64_t>(bytes));
  spare_block_bytes_ -= block;
  spare_bytes_ += block;
}

void FloodBudget::OnStream(std::size_t window_bytes,
                           std::size_t header_list_bytes) {
  Earn(window_bytes + 2 * header_list_bytes);
  spare_block_bytes_ = std::min(spare_block_bytes_ + limits_.block_bytes,
                                limits_.max_block_bytes);
}

absl::string_view FloodName(Flood flood) {
  switch (flood) {
    case Flood::kNone:
      break;
    case Flood::kResets:
      return "streams that end early";
    case Flood::kPings:
      return "PING";
    case Flood::kSettings:
      return "SETTINGS";
    case Flood::kEmptyData:
      return "empty DATA";
    case Flood::kBytes:
      return "what is of no use";
  }
  return "";
}

Flood FloodBudget::Exceeded(Time now) {
  if (spare_bytes_ >= 0 && !counted_) return Flood::kNone;
  if (now - since_ >= kPeriod) {
    since_ = now;
    spare_bytes_ = std::max(spare_bytes_, kSpareBytes);
    counts_ = {};
    counted_ = false;
    return Flood::kNone;
  }
  if (spare_bytes_ < 0) return Flood::kBytes;
  const std::array<int, kNuisances> most = {
      limits_.resets, limits_.pings, limits_.settings, limits_.empty_data};
  constexpr std::array<Flood, kNuisances> kFloods = {
      Flood::kResets, Flood::kPings, Flood::kSettings, Flood::kEmptyData};
  for (std::size_t i = 0; i < kFloods.size(); ++i) {
    if (counts_[i] > most[i]) return kFloods[i];
  }
  return Flood::kNone;
}

}  // namespace headgate::h2
