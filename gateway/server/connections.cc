#include "gateway/server/connections.h"

#include <iterator>
#include <utility>

namespace headgate {
namespace {

// Those that may not make room yet have just come, so that they are the last
// as a rule.
constexpr int kMostLooks = 64;

}  // namespace

void Connections::Add(std::shared_ptr<Connection> connection,
                      std::size_t listener, std::uint64_t number) {
  Connection* key = connection.get();
  awake_.push_back(Entry{std::move(connection), listener, number, false, {}});
  numbers_.emplace_hint(numbers_.end(), number, &awake_.back());
  places_.emplace(key, std::prev(awake_.end()));
}

void Connections::Remove(Connection& connection) {
  const auto found = places_.find(&connection);
  if (found == places_.end()) return;
  SetIdle(connection, false, {});
  const List::iterator place = found->second;
  places_.erase(found);
  numbers_.erase(place->number);
  (place->is_resting ? resting_ : awake_).erase(place);
}

void Connections::Wake(Connection& connection) {
  const auto found = places_.find(&connection);
  if (found == places_.end() || !found->second->is_resting) return;
  found->second->is_resting = false;
  awake_.splice(awake_.end(), resting_, found->second);
}

void Connections::SetIdle(Connection& connection, bool idle, absl::Time now) {
  const auto found = places_.find(&connection);
  if (found == places_.end()) return;
  Entry& entry = *found->second;
  if (idle == entry.idle.has_value()) return;
  if (idle) {
    entry.idle = idle_.insert(idle_.end(), Idle{&connection, now});
  } else {
    idle_.erase(*std::exchange(entry.idle, std::nullopt));
  }
}

std::shared_ptr<Connection> Connections::FindIdle(absl::Time now) const {
  int left = kMostLooks;
  for (const Idle& idle : idle_) {
    if (left-- == 0) break;
    if (idle.connection->MayMakeRoom(now)) {
      return places_.at(idle.connection)->connection;
    }
  }
  return nullptr;
}

void Connections::ForEach(const std::function<void(const Entry&)>& act) const {
  for (const Entry& entry : awake_) act(entry);
  for (const Entry& entry : resting_) act(entry);
}

std::uint64_t Connections::Visit(
    std::uint64_t after, std::size_t count,
    const std::function<void(const Entry&)>& act) const {
  std::uint64_t last = 0;
  for (auto next = numbers_.upper_bound(after);
       next != numbers_.end() && count > 0; ++next, --count) {
    last = next->first;
    act(*next->second);
  }
  return last;
}

void Connections::OnTick(absl::Time now, std::size_t round) {
  // A list may shrink meanwhile; then some are looked at twice, which does no
  // harm.
  for (std::size_t left = awake_.size(); left > 0 && !awake_.empty(); --left) {
    LookAtFirst(awake_, now);
  }
  for (std::size_t left = (resting_.size() + round - 1) / round;
       left > 0 && !resting_.empty(); --left) {
    LookAtFirst(resting_, now);
  }
}

void Connections::LookAtFirst(List& list, absl::Time now) {
  list.splice(list.end(), list, list.begin());
  const std::shared_ptr<Connection> connection = list.back().connection;
  connection->OnTick(now);
  const auto found = places_.find(connection.get());
  if (found == places_.end()) return;  // It has removed itself.
  const List::iterator place = found->second;
  const bool rests = connection->Rest();
  if (rests == place->is_resting) return;
  List& from = place->is_resting ? resting_ : awake_;
  List& to = rests ? resting_ : awake_;
  to.splice(to.end(), from, place);
  place->is_resting = rests;
}

}  // namespace headgate
