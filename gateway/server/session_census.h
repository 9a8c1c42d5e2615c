#ifndef GATEWAY_SERVER_SESSION_CENSUS_H_
#define GATEWAY_SERVER_SESSION_CENSUS_H_

#include <memory>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "gateway/net/connection.h"

namespace headgate {

// Counts the sessions of all workers: in all, by client address, by identity
// and by route. A key is held for as long as a session has it, so that there
// are never more of them than sessions.
//
// Thread:   safe for any; its lock is taken when a session comes and goes,
//           never for a message.
// Lifetime: longer than every Place that it has given.
class SessionCensus {
 public:
  struct Limits {
    int in_all = 0;
    int per_address = 0;  // 0: any number.
    int per_route = 0;    // 0: any number.
  };

  // Takes a place when there is room, kFree. `address`: empty for one that is
  // not counted by itself. `route`: a name.
  Capacity Admit(const std::string& address, const std::string& route,
                 const Limits& limits, std::unique_ptr<Place>* place);

  // Counts the session of `*place` among those of `identity` too, of which
  // there are `most` (0: any number), and returns kFree; `*place` then holds
  // both. Else kIdentityFull, and nothing changes.
  Capacity AdmitIdentity(const std::string& identity, int most,
                         std::unique_ptr<Place>* place);

  int in_all() const;

 private:
  class CountedPlace;
  class IdentityPlace;
  using Counts = absl::flat_hash_map<std::string, int>;
  static int CountOf(const Counts& counts, const std::string& key);
  static void GiveBack(Counts& counts, const std::string& key);
  void Leave(const std::string& address, const std::string& route);

  // The standard's, for ThreadSanitizer sees its locks and not those in the
  // distribution's abseil.
  mutable std::mutex mutex_;
  int in_all_ = 0;      // Under mutex_.
  Counts by_address_;   // Under mutex_.
  Counts by_route_;     // Under mutex_.
  Counts by_identity_;  // Under mutex_.
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_SESSION_CENSUS_H_
