#include "gateway/server/session_census.h"

#include <utility>

namespace headgate {

class SessionCensus::CountedPlace final : public Place {
 public:
  CountedPlace(SessionCensus& census, std::string address, std::string route)
      : census_(census),
        address_(std::move(address)),
        route_(std::move(route)) {}
  ~CountedPlace() override { census_.Leave(address_, route_); }

 private:
  SessionCensus& census_;
  const std::string address_;
  const std::string route_;
};

class SessionCensus::IdentityPlace final : public Place {
 public:
  IdentityPlace(SessionCensus& census, std::string identity,
                std::unique_ptr<Place> session)
      : census_(census),
        identity_(std::move(identity)),
        session_(std::move(session)) {}
  ~IdentityPlace() override {
    const std::lock_guard lock(census_.mutex_);
    GiveBack(census_.by_identity_, identity_);
  }

 private:
  SessionCensus& census_;
  const std::string identity_;
  const std::unique_ptr<Place> session_;
};

int SessionCensus::CountOf(const Counts& counts, const std::string& key) {
  const auto found = counts.find(key);
  return found == counts.end() ? 0 : found->second;
}

void SessionCensus::GiveBack(Counts& counts, const std::string& key) {
  const auto found = counts.find(key);
  if (found != counts.end() && --found->second == 0) counts.erase(found);
}

Capacity SessionCensus::Admit(const std::string& address,
                              const std::string& route, const Limits& limits,
                              std::unique_ptr<Place>* place) {
  const std::lock_guard lock(mutex_);
  if (in_all_ >= limits.in_all) return Capacity::kFull;
  if (limits.per_route > 0 && CountOf(by_route_, route) >= limits.per_route) {
    return Capacity::kRouteFull;
  }
  if (!address.empty() && limits.per_address > 0 &&
      CountOf(by_address_, address) >= limits.per_address) {
    return Capacity::kAddressFull;
  }
  ++in_all_;
  ++by_route_[route];
  if (!address.empty()) ++by_address_[address];
  *place = std::make_unique<CountedPlace>(*this, address, route);
  return Capacity::kFree;
}

Capacity SessionCensus::AdmitIdentity(const std::string& identity, int most,
                                      std::unique_ptr<Place>* place) {
  if (most == 0) return Capacity::kFree;
  const std::lock_guard lock(mutex_);
  if (CountOf(by_identity_, identity) >= most) return Capacity::kIdentityFull;
  ++by_identity_[identity];
  *place = std::make_unique<IdentityPlace>(*this, identity, std::move(*place));
  return Capacity::kFree;
}

void SessionCensus::Leave(const std::string& address,
                          const std::string& route) {
  const std::lock_guard lock(mutex_);
  --in_all_;
  GiveBack(by_route_, route);
  if (!address.empty()) GiveBack(by_address_, address);
}

int SessionCensus::in_all() const {
  const std::lock_guard lock(mutex_);
  return in_all_;
}

}  // namespace headgate
