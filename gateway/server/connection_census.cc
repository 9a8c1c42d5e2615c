#include "gateway/server/connection_census.h"

#include <utility>

namespace headgate {

class ConnectionCensus::OpenPlace final : public Place {
 public:
  explicit OpenPlace(std::atomic<int>& open) : open_(open) {}
  ~OpenPlace() override { open_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  std::atomic<int>& open_;
};

class ConnectionCensus::AddressPlace final : public Place {
 public:
  AddressPlace(ConnectionCensus& census, std::string address)
      : census_(census), address_(std::move(address)) {}
  ~AddressPlace() override {
    const std::lock_guard lock(census_.mutex_);
    const auto found = census_.by_address_.find(address_);
    if (--found->second == 0) census_.by_address_.erase(found);
  }

 private:
  ConnectionCensus& census_;
  const std::string address_;
};

std::unique_ptr<Place> ConnectionCensus::Enter() {
  open_.fetch_add(1, std::memory_order_relaxed);
  return std::make_unique<OpenPlace>(open_);
}

Capacity ConnectionCensus::AdmitAddress(const std::string& address, int limit,
                                        std::unique_ptr<Place>* place) {
  if (address.empty()) return Capacity::kFree;
  {
    const std::lock_guard lock(mutex_);
    int& count = by_address_[address];
    if (limit > 0 && count >= limit) return Capacity::kAddressFull;
    ++count;
  }
  *place = std::make_unique<AddressPlace>(*this, address);
  return Capacity::kFree;
}

}  // namespace headgate
