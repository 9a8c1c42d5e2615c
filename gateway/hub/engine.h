#ifndef GATEWAY_HUB_ENGINE_H_
#define GATEWAY_HUB_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/hub/group_ring.h"
#include "headgate/v1/hub_engine.pb.h"

namespace headgate {

// What somebody's sessions are known by.
enum class HubScope { kGroup, kUser };

// Hears which groups have members, and which users sessions.
class HubInterest {
 public:
  // Of one hub: the first has come (`begins`), or the last has gone.
  virtual void OnInterest(HubScope scope, const std::string& name,
                          bool begins) = 0;

 protected:
  ~HubInterest() = default;
};

// The other gateways that share this one's hubs, which may be none.
//
// Thread: the hub thread, which also runs all callbacks: each once, possibly
// before the function returns, unless the engine is destroyed before.
class HubEngine : public HubInterest {
 public:
  // What a question has come to.
  struct Answers {
    std::vector<v1::EngineReply> replies;
    // Names of gateways that should have answered and have not.
    std::vector<std::string> silent;
  };
  // A publication that is to be stored.
  struct StoreOptions {
    std::string id;  // Another one with it is a duplicate; "": none.
    std::optional<std::uint64_t> if_last_offset;
  };
  struct Stored {
    std::string epoch;
    std::uint64_t offset = 0;
    bool is_duplicate = false;  // Of the one at `offset`.
  };
  // What a client has missed of a group with history.
  struct Recovery {
    // Up to where: what follows is delivered as it comes.
    v1::Position position;
    // Nothing behind where the client was is missing.
    bool is_recovered = false;
    // In order; each has its position.
    std::vector<SharedPublication> missed;
  };
  using RecoveredCallback =
      std::function<void(const absl::StatusOr<Recovery>&)>;
  // A page of a history, the oldest first.
  struct Page {
    struct Entry {
      std::uint64_t offset = 0;
      absl::Time stored_at;
      SharedPublication publication;
    };
    std::vector<Entry> entries;
    v1::Position top;  // The last one; offset 0: none is stored.
    // Nothing is missing between where it was to begin and the first entry.
    bool is_complete = false;
  };
  using PageCallback = std::function<void(const absl::StatusOr<Page>&)>;
  using StoredCallback = std::function<void(const absl::StatusOr<Stored>&)>;
  using PublishedCallback = std::function<void(const absl::Status&)>;
  using AnswersCallback = std::function<void(Answers)>;
  // Whether a reply makes the others needless.
  using IsEnough = bool (*)(const v1::EngineReply&);

  virtual ~HubEngine() = default;

  // Hands a publication over to the other gateways; not to this one. `done`
  // gets UNAVAILABLE where they cannot be reached: at once if that is known,
  // and nothing was sent then; RESOURCE_EXHAUSTED where too much waits already;
  // INVALID_ARGUMENT for one that is too large.
  virtual void Publish(const v1::EnginePublication& publication,
                       PublishedCallback done) = 0;
  // The same for one whose way nobody follows: what is known at once.
  virtual absl::Status Publish(const v1::EnginePublication& publication) = 0;
  // Whether publications to the group are stored. They are not handed over by
  // Publish, but by Store, and come back to all gateways, this one included, in
  // the order of their offsets.
  virtual bool HasHistory(absl::string_view group) const = 0;
  // Stores a publication to such a group. UNAVAILABLE where that is not known
  // to have succeeded: it may have, unless the engine is not up.
  // FAILED_PRECONDITION: `if_last_offset` is not the last.
  virtual void Store(const v1::EnginePublication& publication,
                     const StoreOptions& options, StoredCallback done) = 0;
  // What was published to such a group behind `after` (absent: nothing is
  // asked for), which has members here. `done` is called between the
  // publications that it has and those that it has not. UNAVAILABLE: the engine
  // was not up for long.
  virtual void Recover(const std::string& group,
                       const std::optional<v1::Position>& after,
                       RecoveredCallback done) = 0;
  // Reads what is stored of such a group behind `after` (absent: from the
  // oldest on), at most `limit` entries; 0: only `top`. FAILED_PRECONDITION: it
  // has no history; RESOURCE_EXHAUSTED: too many read already; UNAVAILABLE.
  virtual void Read(const std::string& group,
                    const std::optional<v1::Position>& after, std::size_t limit,
                    PageCallback done) = 0;
  // Asks every other gateway; `done` comes with the last answer, with one that
  // `is_enough` (null: none is), or when they have had the time for it, and
  // `patience` more.
  virtual void Ask(v1::EngineQuestion question, absl::Duration patience,
                   IsEnough is_enough, AnswersCallback done) = 0;
  // The groups whose joins and leaves on other gateways are wanted here,
  // instead of those before.
  virtual void AnnounceWatched(const std::vector<std::string>& groups) = 0;
  // Tells one of them what it wants. False: it is lost.
  virtual bool Tell(const std::string& instance,
                    const v1::EngineMemberships& memberships) = 0;
  // Whether all other gateways are known and can be reached.
  virtual bool is_up() const = 0;
};

// A gateway alone.
class MemoryEngine final : public HubEngine {
 public:
  void Publish(const v1::EnginePublication&, PublishedCallback done) override {
    done(absl::OkStatus());
  }
  absl::Status Publish(const v1::EnginePublication&) override {
    return absl::OkStatus();
  }
  bool HasHistory(absl::string_view) const override { return false; }
  void Store(const v1::EnginePublication&, const StoreOptions&,
             StoredCallback done) override {
    done(absl::UnimplementedError("there is no history"));
  }
  void Recover(const std::string&, const std::optional<v1::Position>&,
               RecoveredCallback done) override {
    done(absl::UnimplementedError("there is no history"));
  }
  void Read(const std::string&, const std::optional<v1::Position>&, std::size_t,
            PageCallback done) override {
    done(absl::FailedPreconditionError("there is no history"));
  }
  void Ask(v1::EngineQuestion, absl::Duration, IsEnough,
           AnswersCallback done) override {
    done({});
  }
  void AnnounceWatched(const std::vector<std::string>&) override {}
  bool Tell(const std::string&, const v1::EngineMemberships&) override {
    return true;
  }
  bool is_up() const override { return true; }
  void OnInterest(HubScope, const std::string&, bool) override {}
};

}  // namespace headgate

#endif  // GATEWAY_HUB_ENGINE_H_
