#ifndef GATEWAY_SERVER_CONNECTION_CENSUS_H_
#define GATEWAY_SERVER_CONNECTION_CENSUS_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "gateway/net/connection.h"
#include "gateway/net/place.h"

namespace headgate {

// Counts the connections of all workers, from accept to close, and those of
// each client address.
//
// Thread:   safe for any; its lock is taken when a connection comes and goes.
// Lifetime: longer than every Place that it has given.
class ConnectionCensus {
 public:
  // Counts one more connection, whether or not there is room for it.
  std::unique_ptr<Place> Enter();
  // Connections that are open, those that are to be refused among them.
  int open() const { return open_.load(std::memory_order_relaxed); }

  // Counts one more of `address` ("": not counted, and no place). `limit`: 0:
  // any number. kFree, or kAddressFull.
  Capacity AdmitAddress(const std::string& address, int limit,
                        std::unique_ptr<Place>* place);

 private:
  class OpenPlace;
  class AddressPlace;

  std::atomic<int> open_ = 0;
  // The standard's, as in SessionCensus.
  std::mutex mutex_;
  absl::flat_hash_map<std::string, int> by_address_;  // Under mutex_.
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_CONNECTION_CENSUS_H_
