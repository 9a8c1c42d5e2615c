#include "gateway/upstream/schema_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/file_stamp.h"
#include "gateway/base/status.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {
namespace {

using ::google::protobuf::FileDescriptorProto;

// Of a fetch that has failed, so that a reflection that hangs is found working
// soon after it does.
constexpr absl::Duration kMaxFailurePause = absl::Seconds(10);

// Types that wait for their turn. One takes about a round trip, and sessions
// wait for theirs for 5 s (session/type_pause.cc).
constexpr std::size_t kMaxPendingTypes = 1024;

}  // namespace

struct SchemaStore::Mailbox {
  Executor worker;
  Subscriber* subscriber;  // Null once it hears nothing more; the worker's.
};

class SchemaStore::MailboxSubscription final : public Subscription {
 public:
  MailboxSubscription(std::shared_ptr<SchemaStore> store,
                      std::shared_ptr<Mailbox> mailbox)
      : store_(std::move(store)), mailbox_(std::move(mailbox)) {}
  ~MailboxSubscription() override {
    mailbox_->subscriber = nullptr;
    const std::lock_guard<std::mutex> lock(store_->mutex_);
    std::erase(store_->mailboxes_, mailbox_);
  }

 private:
  const std::shared_ptr<SchemaStore> store_;
  const std::shared_ptr<Mailbox> mailbox_;
};

std::shared_ptr<SchemaStore> SchemaStore::Make(SchemaSourceOptions options,
                                               Executor builder) {
  std::shared_ptr<SchemaStore> store(
      new SchemaStore(std::move(options), std::move(builder)));
  if (store->reads_files()) {
    store->builder_([store] { store->LoadFiles(); });
  }
  return store;
}

SchemaStore::SchemaStore(SchemaSourceOptions options, Executor builder)
    : options_(std::move(options)),
      builder_(std::move(builder)),
      file_names_(DescriptorFiles::NamesOf(options_.files)),
      files_due_(absl::ToUnixNanos(absl::InfinitePast())),
      files_(options_.files),
      http_rules_files_(options_.http_rules_files),
      asked_types_(options_.refresh_after) {
  State state;
  state.loaded = !reads_files();
  state.files_complete = !has_files();
  state.unknown_pause = options_.min_fetch_interval;
  state_ = std::make_shared<const State>(std::move(state));
}

std::unique_ptr<SchemaStore::Subscription> SchemaStore::Subscribe(
    Executor worker, Subscriber& subscriber,
    std::shared_ptr<const State>* state) {
  auto mailbox =
      std::make_shared<Mailbox>(Mailbox{std::move(worker), &subscriber});
  const std::lock_guard<std::mutex> lock(mutex_);
  mailboxes_.push_back(mailbox);
  *state = state_;
  return std::make_unique<MailboxSubscription>(shared_from_this(),
                                               std::move(mailbox));
}

SchemaStore::Fetch SchemaStore::BeginFetch(Reason reason, absl::Time now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  latest_now_ = std::max(latest_now_, now);
  if (fetching_) return {Turn::kUnderWay, state_, version_};
  absl::Duration interval;
  switch (reason) {
    case Reason::kAge:
      interval = options_.refresh_after;
      break;
    case Reason::kUnknownMethod:
      interval = state_->unknown_pause;
      break;
    case Reason::kChange:
      interval = absl::ZeroDuration();
      break;
  }
  const bool due = state_->knowledge == Knowledge::kNone ||
                   latest_now_ - state_->fetch_ended >= interval;
  if (!options_.reflection || !due) return {Turn::kNotDue, state_, version_};
  fetching_ = true;
  fetch_reason_ = reason;
  return {Turn::kYours, state_, version_};
}

void SchemaStore::EndFetch(ReflectedFiles reflected,
                           ReflectionVersion version) {
  absl::Time ended;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    version_ = version;
    ended = latest_now_;
  }
  builder_(
      [self = shared_from_this(), ended,
       reflected = std::make_shared<ReflectedFiles>(std::move(reflected))] {
        self->TakeFetched(std::move(*reflected), ended);
      });
}

void SchemaStore::AbandonFetch() {
  builder_([self = shared_from_this()] {
    self->Publish(*self->state_, Change::kFetchAbandoned);
  });
}

std::optional<ReflectionVersion> SchemaStore::WantType(const std::string& type,
                                                       absl::Time now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  latest_now_ = std::max(latest_now_, now);
  if (state_->knowledge != Knowledge::kFetched) return std::nullopt;
  if (pending_types_.contains(type) ||
      pending_types_.size() >= kMaxPendingTypes ||
      !asked_types_.Add(type, latest_now_)) {
    return std::nullopt;
  }
  pending_types_.insert(type);
  if (fetching_type_) {
    wanted_types_.push_back(type);
    return std::nullopt;
  }
  fetching_type_ = true;
  fetched_type_ = type;
  return version_;
}

std::string SchemaStore::EndTypeFetch(ReflectedFiles reflected) {
  std::string ended, next;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended = std::move(fetched_type_);
    fetching_type_ = !wanted_types_.empty();
    if (fetching_type_) {
      next = std::move(wanted_types_.front());
      wanted_types_.pop_front();
    }
    fetched_type_ = next;
  }
  builder_([self = shared_from_this(), ended = std::move(ended),
            reflected = std::make_shared<ReflectedFiles>(
                std::move(reflected))] { self->TakeType(ended, *reflected); });
  return next;
}

void SchemaStore::TakeType(const std::string& type,
                           const ReflectedFiles& reflected) {
  std::vector<FileDescriptorProto> protos;
  for (const ReflectedFiles::File& file : reflected.files) {
    FileDescriptorProto proto;
    if (proto.ParseFromString(file.bytes)) protos.push_back(std::move(proto));
  }
  if (!protos.empty() && state_->schema != nullptr) {
    state_->schema->Learn(std::move(protos));
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    pending_types_.erase(type);
  }
  Publish(*state_, Change::kType);
}

void SchemaStore::AbandonTypeFetch() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    fetching_type_ = false;
    wanted_types_.clear();
    asked_types_.Clear();
    pending_types_.clear();
  }
  builder_([self = shared_from_this()] {
    self->Publish(*self->state_, Change::kType);
  });
}

bool SchemaStore::AsksForType(const std::string& type) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return pending_types_.contains(type);
}

void SchemaStore::CheckFiles(absl::Time now) {
  if (!reads_files()) return;
  std::int64_t due = files_due_.load(std::memory_order_relaxed);
  const std::int64_t at = absl::ToUnixNanos(now);
  if (at < due || !files_due_.compare_exchange_strong(
                      due, at + absl::ToInt64Nanoseconds(kFileCheckInterval),
                      std::memory_order_relaxed)) {
    return;
  }
  builder_([self = shared_from_this()] { self->LoadFiles(); });
}

void SchemaStore::WantRules() {
  if (rules_wanted_.load(std::memory_order_relaxed) ||
      rules_wanted_.exchange(true)) {
    return;
  }
  builder_([self = shared_from_this()] {
    if (self->rule_warnings_.empty()) return;
    self->Publish(*self->state_, Change::kWarnings);
  });
}

// --- tasks of the builder, which alone changes state_ ---

bool SchemaStore::RefreshFiles() {
  const bool descriptors_changed = files_.Refresh();
  return http_rules_files_.Refresh() || descriptors_changed;
}

void SchemaStore::LoadFiles() {
  const bool changed = RefreshFiles();
  if (!changed && state_->loaded) return;
  State state = *state_;
  Build(state);
  Publish(std::move(state), Change::kFiles);
}

void SchemaStore::TakeFetched(ReflectedFiles reflected, absl::Time ended) {
  State state = *state_;
  const bool files_changed = RefreshFiles();
  const absl::Status& status = reflected.status;
  if (status.ok()) {
    state.knowledge = Knowledge::kFetched;
    state.failure = absl::OkStatus();
    state.reflected = true;
    reflected_ = std::move(reflected.files);
    // Servers list their services in any order.
    std::sort(reflected_.begin(), reflected_.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    fetch_warnings_ = std::move(reflected.warnings);
  } else if (absl::IsUnimplemented(status)) {
    state.knowledge = Knowledge::kNoReflection;
    state.failure = Annotate(status, "the upstream has no server reflection");
  } else {
    state.knowledge = Knowledge::kFailed;
    state.failure = Annotate(status, "server reflection");
  }
  state.fetch_ended = ended;
  const bool changed = (status.ok() || files_changed) && Build(state);
  const absl::Duration longest =
      state.knowledge == Knowledge::kFailed
          ? std::min(kMaxFailurePause, options_.refresh_after)
          : options_.refresh_after;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool useless = fetch_reason_ == Reason::kUnknownMethod ||
                         state.knowledge == Knowledge::kFailed;
    if (changed || (status.ok() && fetch_reason_ == Reason::kChange)) {
      state.unknown_pause = options_.min_fetch_interval;
    } else if (useless) {
      // Those who ask for methods that are not there are not to keep the
      // upstream busy.
      const bool again = ended - last_useless_ < 2 * options_.refresh_after;
      state.unknown_pause = again ? std::min(2 * state.unknown_pause, longest)
                                  : options_.min_fetch_interval;
      state.unknown_pause =
          std::max(state.unknown_pause, options_.min_fetch_interval);
      last_useless_ = ended;
    }
  }
  Publish(std::move(state), Change::kFetchEnded);
}

bool SchemaStore::Build(State& state) {
  state.loaded = true;
  state.files_complete = files_.complete();
  std::string digests = files_.Digests();
  for (const ReflectedFiles::File& file : reflected_) {
    digests += Digest(file.bytes);
  }
  if (digests.empty() && !state.reflected) return false;
  std::string digest = Digest(digests + http_rules_files_.Digests());
  if (digest == digest_) {
    if (!reads_files()) reflected_.clear();
    return false;
  }
  digest_ = std::move(digest);
  build_warnings_.clear();
  rule_warnings_.clear();
  std::vector<FileDescriptorProto> all = files_.Descriptors();
  for (const ReflectedFiles::File& file : reflected_) {
    if (FileDescriptorProto proto; proto.ParseFromString(file.bytes)) {
      all.push_back(std::move(proto));
    } else {
      build_warnings_.push_back(
          absl::StrCat(file.name, ": is no file descriptor"));
    }
  }
  if (!reads_files()) reflected_.clear();  // Nothing else will build it again.
  const HttpRuleOverrides rules = http_rules_files_.Rules();
  state.schema =
      FreedByBuilder(Schema::Build(std::move(all), &build_warnings_, rules));
  const bool incomplete =
      std::any_of(build_warnings_.begin(), build_warnings_.end(),
                  [](const std::string& warning) {
                    return absl::StrContains(warning, "nothing defines");
                  });
  if (has_files() && incomplete) {
    build_warnings_.push_back(absl::StrCat(
        file_names_,
        ": a descriptor set needs its imports, write it with protoc "
        "--include_imports"));
  }
  state.http_rules =
      FreedByBuilder(HttpRules::Build(state.schema, &rule_warnings_));
  WarnOfUnmatchedRules(state, rules);
  return true;
}

// Not before the server was asked, whose methods they may be.
void SchemaStore::WarnOfUnmatchedRules(const State& state,
                                       const HttpRuleOverrides& rules) {
  if (rules.empty() || (options_.reflection && !state.reflected)) return;
  for (const std::string& selector : state.schema->Unmatched(rules)) {
    rule_warnings_.push_back(absl::StrCat("http_rules_files: the selector ",
                                          selector, " names no method"));
  }
}

// A worker may be the last that uses it, and freeing it takes long, too.
template <typename T>
std::shared_ptr<const T> SchemaStore::FreedByBuilder(
    std::shared_ptr<const T> value) {
  const T* const raw = value.get();
  return std::shared_ptr<const T>(
      raw, [builder = builder_, value = std::move(value)](const T*) mutable {
        builder([value = std::move(value)] {});
      });
}

void SchemaStore::Publish(State state, Change change) {
  state.warnings = files_.faults();
  const std::vector<std::string> rule_faults = http_rules_files_.faults();
  const std::vector<std::string>* const all[] = {&rule_faults, &fetch_warnings_,
                                                 &build_warnings_};
  for (const std::vector<std::string>* more : all) {
    state.warnings.insert(state.warnings.end(), more->begin(), more->end());
  }
  if (rules_wanted_) {
    state.warnings.insert(state.warnings.end(), rule_warnings_.begin(),
                          rule_warnings_.end());
  }
  const auto published = std::make_shared<const State>(std::move(state));
  std::vector<std::shared_ptr<Mailbox>> mailboxes;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // What was learned was learned for the old one.
    if (state_->schema != published->schema) asked_types_.Clear();
    state_ = published;
    if (change == Change::kFetchEnded || change == Change::kFetchAbandoned) {
      fetching_ = false;
    }
    mailboxes = mailboxes_;
  }
  for (const auto& mailbox : mailboxes) {
    mailbox->worker([mailbox, published, change] {
      if (mailbox->subscriber != nullptr) {
        mailbox->subscriber->OnState(published, change);
      }
    });
  }
}

}  // namespace headgate
