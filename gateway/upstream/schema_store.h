#ifndef GATEWAY_UPSTREAM_SCHEMA_STORE_H_
#define GATEWAY_UPSTREAM_SCHEMA_STORE_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/route/http_rules.h"
#include "gateway/schema/schema.h"
#include "gateway/upstream/asked_names.h"
#include "gateway/upstream/descriptor_files.h"
#include "gateway/upstream/http_rules_files.h"
#include "gateway/upstream/reflection.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {

// The descriptors of one upstream, for all workers: built once, off their
// threads, and only when they have changed. A worker's SchemaSource subscribes
// to it, and asks the upstream's reflection when BeginFetch says that it is its
// turn.
//
// Thread:   any. The mutex is taken when a fetch may be due or something has
//           changed, never for a method that is known.
// Lifetime: shared by its sources and the tasks that it has posted.
class SchemaStore : public std::enable_shared_from_this<SchemaStore> {
 public:
  // Runs a task later, on its thread, or at once (in tests).
  using Executor = std::function<void(std::function<void()>)>;

  // What the last fetch that ended has taught.
  enum class Knowledge {
    kNone,          // None has ended yet.
    kFetched,       // The schema has what the server has.
    kNoReflection,  // The server answered UNIMPLEMENTED to both names.
    kFailed,        // `failure` says why; the schema is an older one, if any.
  };

  // All that is known at one time. Immutable.
  struct State {
    // The descriptor sets were read, as far as they can be.
    bool loaded = false;
    // Each of them could be read at some time.
    bool files_complete = false;
    Knowledge knowledge = Knowledge::kNone;
    absl::Status failure;
    bool reflected = false;  // A fetch has succeeded at some time.
    absl::Time fetch_ended = absl::InfinitePast();
    // Until the next fetch because of a method that is not known.
    absl::Duration unknown_pause;
    // Null when nothing is known. Each thread takes a Share of it.
    std::shared_ptr<const Schema> schema;
    std::shared_ptr<const HttpRules> http_rules;  // Of `schema`.
    std::vector<std::string> warnings;
  };
  // What has made a new State.
  enum class Change {
    kFiles,
    kFetchEnded,
    kFetchAbandoned,  // Somebody else may begin one.
    kWarnings,
    kType,  // One that was asked for is known, or known not to be there.
  };

  class Subscriber {
   public:
    virtual void OnState(std::shared_ptr<const State> state, Change change) = 0;

   protected:
    ~Subscriber() = default;
  };
  // Destroying it ends the subscription, on the subscriber's thread.
  class Subscription {
   public:
    virtual ~Subscription() = default;
  };

  // Descriptor sets are read by a task of the builder's.
  static std::shared_ptr<SchemaStore> Make(SchemaSourceOptions options,
                                           Executor builder);

  const SchemaSourceOptions& options() const { return options_; }
  bool has_files() const { return !options_.files.empty(); }
  // Descriptor sets or HTTP rules.
  bool reads_files() const {
    return has_files() || !options_.http_rules_files.empty();
  }
  // The files' names, without their directories: "a.pb, b.pb".
  const std::string& file_names() const { return file_names_; }

  // `subscriber` is called by tasks of `worker`. `state` becomes the present
  // one.
  std::unique_ptr<Subscription> Subscribe(Executor worker,
                                          Subscriber& subscriber,
                                          std::shared_ptr<const State>* state);

  // Why somebody wants a fetch.
  enum class Reason {
    kAge,            // At most once in options().refresh_after.
    kUnknownMethod,  // At most once in State::unknown_pause.
    kChange,         // At once: the upstream may have become another.
  };
  enum class Turn {
    kYours,     // EndFetch or AbandonFetch must follow.
    kUnderWay,  // A state will come with its end.
    kNotDue,
  };
  struct Fetch {
    Turn turn;
    std::shared_ptr<const State> state;  // The present one.
    ReflectionVersion version;           // To begin with.
  };
  Fetch BeginFetch(Reason reason, absl::Time now);
  // UNIMPLEMENTED: neither version of reflection is there.
  void EndFetch(ReflectedFiles reflected, ReflectionVersion version);
  void AbandonFetch();

  // Types of Anys that no descriptor defines are asked of reflection, one at a
  // time. A type that the server does not know is not asked for again before
  // options().refresh_after, unless 1024 others were asked for meanwhile.
  //
  // The version to ask `type` with, when it is the caller's turn: EndTypeFetch
  // or AbandonTypeFetch must follow. Absent: it is not to be asked for, or
  // will be when the type that is being asked for is known.
  std::optional<ReflectionVersion> WantType(const std::string& type,
                                            absl::Time now);
  // Returns the type that the caller is to ask for next; empty: none.
  std::string EndTypeFetch(ReflectedFiles reflected);
  void AbandonTypeFetch();
  // Whether `type` is being asked for, or will be: Change::kType follows.
  bool AsksForType(const std::string& type);

  // Looks at the files, once a second at most; a change makes a new state.
  void CheckFiles(absl::Time now);
  // From now on `warnings` tell of HTTP rules that cannot be used.
  void WantRules();

 private:
  SchemaStore(SchemaSourceOptions options, Executor builder);

  struct Mailbox;
  class MailboxSubscription;

  // --- tasks of the builder ---
  void LoadFiles();
  void TakeFetched(ReflectedFiles reflected, absl::Time ended);
  void TakeType(const std::string& type, const ReflectedFiles& reflected);
  bool RefreshFiles();
  // Whether the schema is another one now.
  bool Build(State& state);
  void WarnOfUnmatchedRules(const State& state, const HttpRuleOverrides& rules);
  void Publish(State state, Change change);
  template <typename T>
  std::shared_ptr<const T> FreedByBuilder(std::shared_ptr<const T> value);

  const SchemaSourceOptions options_;
  const Executor builder_;
  const std::string file_names_;
  std::atomic<std::int64_t> files_due_;  // In nanoseconds, for CheckFiles.
  std::atomic<bool> rules_wanted_ = false;

  // Touched by tasks of the builder alone.
  DescriptorFiles files_;
  HttpRulesFiles http_rules_files_;
  // Of the last fetch that succeeded; kept where files may change.
  std::vector<ReflectedFiles::File> reflected_;
  std::string digest_;  // Of what the schema was built of.
  std::vector<std::string> fetch_warnings_;
  std::vector<std::string> build_warnings_;
  std::vector<std::string> rule_warnings_;

  std::mutex mutex_;
  std::shared_ptr<const State> state_;
  std::vector<std::shared_ptr<Mailbox>> mailboxes_;
  bool fetching_ = false;
  Reason fetch_reason_ = Reason::kAge;
  // The end of the last fetch that has taught nothing.
  absl::Time last_useless_ = absl::InfinitePast();
  // There is no clock in here: a fetch ends at the time of the last question
  // before its end.
  absl::Time latest_now_ = absl::InfinitePast();
  ReflectionVersion version_ = ReflectionVersion::kV1;  // That worked last.

  bool fetching_type_ = false;
  std::string fetched_type_;  // With fetching_type_.
  std::deque<std::string> wanted_types_;
  // Those, and what is known of which has not been published yet.
  absl::flat_hash_set<std::string> pending_types_;
  AskedNames asked_types_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_SCHEMA_STORE_H_
