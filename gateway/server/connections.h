#ifndef GATEWAY_SERVER_CONNECTIONS_H_
#define GATEWAY_SERVER_CONNECTIONS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "gateway/net/connection.h"

namespace headgate {

// The connections of a worker, and its sense of time for them: those that are
// awake are looked at with each tick, those at rest (Connection::Rest) in turn,
// so that an idle one costs next to nothing.
//
// Thread: its worker's. A connection that is looked at may add, remove and wake
// any, itself too.
class Connections {
 public:
  struct Idle {
    Connection* connection;
    absl::Time since;
  };
  struct Entry {
    std::shared_ptr<Connection> connection;
    std::size_t listener = 0;
    std::uint64_t number = 0;
    bool is_resting = false;
    // Its place in idle_, while it is there.
    std::optional<std::list<Idle>::iterator> idle = {};
  };

  // It is awake. `number`: unique, not 0, higher than those before.
  void Add(std::shared_ptr<Connection> connection, std::size_t listener,
           std::uint64_t number);
  void Remove(Connection& connection);
  void Wake(Connection& connection);
  // See ConnectionHost::SetIdle. `now`: of no meaning when it ends.
  void SetIdle(Connection& connection, bool idle, absl::Time now);
  // Since when the one that has waited longest has; InfiniteFuture: none does.
  absl::Time idle_since() const {
    return idle_.empty() ? absl::InfiniteFuture() : idle_.front().since;
  }

  // The connection that has waited longest for a request and may make room;
  // null when there is none.
  std::shared_ptr<Connection> FindIdle(absl::Time now) const;

  bool empty() const { return places_.empty(); }
  // `act` neither adds nor removes any.
  void ForEach(const std::function<void(const Entry&)>& act) const;

  // Visits up to `count` of those with a number above `after`, in the order of
  // their numbers. Returns the last one's number; 0: there are no more.
  // `act` neither adds nor removes any.
  std::uint64_t Visit(std::uint64_t after, std::size_t count,
                      const std::function<void(const Entry&)>& act) const;

  // Has all that are awake look at the time, and so many of those at rest that
  // `round` ticks are enough for each of them. Requires: round > 0.
  void OnTick(absl::Time now, std::size_t round);

 private:
  using List = std::list<Entry>;

  // Looks at the one that has waited longest.
  void LookAtFirst(List& list, absl::Time now);

  // In the order in which they began to wait.
  std::list<Idle> idle_;
  // Each in the order of the last look.
  List awake_;
  List resting_;
  absl::flat_hash_map<Connection*, List::iterator> places_;
  absl::btree_map<std::uint64_t, const Entry*> numbers_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_CONNECTIONS_H_
