#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/base/status.h"
#include "gateway/upstream/schema_source.h"
#include "headgate/reflection/reflection.pb.h"

namespace headgate {
namespace {

using ::google::protobuf::FileDescriptorProto;

// What a server may make us hold. The largest real APIs are a tenth of this.
constexpr std::size_t kMaxFiles = 10'000;
constexpr std::size_t kMaxDescriptorBytes = 64 << 20;

// The two names of the one protocol, the standard one first.
constexpr const char* kMethods[] = {
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
};

class ConversationObserver {
 public:
  // Once, and last; the observer may destroy the conversation in here.
  virtual void OnConversationDone(absl::Status status,
                                  std::vector<FileDescriptorProto> files,
                                  std::vector<std::string> warnings) = 0;

 protected:
  ~ConversationObserver() = default;
};

// One ServerReflectionInfo call: asks for all services, then for the file of
// each, then for the imports that are still missing, until there are none.
//
// Thread: that of its upstream. Lifetime: destroying it cancels the call.
class Conversation final : public UpstreamCallObserver {
 public:
  Conversation(Upstream& upstream, const char* method, absl::Duration timeout,
               ConversationObserver& observer)
      : timeout_(timeout),
        observer_(observer),
        call_(upstream.StartCall({method, {}, timeout}, *this)) {
    Ask({Question::kServices, ""});
    call_->Read();
  }

  void OnWritten() override {
    writing_ = false;
    Write();
  }

  void OnMessage(std::string payload) override {
    reflection::ServerReflectionResponse response;
    absl::Status status;
    if (!response.ParseFromString(payload)) {
      status = absl::InternalError("an answer that is no reflection response");
    } else if (awaited_.empty()) {
      status = absl::InternalError("an answer that nobody asked for");
    } else {
      const Question question = std::move(awaited_.front());
      awaited_.pop_front();
      status = Take(question, std::move(response));
      if (status.ok() && awaited_.empty() && unasked_.empty()) {
        status = AskForImports();
      }
    }
    if (!status.ok()) {
      Finish(std::move(status));
      return;
    }
    Write();
    call_->Read();
  }

  void OnDone(CallEnd end) override {
    if (complete_) {
      Finish(absl::OkStatus());
    } else if (end.status.ok()) {
      Finish(absl::InternalError("the upstream ended it before all was told"));
    } else if (end.status.code() == absl::StatusCode::kDeadlineExceeded) {
      Finish(absl::UnavailableError(
          absl::StrCat("the upstream did not answer within ",
                       absl::FormatDuration(timeout_))));
    } else {
      Finish(std::move(end.status));
    }
  }

 private:
  struct Question {
    enum Kind { kServices, kSymbol, kFile } kind;
    std::string name;
  };

  void Ask(Question question) {
    unasked_.push_back(std::move(question));
    Write();
  }

  // Writes the next question, or says that there are no more.
  void Write() {
    if (writing_) return;
    if (unasked_.empty()) {
      if (complete_ && !writes_done_) {
        writes_done_ = true;
        call_->WritesDone();
      }
      return;
    }
    Question question = std::move(unasked_.front());
    unasked_.pop_front();
    reflection::ServerReflectionRequest request;
    switch (question.kind) {
      case Question::kServices:
        request.set_list_services("*");
        break;
      case Question::kSymbol:
        request.set_file_containing_symbol(question.name);
        break;
      case Question::kFile:
        request.set_file_by_filename(question.name);
        break;
    }
    awaited_.push_back(std::move(question));
    writing_ = true;
    call_->Write(request.SerializeAsString());
  }

  absl::Status Take(const Question& question,
                    reflection::ServerReflectionResponse response) {
    if (response.has_error_response()) {
      return TakeError(question, response.error_response());
    }
    if (question.kind == Question::kServices) {
      if (!response.has_list_services_response()) {
        return absl::InternalError("an answer other than the services");
      }
      for (auto& service :
           *response.mutable_list_services_response()->mutable_service()) {
        if (!asked_symbols_.insert(service.name()).second) continue;
        if (asked_symbols_.size() > kMaxFiles) return TooMuch();
        Ask({Question::kSymbol, std::move(*service.mutable_name())});
      }
      return absl::OkStatus();
    }
    if (!response.has_file_descriptor_response()) {
      return absl::InternalError("an answer other than the files");
    }
    for (const std::string& bytes :
         response.file_descriptor_response().file_descriptor_proto()) {
      FileDescriptorProto file;
      if (!file.ParseFromString(bytes) || file.name().empty()) {
        return absl::InternalError(absl::StrCat("a file for ", question.name,
                                                " that is no file descriptor"));
      }
      // Servers send a file again with each service that imports it.
      if (!names_.insert(file.name()).second) continue;
      descriptor_bytes_ += bytes.size();
      if (names_.size() > kMaxFiles ||
          descriptor_bytes_ > kMaxDescriptorBytes) {
        return TooMuch();
      }
      files_.push_back(std::move(file));
    }
    return absl::OkStatus();
  }

  absl::Status TakeError(const Question& question,
                         const reflection::ErrorResponse& error) {
    switch (question.kind) {
      case Question::kServices: {
        absl::StatusCode code = StatusCodeFromWire(error.error_code());
        if (code == absl::StatusCode::kOk) code = absl::StatusCode::kUnknown;
        return Annotate(absl::Status(code, error.error_message()),
                        "listing the services");
      }
      case Question::kSymbol:
        warnings_.push_back(
            absl::StrCat(question.name, ": ", error.error_message()));
        return absl::OkStatus();
      case Question::kFile:
        // The library may have it; if not, building the schema will warn.
        return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  // Asks for what the files import and nobody has sent; with nothing to ask
  // for, the conversation is complete.
  absl::Status AskForImports() {
    for (; scanned_ < files_.size(); ++scanned_) {
      for (const std::string& import : files_[scanned_].dependency()) {
        if (names_.contains(import) || !asked_files_.insert(import).second) {
          continue;
        }
        if (asked_files_.size() > kMaxFiles) return TooMuch();
        Ask({Question::kFile, import});
      }
    }
    complete_ = awaited_.empty() && unasked_.empty();
    return absl::OkStatus();
  }

  static absl::Status TooMuch() {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kMaxFiles, " services or files, or ",
                     kMaxDescriptorBytes >> 20, " MiB of descriptors"));
  }

  void Finish(absl::Status status) {
    call_.reset();
    observer_.OnConversationDone(std::move(status), std::move(files_),
                                 std::move(warnings_));
  }

  const absl::Duration timeout_;
  ConversationObserver& observer_;

  std::deque<Question> unasked_;
  std::deque<Question> awaited_;  // Written; answers come in this order.
  bool writing_ = false;
  bool complete_ = false;  // All that was asked for was answered.
  bool writes_done_ = false;

  std::vector<FileDescriptorProto> files_;
  std::size_t scanned_ = 0;  // Of files_, for their imports.
  std::size_t descriptor_bytes_ = 0;
  absl::flat_hash_set<std::string> names_;  // Of files_.
  absl::flat_hash_set<std::string> asked_symbols_;
  absl::flat_hash_set<std::string> asked_files_;
  std::vector<std::string> warnings_;

  std::unique_ptr<UpstreamCall> call_;
};

class ReflectionSource final : public SchemaSource,
                               public ConversationObserver {
 public:
  ReflectionSource(Upstream& upstream, SchemaSourceOptions options,
                   SchemaFetched on_fetched)
      : upstream_(upstream),
        options_(options),
        on_fetched_(std::move(on_fetched)),
        built_in_(Schema::BuiltIn()) {}

  std::unique_ptr<Ticket> Resolve(absl::string_view path, absl::Time now,
                                  Callback callback) override {
    latest_now_ = std::max(latest_now_, now);
    const bool asked_before = knowledge_ != Knowledge::kNone;
    const ResolvedMethod known = Lookup(path);
    if (asked_before && known.method != nullptr) {
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
    auto waiter = std::make_shared<Waiter>();
    waiter->path = std::string(path);
    waiter->callback = std::move(callback);
    waiters_.push_back(waiter);
    return std::make_unique<WaitingTicket>(std::move(waiter));
  }

 private:
  // What the last fetch that ended has taught.
  enum class Knowledge {
    kNone,          // None has ended yet.
    kFetched,       // schema_ is what the server has.
    kNoReflection,  // The server answered UNIMPLEMENTED to both names.
    kFailed,        // failure_ says why; schema_ is an older one, if any.
  };

  // Shared by the ticket and the source, whichever goes first.
  struct Waiter {
    std::string path;
    Callback callback;  // Empty once called or cancelled.
  };

  class WaitingTicket final : public Ticket {
   public:
    explicit WaitingTicket(std::shared_ptr<Waiter> waiter)
        : waiter_(std::move(waiter)) {}
    ~WaitingTicket() override { *waiter_ = Waiter(); }

   private:
    const std::shared_ptr<Waiter> waiter_;
  };

  bool MayFetch(absl::Duration interval) const {
    return conversation_ == nullptr && (knowledge_ == Knowledge::kNone ||
                                        latest_now_ - fetch_ended_ >= interval);
  }

  void StartFetch() {
    tried_other_ = false;
    StartConversation();
  }

  void StartConversation() {
    conversation_ = std::make_unique<Conversation>(
        upstream_, kMethods[version_], options_.fetch_timeout, *this);
  }

  void OnConversationDone(absl::Status status,
                          std::vector<FileDescriptorProto> files,
                          std::vector<std::string> warnings) override {
    // Its caller: it must live until this returns.
    const std::unique_ptr<Conversation> done = std::move(conversation_);
    if (absl::IsUnimplemented(status) && !tried_other_) {
      tried_other_ = true;
      version_ = 1 - version_;
      StartConversation();
      return;
    }

    fetch_ended_ = latest_now_;
    if (status.ok()) {
      knowledge_ = Knowledge::kFetched;
      schema_ = Schema::Build(std::move(files), &warnings);
      failure_ = absl::OkStatus();
    } else if (absl::IsUnimplemented(status)) {
      knowledge_ = Knowledge::kNoReflection;
      failure_ = Annotate(status, "the upstream has no server reflection");
    } else {
      knowledge_ = Knowledge::kFailed;
      failure_ = Annotate(status, "server reflection");
    }

    std::vector<std::shared_ptr<Waiter>> waiters;
    waiters.swap(waiters_);
    const std::weak_ptr<bool> alive = alive_;
    if (on_fetched_) {
      on_fetched_(failure_, failure_.ok() ? schema_.get() : nullptr, warnings);
    }
    for (const auto& waiter : waiters) {
      if (alive.expired()) return;  // Destroyed by one of the callbacks.
      if (!waiter->callback) continue;
      // The callback may destroy its ticket, and with it what the waiter holds.
      const Callback callback = std::exchange(waiter->callback, nullptr);
      callback(Lookup(waiter->path));
    }
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
    const absl::string_view name = absl::StripPrefix(path, "/");
    switch (knowledge_) {
      case Knowledge::kNone:
      case Knowledge::kFetched:
        found.why_unknown =
            absl::UnimplementedError(absl::StrCat("unknown method ", name));
        break;
      case Knowledge::kNoReflection:
        found.why_unknown = absl::UnimplementedError(
            absl::StrCat("the upstream has no server reflection, so ", name,
                         " is not known"));
        break;
      case Knowledge::kFailed:
        found.why_unknown = failure_;
        break;
    }
    return found;
  }

  Upstream& upstream_;
  const SchemaSourceOptions options_;
  const SchemaFetched on_fetched_;
  const std::shared_ptr<const Schema> built_in_;

  Knowledge knowledge_ = Knowledge::kNone;
  std::shared_ptr<const Schema> schema_;
  absl::Status failure_;
  // There is no clock in here: a fetch ends at the time of the last Resolve
  // before its end.
  absl::Time latest_now_ = absl::InfinitePast();
  absl::Time fetch_ended_ = absl::InfinitePast();

  std::size_t version_ = 0;   // In kMethods, the one that worked last.
  bool tried_other_ = false;  // In this fetch.
  std::vector<std::shared_ptr<Waiter>> waiters_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  // Null when no fetch is under way.
  std::unique_ptr<Conversation> conversation_;
};

}  // namespace

std::unique_ptr<SchemaSource> MakeReflectionSource(Upstream& upstream,
                                                   SchemaSourceOptions options,
                                                   SchemaFetched on_fetched) {
  return std::make_unique<ReflectionSource>(upstream, options,
                                            std::move(on_fetched));
}

}  // namespace headgate
