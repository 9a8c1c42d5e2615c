#include "gateway/upstream/schema_source.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "gateway/base/status.h"
#include "gateway/upstream/reflection.h"
#include "gateway/upstream/schema_store.h"

namespace headgate {
namespace {

constexpr std::size_t kFewWaiters = 64;

// A new one for each source, as a Schema is for one thread.
std::shared_ptr<const Schema> ShareOfBuiltIn() {
  static const std::shared_ptr<const Schema>& built_in =
      *new std::shared_ptr<const Schema>(Schema::BuiltIn());
  return Schema::Share(built_in);
}

// One worker's view of a SchemaStore.
class CombinedSource final : public SchemaSource,
                             private SchemaStore::Subscriber,
                             private ReflectionObserver {
 public:
  CombinedSource(Upstream& upstream, std::shared_ptr<SchemaStore> store,
                 SchemaStore::Executor worker, SchemaFetched on_fetched)
      : upstream_(upstream),
        store_(std::move(store)),
        worker_(worker),
        on_fetched_(std::move(on_fetched)),
        built_in_(ShareOfBuiltIn()) {
    std::shared_ptr<const State> state;
    subscription_ = store_->Subscribe(std::move(worker), *this, &state);
    Adopt(std::move(state));
    const bool anything =
        store_->has_files() || state_->knowledge != Knowledge::kNone;
    if (state_->loaded && anything) Tell();
  }

  ~CombinedSource() override {
    subscription_.reset();
    // Others may wait for it.
    if (conversation_ != nullptr) store_->AbandonFetch();
    if (type_conversation_ != nullptr) store_->AbandonTypeFetch();
  }

  Resolution Resolve(absl::string_view path, absl::Time now,
                     Callback callback) override {
    LookAtTheClock(now);
    if (IsCertain(path)) {
      Fetch(Reason::kAge);
      return Lookup(path);
    }
    Fetch(ReasonForUnknown());
    if (!waits()) return Lookup(path);
    return Wait({std::string(path), std::move(callback), nullptr, nullptr});
  }

  SnapshotOr Get(absl::Time now, SnapshotCallback callback) override {
    LookAtTheClock(now);
    store_->WantRules();
    // Where the server has never told anything it is asked sooner.
    Fetch(state_->reflected ? Reason::kAge : ReasonForUnknown());
    if (!waits() || has_all_rules()) return Snapshot();
    return Wait({"", nullptr, std::move(callback), nullptr});
  }

  std::unique_ptr<Ticket> AwaitType(absl::string_view full_name,
                                    std::function<void()> callback) override {
    std::string type(full_name);
    if (!store_->AsksForType(type)) return nullptr;
    return Wait({std::move(type), nullptr, nullptr, std::move(callback)});
  }

  void Refresh(absl::Time now) override {
    LookAtTheClock(now);
    Fetch(Reason::kChange);
  }

 private:
  using State = SchemaStore::State;
  using Knowledge = SchemaStore::Knowledge;
  using Reason = SchemaStore::Reason;
  using Change = SchemaStore::Change;

  // Shared by the ticket and the source, whichever goes first. All callbacks
  // are empty once one was called or cancelled.
  struct Waiter {
    std::string name;  // The method's path, or the type's name.
    Callback on_method;
    SnapshotCallback on_snapshot;
    std::function<void()> on_type;

    bool waits_for_fetch() const { return on_method || on_snapshot; }
    bool waits() const { return waits_for_fetch() || on_type; }
  };

  class WaitingTicket final : public Ticket {
   public:
    explicit WaitingTicket(std::shared_ptr<Waiter> waiter)
        : waiter_(std::move(waiter)) {}
    ~WaitingTicket() override { *waiter_ = Waiter(); }

   private:
    const std::shared_ptr<Waiter> waiter_;
  };

  std::unique_ptr<Ticket> Wait(Waiter waiter) {
    // Clients come and go while a slow server is being asked.
    if (waiters_.size() >= forget_at_) {
      std::erase_if(waiters_,
                    [](const auto& waiter) { return !waiter->waits(); });
      forget_at_ = std::max(kFewWaiters, 2 * waiters_.size());
    }
    waiters_.push_back(std::make_shared<Waiter>(std::move(waiter)));
    return std::make_unique<WaitingTicket>(waiters_.back());
  }

  // Whether more will be known soon.
  bool waits() const { return fetching_ || !state_->loaded; }

  // The rule of a request may be the server's: before it was asked for the
  // first time, what the files say is not all.
  bool has_all_rules() const {
    return state_->loaded && state_->schema != nullptr &&
           (state_->knowledge != Knowledge::kNone || !options().reflection);
  }

  // Before the server was asked, what is built in may be its own in truth.
  bool IsCertain(absl::string_view path) const {
    const ResolvedMethod known = Lookup(path);
    return known.method != nullptr &&
           (known.schema == schema_ ||
            (state_->loaded &&
             (state_->knowledge != Knowledge::kNone || !options().reflection)));
  }

  Reason ReasonForUnknown() const {
    return state_->knowledge == Knowledge::kNoReflection
               ? Reason::kAge
               : Reason::kUnknownMethod;
  }

  void LookAtTheClock(absl::Time now) {
    latest_now_ = std::max(latest_now_, now);
    store_->CheckFiles(latest_now_);
  }

  // Begins a fetch, or finds that one is under way, where it is due.
  void Fetch(Reason reason) {
    if (fetching_ || !options().reflection) return;
    // Most of the time this is known without asking the store.
    const absl::Duration pause =
        reason == Reason::kAge             ? options().refresh_after
        : reason == Reason::kUnknownMethod ? state_->unknown_pause
                                           : absl::ZeroDuration();
    if (state_->knowledge != Knowledge::kNone &&
        latest_now_ - state_->fetch_ended < pause) {
      return;
    }
    SchemaStore::Fetch fetch = store_->BeginFetch(reason, latest_now_);
    Adopt(std::move(fetch.state));
    if (fetch.turn == SchemaStore::Turn::kNotDue) return;
    fetching_ = true;
    if (fetch.turn == SchemaStore::Turn::kUnderWay) return;
    tried_other_ = false;
    version_ = fetch.version;
    StartConversation();
  }

  void StartConversation() {
    conversation_ =
        AskReflection(upstream_, version_, options().fetch_timeout, *this);
  }

  void OnReflected(ReflectedFiles reflected) override {
    // Its caller: it must live until this returns.
    const std::unique_ptr<ReflectionConversation> done =
        std::move(conversation_);
    if (absl::IsUnimplemented(reflected.status) && !tried_other_) {
      tried_other_ = true;
      version_ = version_ == ReflectionVersion::kV1
                     ? ReflectionVersion::kV1Alpha
                     : ReflectionVersion::kV1;
      StartConversation();
      return;
    }
    store_->EndFetch(std::move(reflected), version_);
  }

  void OnState(std::shared_ptr<const State> state, Change change) override {
    Adopt(std::move(state));
    const std::weak_ptr<bool> alive = alive_;
    switch (change) {
      case Change::kFetchAbandoned:
        fetching_ = false;
        if (AnyWaits()) Fetch(Reason::kChange);
        break;
      case Change::kFetchEnded:
        fetching_ = false;
        Tell();
        break;
      case Change::kFiles:
      case Change::kWarnings:
        Tell();
        break;
      case Change::kType:
        break;
    }
    std::vector<std::shared_ptr<Waiter>> waiters;
    if (alive.expired()) return;
    waiters.swap(waiters_);
    for (const auto& waiter : waiters) {
      if (alive.expired()) return;  // Destroyed by one of the callbacks.
      if (!waiter->waits()) continue;
      if (!IsAnswered(*waiter)) {
        waiters_.push_back(waiter);
        continue;
      }
      // The callback may destroy its ticket, and with it what the waiter holds.
      const Waiter answered = std::exchange(*waiter, Waiter());
      if (answered.on_method) {
        answered.on_method(Lookup(answered.name));
      } else if (answered.on_snapshot) {
        answered.on_snapshot(Snapshot());
      } else {
        answered.on_type();
      }
    }
  }

  bool IsAnswered(const Waiter& waiter) const {
    if (waiter.on_type) return !store_->AsksForType(waiter.name);
    return !waits() ||
           (waiter.on_method ? IsCertain(waiter.name) : has_all_rules());
  }

  bool AnyWaits() const {
    return std::any_of(
        waiters_.begin(), waiters_.end(),
        [](const auto& waiter) { return waiter->waits_for_fetch(); });
  }

  void Adopt(std::shared_ptr<const State> state) {
    const std::shared_ptr<const Schema> before =
        state_ == nullptr ? nullptr : state_->schema;
    state_ = std::move(state);
    if (state_->schema == before) return;
    schema_ = Schema::Share(
        state_->schema,
        [this, alive = std::weak_ptr<bool>(alive_)](const std::string& type) {
          return !alive.expired() && OnUnknownType(type);
        });
  }

  // A conversion is under way. Whether the server is being asked for the type.
  bool OnUnknownType(const std::string& type) {
    if (!options().reflection) return false;
    const auto version = store_->WantType(type, latest_now_);
    if (!version) return store_->AsksForType(type);
    worker_([this, type, version = *version, store = store_,
             alive = std::weak_ptr<bool>(alive_)] {
      if (alive.expired()) return store->AbandonTypeFetch();
      AskForType(type, version);
    });
    return true;
  }

  void AskForType(const std::string& type, ReflectionVersion version) {
    type_version_ = version;
    type_conversation_ = AskReflectionForType(
        upstream_, version, options().fetch_timeout, type,
        [schema = state_->schema](const std::string& file) {
          return schema->pool().FindFileByName(file) != nullptr;
        },
        type_observer_);
  }

  void OnTypeReflected(ReflectedFiles reflected) {
    // Its caller: it must live until this returns.
    const std::unique_ptr<ReflectionConversation> done =
        std::move(type_conversation_);
    const std::string next = store_->EndTypeFetch(std::move(reflected));
    if (!next.empty()) AskForType(next, type_version_);
  }

  class TypeObserver final : public ReflectionObserver {
   public:
    explicit TypeObserver(CombinedSource& source) : source_(source) {}
    void OnReflected(ReflectedFiles reflected) override {
      source_.OnTypeReflected(std::move(reflected));
    }

   private:
    CombinedSource& source_;
  };

  // Before the server was asked there is nothing to tell of it yet.
  void Tell() {
    if (!on_fetched_) return;
    if (options().reflection && state_->knowledge == Knowledge::kNone) return;
    absl::Status status = state_->failure;
    if (!options().reflection && schema_ == nullptr) status = FilesMissing();
    on_fetched_(status, status.ok() ? schema_.get() : nullptr,
                state_->warnings);
  }

  // What files say is told in the log (Tell); a client need not know paths.
  absl::Status FilesMissing() const {
    return absl::UnavailableError(
        absl::StrCat("not all of the upstream's descriptor sets can be read: ",
                     store_->file_names()));
  }

  absl::Status NothingKnown() const {
    if (!state_->failure.ok()) return state_->failure;
    return absl::UnimplementedError(
        "the upstream has neither descriptor sets nor server reflection");
  }

  absl::StatusOr<SchemaSnapshot> Snapshot() const {
    if (schema_ != nullptr) {
      return SchemaSnapshot{schema_, state_->http_rules};
    }
    const bool answered = state_->knowledge != Knowledge::kFailed;
    return answered && !state_->files_complete ? FilesMissing()
                                               : NothingKnown();
  }

  // The upstream's own descriptors win over those that are built in.
  ResolvedMethod Lookup(absl::string_view path) const {
    ResolvedMethod found;
    for (const auto& schema : {schema_, built_in_}) {
      if (schema == nullptr) continue;
      found.method = schema->FindMethod(path);
      if (found.method == nullptr) continue;
      found.schema = schema;
      return found;
    }
    found.why_unknown = WhyUnknown(absl::StripPrefix(path, "/"));
    return found;
  }

  absl::Status WhyUnknown(absl::string_view name) const {
    if (options().reflection && state_->knowledge == Knowledge::kFailed) {
      return state_->failure;
    }
    // A guess would do harm where the answer is in a file.
    if (!state_->files_complete) return FilesMissing();
    const bool asked =
        options().reflection && state_->knowledge != Knowledge::kNoReflection;
    if (!store_->has_files()) {
      return absl::UnimplementedError(
          asked ? absl::StrCat("unknown method ", name)
                : absl::StrCat("the upstream has no server reflection, so ",
                               name, " is not known"));
    }
    return absl::UnimplementedError(absl::StrCat(
        "unknown method ", name, ": the upstream's descriptors come from ",
        store_->file_names(), asked ? " and its server reflection" : ""));
  }

  const SchemaSourceOptions& options() const { return store_->options(); }

  Upstream& upstream_;
  const std::shared_ptr<SchemaStore> store_;
  const SchemaStore::Executor worker_;
  const SchemaFetched on_fetched_;
  const std::shared_ptr<const Schema> built_in_;

  std::shared_ptr<const State> state_;
  // This thread's share of state_->schema; null when nothing is known.
  std::shared_ptr<const Schema> schema_;
  absl::Time latest_now_ = absl::InfinitePast();

  // Somebody's fetch is under way; a state will come with its end.
  bool fetching_ = false;
  // Of this source's fetch.
  ReflectionVersion version_ = ReflectionVersion::kV1;
  bool tried_other_ = false;
  std::vector<std::shared_ptr<Waiter>> waiters_;
  // How many there are before those that were cancelled are taken out.
  std::size_t forget_at_ = kFewWaiters;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  // Null when this source does not ask.
  std::unique_ptr<ReflectionConversation> conversation_;
  // Asks for the type of an Any; null when this source does not.
  TypeObserver type_observer_{*this};
  std::unique_ptr<ReflectionConversation> type_conversation_;
  ReflectionVersion type_version_ = ReflectionVersion::kV1;
  std::unique_ptr<SchemaStore::Subscription> subscription_;
};

}  // namespace

std::unique_ptr<SchemaSource> MakeSchemaSource(
    Upstream& upstream, std::shared_ptr<SchemaStore> store,
    std::function<void(std::function<void()>)> worker,
    SchemaFetched on_fetched) {
  return std::make_unique<CombinedSource>(
      upstream, std::move(store), std::move(worker), std::move(on_fetched));
}

}  // namespace headgate
