#ifndef GATEWAY_HUB_STREAM_WAITS_H_
#define GATEWAY_HUB_STREAM_WAITS_H_

#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "gateway/hub/batch.h"

namespace headgate {

// Which sessions a hub's stream waits for (`slow.policy: block`), and for how
// much longer.
//
// All sessions of the hub share kPatience. What the stream has waited for a
// session in vain is taken off it, and so is what is above kFree of a wait
// after which the client has taken enough; a tenth of the time that passes
// comes back. So many clients, one after the other, or one that takes just
// enough each time, hold the stream up little longer than one alone. Where no
// patience is left the stream goes on, and sessions that are full are slow
// after kGrace, as with `disconnect`.
//
// Pure. Not thread-safe.
class StreamWaits {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(5);
  static constexpr absl::Duration kFree = absl::Seconds(1);
  static constexpr absl::Duration kGrace = absl::Milliseconds(250);
  static constexpr double kRefill = 0.1;

  // What its worker says of a session. Without effect if that is known.
  void Take(Who who, HubWait wait, absl::Time now);
  // Those that are too slow, which are not waited for any more. To be called
  // some times in a second.
  std::vector<Who> TakeLate(absl::Time now);
  void Clear(absl::Time now);

  // Whether the stream waits. Changes by the functions above alone.
  bool holds() const { return holds_; }
  // A clock that stands still while the stream waits: for what the backend has
  // a limited time, and cannot say meanwhile.
  absl::Time StreamTime(absl::Time now) const { return now - Waited(now); }
  // What is left of kPatience; less than nothing where the last wait was
  // longer.
  absl::Duration patience(absl::Time now) const;

 private:
  struct Wait {
    absl::Time began;
    absl::Duration waited;  // Waited() at that time.
  };

  // For how long the stream has waited, in all.
  absl::Duration Waited(absl::Time now) const {
    return holds_ ? waited_ + (now - updated_at_) : waited_;
  }
  // Removes it.
  void Finish(Who who, absl::Time now, absl::Duration free);
  // To be called after each change.
  void Update(absl::Time now);

  absl::flat_hash_map<Who, Wait> waits_;
  absl::btree_set<std::pair<absl::Time, Who>> order_;  // As they began.
  absl::Duration used_;  // Of kPatience, at `used_at_`.
  absl::Time used_at_ = absl::InfinitePast();
  // Of Waited(): what is paid for. Waits at the same time are paid once.
  absl::Duration charged_until_;
  bool holds_ = false;
  absl::Duration waited_;  // In all, until `updated_at_`.
  absl::Time updated_at_ = absl::InfinitePast();
};

}  // namespace headgate

#endif  // GATEWAY_HUB_STREAM_WAITS_H_
