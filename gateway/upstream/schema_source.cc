#include "gateway/upstream/schema_source.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "gateway/base/status.h"
#include "gateway/upstream/descriptor_files.h"
#include "gateway/upstream/file_stamp.h"
#include "gateway/upstream/reflection.h"

namespace headgate {
namespace {

using ::google::protobuf::FileDescriptorProto;

constexpr std::size_t kFewWaiters = 64;

// Descriptor sets and reflection as one schema. A change of either builds it
// anew; who uses the old one keeps it.
class CombinedSource final : public SchemaSource, private ReflectionObserver {
 public:
  CombinedSource(Upstream& upstream, SchemaSourceOptions options,
                 SchemaFetched on_fetched)
      : upstream_(upstream),
        options_(std::move(options)),
        on_fetched_(std::move(on_fetched)),
        built_in_(Schema::BuiltIn()),
        files_(options_.files) {
    if (files_.empty()) return;
    Build();
    Tell();
  }

  std::unique_ptr<Ticket> Resolve(absl::string_view path, absl::Time now,
                                  Callback callback) override {
    LookAtTheClock(now);
    const ResolvedMethod known = Lookup(path);
    // Before the server was asked, what is built in may be its own in truth.
    const bool certain = known.method != nullptr &&
                         (knowledge_ != Knowledge::kNone ||
                          !options_.reflection || known.schema == schema_);
    if (certain) {
      if (MayFetch(options_.refresh_after)) StartFetch();
      callback(known);
      return nullptr;
    }

    const bool lasting = knowledge_ == Knowledge::kNoReflection;
    if (MayFetch(lasting ? options_.refresh_after
                         : options_.min_fetch_interval)) {
      StartFetch();
    }
    if (conversation_ == nullptr) {
      callback(known);
      return nullptr;
    }
    return Wait([this, path = std::string(path),
                 callback = std::move(callback)] { callback(Lookup(path)); });
  }

  std::unique_ptr<Ticket> Get(absl::Time now,
                              SnapshotCallback callback) override {
    LookAtTheClock(now);
    // Where the server has never told anything it is asked sooner.
    const bool lasting = knowledge_ == Knowledge::kNoReflection || reflected_;
    if (MayFetch(lasting ? options_.refresh_after
                         : options_.min_fetch_interval)) {
      StartFetch();
    }
    // The rule of a request may be the server's: before it was asked for the
    // first time, what the files say is not all.
    const bool certain = schema_ != nullptr && knowledge_ != Knowledge::kNone;
    if (certain || conversation_ == nullptr) {
      callback(Snapshot());
      return nullptr;
    }
    return Wait(
        [this, callback = std::move(callback)] { callback(Snapshot()); });
  }

  void Refresh(absl::Time now) override {
    LookAtTheClock(now);
    if (options_.reflection && conversation_ == nullptr) StartFetch();
  }

 private:
  // What the last fetch that ended has taught.
  enum class Knowledge {
    kNone,          // None has ended yet.
    kFetched,       // The schema has what the server has.
    kNoReflection,  // The server answered UNIMPLEMENTED to both names.
    kFailed,        // failure_ says why; the schema is an older one, if any.
  };

  // Shared by the ticket and the source, whichever goes first.
  struct Waiter {
    std::function<void()> answer;  // Empty once called or cancelled.
  };

  class WaitingTicket final : public Ticket {
   public:
    explicit WaitingTicket(std::shared_ptr<Waiter> waiter)
        : waiter_(std::move(waiter)) {}
    ~WaitingTicket() override { *waiter_ = Waiter(); }

   private:
    const std::shared_ptr<Waiter> waiter_;
  };

  std::unique_ptr<Ticket> Wait(std::function<void()> answer) {
    // Clients come and go while a slow server is being asked.
    if (waiters_.size() >= forget_at_) {
      std::erase_if(waiters_,
                    [](const auto& waiter) { return !waiter->answer; });
      forget_at_ = std::max(kFewWaiters, 2 * waiters_.size());
    }
    waiters_.push_back(std::make_shared<Waiter>(Waiter{std::move(answer)}));
    return std::make_unique<WaitingTicket>(waiters_.back());
  }

  void LookAtTheClock(absl::Time now) {
    latest_now_ = std::max(latest_now_, now);
    if (files_.empty() || latest_now_ - files_checked_ < kFileCheckInterval) {
      return;
    }
    files_checked_ = latest_now_;
    if (!files_.Refresh()) return;
    Build();
    Tell();
  }

  bool MayFetch(absl::Duration interval) const {
    return options_.reflection && conversation_ == nullptr &&
           (knowledge_ == Knowledge::kNone ||
            latest_now_ - fetch_ended_ >= interval);
  }

  void StartFetch() {
    tried_other_ = false;
    StartConversation();
  }

  void StartConversation() {
    conversation_ =
        AskReflection(upstream_, version_, options_.fetch_timeout, *this);
  }

  void OnReflected(absl::Status status, std::vector<FileDescriptorProto> files,
                   std::vector<std::string> warnings) override {
    // Its caller: it must live until this returns.
    const std::unique_ptr<ReflectionConversation> done =
        std::move(conversation_);
    if (absl::IsUnimplemented(status) && !tried_other_) {
      tried_other_ = true;
      version_ = version_ == ReflectionVersion::kV1
                     ? ReflectionVersion::kV1Alpha
                     : ReflectionVersion::kV1;
      StartConversation();
      return;
    }

    fetch_ended_ = latest_now_;
    const bool files_changed = files_.Refresh();
    if (status.ok()) {
      knowledge_ = Knowledge::kFetched;
      failure_ = absl::OkStatus();
      reflected_ = true;
      reflected_files_ = std::move(files);
      fetch_warnings_ = std::move(warnings);
    } else if (absl::IsUnimplemented(status)) {
      knowledge_ = Knowledge::kNoReflection;
      failure_ = Annotate(status, "the upstream has no server reflection");
    } else {
      knowledge_ = Knowledge::kFailed;
      failure_ = Annotate(status, "server reflection");
    }
    if (status.ok() || files_changed) Build();

    std::vector<std::shared_ptr<Waiter>> waiters;
    waiters.swap(waiters_);
    const std::weak_ptr<bool> alive = alive_;
    Tell();
    for (const auto& waiter : waiters) {
      if (alive.expired()) return;  // Destroyed by one of the callbacks.
      if (!waiter->answer) continue;
      // The callback may destroy its ticket, and with it what the waiter holds.
      const auto answer = std::exchange(waiter->answer, nullptr);
      answer();
    }
  }

  void Build() {
    build_warnings_.clear();
    rules_ = nullptr;
    std::vector<FileDescriptorProto> all = files_.Descriptors();
    if (all.empty() && !reflected_) return;
    if (files_.empty()) {
      all = std::move(reflected_files_);  // Nothing else will build it again.
      reflected_files_.clear();
    } else {
      all.insert(all.end(), reflected_files_.begin(), reflected_files_.end());
    }
    schema_ = Schema::Build(std::move(all), &build_warnings_);
    if (rules_wanted_) BuildRules();
  }

  void BuildRules() { rules_ = HttpRules::Build(schema_, &build_warnings_); }

  // Before the server was asked there is nothing to tell of it yet.
  void Tell() {
    if (!on_fetched_) return;
    if (options_.reflection && knowledge_ == Knowledge::kNone) return;
    std::vector<std::string> warnings = files_.faults();
    for (const auto* more : {&fetch_warnings_, &build_warnings_}) {
      warnings.insert(warnings.end(), more->begin(), more->end());
    }
    absl::Status status = failure_;
    if (!options_.reflection && schema_ == nullptr) status = FilesMissing();
    on_fetched_(status, status.ok() ? schema_.get() : nullptr, warnings);
  }

  // What files say is told in the log (Tell); a client need not know paths.
  absl::Status FilesMissing() const {
    return absl::UnavailableError(
        absl::StrCat("not all of the upstream's descriptor sets can be read: ",
                     files_.Names()));
  }

  absl::Status NothingKnown() const {
    if (!failure_.ok()) return failure_;
    return absl::UnimplementedError(
        "the upstream has neither descriptor sets nor server reflection");
  }

  absl::StatusOr<SchemaSnapshot> Snapshot() {
    if (schema_ == nullptr) {
      const bool answered = knowledge_ != Knowledge::kFailed;
      return answered && !files_.complete() ? FilesMissing() : NothingKnown();
    }
    if (rules_ == nullptr) {
      rules_wanted_ = true;
      const std::size_t before = build_warnings_.size();
      BuildRules();
      if (build_warnings_.size() != before) Tell();
    }
    return SchemaSnapshot{schema_, rules_};
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
    if (options_.reflection && knowledge_ == Knowledge::kFailed) {
      return failure_;
    }
    // A guess would do harm where the answer is in a file.
    if (!files_.complete()) return FilesMissing();
    const bool asked =
        options_.reflection && knowledge_ != Knowledge::kNoReflection;
    if (files_.empty()) {
      return absl::UnimplementedError(
          asked ? absl::StrCat("unknown method ", name)
                : absl::StrCat("the upstream has no server reflection, so ",
                               name, " is not known"));
    }
    return absl::UnimplementedError(absl::StrCat(
        "unknown method ", name, ": the upstream's descriptors come from ",
        files_.Names(), asked ? " and its server reflection" : ""));
  }

  Upstream& upstream_;
  const SchemaSourceOptions options_;
  const SchemaFetched on_fetched_;
  const std::shared_ptr<const Schema> built_in_;

  DescriptorFiles files_;
  absl::Time files_checked_ = absl::InfinitePast();

  Knowledge knowledge_ = Knowledge::kNone;
  absl::Status failure_;
  bool reflected_ = false;  // A fetch has succeeded at some time.
  // Of the last fetch that succeeded, kept as long as files may change.
  std::vector<FileDescriptorProto> reflected_files_;
  std::vector<std::string> fetch_warnings_;

  std::shared_ptr<const Schema> schema_;  // Null when nothing is known.
  std::vector<std::string> build_warnings_;
  bool rules_wanted_ = false;  // Get has been called.
  std::shared_ptr<const HttpRules> rules_;

  // There is no clock in here: a fetch ends at the time of the last question
  // before its end.
  absl::Time latest_now_ = absl::InfinitePast();
  absl::Time fetch_ended_ = absl::InfinitePast();

  // The one that worked last.
  ReflectionVersion version_ = ReflectionVersion::kV1;
  bool tried_other_ = false;  // In this fetch.
  std::vector<std::shared_ptr<Waiter>> waiters_;
  // How many there are before those that were cancelled are taken out.
  std::size_t forget_at_ = kFewWaiters;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  // Null when no fetch is under way.
  std::unique_ptr<ReflectionConversation> conversation_;
};

}  // namespace

std::unique_ptr<SchemaSource> MakeSchemaSource(Upstream& upstream,
                                               SchemaSourceOptions options,
                                               SchemaFetched on_fetched) {
  return std::make_unique<CombinedSource>(upstream, std::move(options),
                                          std::move(on_fetched));
}

}  // namespace headgate
