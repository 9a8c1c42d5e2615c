#ifndef GATEWAY_HUB_HISTORIES_H_
#define GATEWAY_HUB_HISTORIES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/hub/group_log.h"

namespace headgate {

// The store of all histories, when it can be reached.
struct HistoryStore {
  std::string epoch;  // Another one: what was stored before is gone.
  // So much is stored that records are deleted before their time.
  bool is_full = false;
  // Of all records. A store that was not shut down may have lost the last ones,
  // and then gives their offsets again.
  std::uint64_t last_offset = std::numeric_limits<std::uint64_t>::max();
};

// The histories of the groups that have members here.
//
// Pure. Thread: the hub thread.
class Histories {
 public:
  class Host {
   public:
    // Publications to the group, in order.
    virtual void OnHistoryRecord(const std::string& group,
                                 StoredRecord record) = 0;
    // See GroupLog::Observer.
    virtual void OnHistoryGap(const std::string& group, std::uint64_t after,
                              std::uint64_t before) = 0;
    // Has the group's stored record at `from` or the first behind it fetched,
    // with 0 the last one.
    using FetchedCallback =
        std::function<void(absl::StatusOr<std::optional<StoredRecord>> record)>;
    virtual void Fetch(const std::string& group, std::uint64_t from,
                       FetchedCallback done) = 0;
    // The offsets of a subscription have begun anew.
    virtual void OnHistoryRenewed() = 0;

   protected:
    ~Host() = default;
  };
  struct Options {
    std::uint64_t records = 0;  // That are kept of each group.
    absl::Duration age;         // For so long.
  };

  Histories(Options options, Host& host) : options_(options), host_(host) {}

  // A subscription to the group begins or ends.
  void Begin(const std::string& group);
  void End(const std::string& group);
  void OnLive(const std::string& group, StoredRecord record);
  void OnUp(HistoryStore store, absl::Time now);
  void OnDown(absl::Time now);
  // Live records, of any groups, were lost on the way here.
  void OnLost();
  void OnTick(absl::Time now);

  const std::string& epoch() const { return store_.epoch; }

  // Questions to the store at a time.
  static constexpr std::size_t kMostFetches = 32;
  // When a question has failed.
  static constexpr absl::Duration kPause = absl::Milliseconds(500);
  // What it may take to notice that the connection is lost.
  static constexpr absl::Duration kSlack = absl::Seconds(10);

 private:
  struct History final : GroupLog::Observer {
    History(std::string name, Histories& its)
        : group(std::move(name)),
          owner(its),
          log(its.options_.records, *this) {}
    void OnRecord(StoredRecord record) override {
      stored_at = owner.now_;
      owner.host_.OnHistoryRecord(group, std::move(record));
    }
    void OnGap(std::uint64_t after, std::uint64_t before) override {
      owner.host_.OnHistoryGap(group, after, before);
    }

    const std::string group;
    Histories& owner;
    GroupLog log;
    std::uint64_t last_live = 0;  // Of this connection.
    // When the last record was delivered; the past: its age is not known.
    absl::Time stored_at = absl::InfinitePast();
    bool is_asking = false;
    bool waits = false;  // It is in waiting_.
  };

  void AskSoon(const std::shared_ptr<History>& history);
  void Pump();
  void Ask(const std::shared_ptr<History>& history, std::uint64_t from);

  const Options options_;
  Host& host_;
  absl::flat_hash_map<std::string, std::shared_ptr<History>> histories_;
  // Those that have a question, and those whose question has failed.
  std::deque<std::weak_ptr<History>> waiting_;
  std::vector<std::weak_ptr<History>> failed_;
  absl::Time retry_at_ = absl::InfiniteFuture();
  std::size_t asking_ = 0;
  bool is_up_ = false;
  bool is_pumping_ = false;
  absl::Time now_ = absl::InfinitePast();
  absl::Time down_at_ = absl::InfinitePast();
  HistoryStore store_;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_HISTORIES_H_
