#include "gateway/upstream/reflection.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/clock.h"
#include "gateway/base/status.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "headgate/reflection/reflection.pb.h"

namespace headgate {
namespace {

using ::google::protobuf::internal::WireFormatLite;
using ::google::protobuf::io::CodedInputStream;

// What a server may make us hold, beside kMaxDescriptorBytes.
constexpr std::size_t kMaxFiles = 10'000;

// The part of a FileDescriptorProto that the conversation goes by.
struct FileHead {
  std::string name;
  std::vector<std::string> imports;
};

// Absent when `bytes` are not one.
std::optional<FileHead> ReadHead(const std::string& bytes) {
  constexpr int kName = 1;
  constexpr int kDependency = 3;
  CodedInputStream input(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                         static_cast<int>(bytes.size()));
  FileHead head;
  while (const std::uint32_t tag = input.ReadTag()) {
    std::string text;
    switch (WireFormatLite::GetTagFieldNumber(tag)) {
      case kName:
      case kDependency:
        if (!WireFormatLite::ReadBytes(&input, &text)) return std::nullopt;
        if (WireFormatLite::GetTagFieldNumber(tag) == kName) {
          head.name = std::move(text);
        } else {
          head.imports.push_back(std::move(text));
        }
        break;
      default:
        if (!WireFormatLite::SkipField(&input, tag)) return std::nullopt;
    }
  }
  if (!input.ConsumedEntireMessage() || head.name.empty()) return std::nullopt;
  return head;
}

void AddTypes(const std::string& scope,
              const google::protobuf::DescriptorProto& message,
              absl::flat_hash_set<std::string>& defined,
              absl::flat_hash_set<std::string>& named) {
  const std::string name = absl::StrCat(scope, ".", message.name());
  defined.insert(name);
  for (const auto& field : message.field()) {
    if (!field.type_name().empty()) named.insert(field.type_name());
  }
  for (const auto& type : message.enum_type()) {
    defined.insert(absl::StrCat(name, ".", type.name()));
  }
  for (const auto& nested : message.nested_type()) {
    AddTypes(name, nested, defined, named);
  }
}

// The full names of the types that `files` use and do not define.
std::vector<std::string> MissingTypes(
    const std::vector<ReflectedFiles::File>& files) {
  absl::flat_hash_set<std::string> defined;  // ".package.Type"
  absl::flat_hash_set<std::string> named;
  for (const ReflectedFiles::File& one : files) {
    google::protobuf::FileDescriptorProto file;
    if (!file.ParseFromString(one.bytes)) continue;
    const std::string scope =
        file.package().empty() ? "" : absl::StrCat(".", file.package());
    for (const auto& type : file.enum_type()) {
      defined.insert(absl::StrCat(scope, ".", type.name()));
    }
    for (const auto& message : file.message_type()) {
      AddTypes(scope, message, defined, named);
    }
    for (const auto& service : file.service()) {
      for (const auto& method : service.method()) {
        named.insert(method.input_type());
        named.insert(method.output_type());
      }
    }
  }
  std::vector<std::string> missing;
  for (const std::string& name : named) {
    // Compilers write full names, with the dot.
    if (absl::StartsWith(name, ".") && !defined.contains(name) &&
        !absl::StartsWith(name, ".google.protobuf.")) {
      missing.push_back(name.substr(1));
    }
  }
  std::sort(missing.begin(), missing.end());
  return missing;
}

// gRPC's C++ servers offer it and have no descriptors for it.
constexpr char kHealth[] = "grpc.health.v1.Health";

const char* MethodOf(ReflectionVersion version) {
  return version == ReflectionVersion::kV1
             ? "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
             : "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
}

class Conversation final : public ReflectionConversation,
                           private UpstreamCallObserver {
 public:
  // `type`: see AskReflectionForType; empty: all services are asked for.
  Conversation(Upstream& upstream, const char* method, absl::Duration timeout,
               std::string type,
               std::function<bool(const std::string&)> is_known,
               ReflectionObserver& observer)
      : upstream_(upstream),
        method_(method),
        timeout_(timeout),
        deadline_(SteadyNow() + timeout),
        observer_(observer),
        is_known_(std::move(is_known)) {
    unasked_.push_back(type.empty() ? Question{Question::kServices, ""}
                                    : Question{Question::kType, type});
    StartCall(timeout);
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
      answered_ = true;
      listed_ = listed_ || question.kind == Question::kServices;
      status = Take(question, std::move(response));
      if (status.ok() && awaited_.empty() && unasked_.empty()) {
        status = AskForMore();
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
    } else if (MayGoOn(end.status)) {
      GoOn(end.status);
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
    enum Kind { kServices, kSymbol, kType, kFile } kind;
    std::string name;
  };

  void StartCall(absl::Duration timeout) {
    answered_ = false;
    writing_ = false;
    CallRequest request{method_, {}, timeout};
    // A server may send all of its files in one response.
    request.max_answer_bytes = kMaxDescriptorBytes;
    call_ = upstream_.StartCall(std::move(request), *this);
    Write();
    call_->Read();
  }

  // Whether the call has ended because of a name, or of what the server thinks
  // of long calls, not because the server is gone.
  bool MayGoOn(const absl::Status& status) const {
    return listed_ && !absl::IsUnavailable(status) &&
           !absl::IsDeadlineExceeded(status) && SteadyNow() < deadline_;
  }

  // Another call, for what is left. It is asked one by one from now on, so that
  // the first question is the one that ends a call.
  void GoOn(const absl::Status& status) {
    call_.reset();
    one_by_one_ = true;
    unasked_.insert(unasked_.begin(), std::make_move_iterator(awaited_.begin()),
                    std::make_move_iterator(awaited_.end()));
    awaited_.clear();
    if (!answered_ && !unasked_.empty()) {
      const Question bad = std::move(unasked_.front());
      unasked_.pop_front();
      if (bad.kind == Question::kSymbol && bad.name != kHealth) {
        reflected_.warnings.push_back(absl::StrCat(
            bad.name, ": the upstream's reflection ends with ",
            status.ok() ? "OK, and no answer" : MessageForLog(status)));
      }
    }
    if (unasked_.empty() && !AskForMore().ok()) return Finish(TooMuch());
    if (complete_) return Finish(absl::OkStatus());
    StartCall(std::max(deadline_ - SteadyNow(), absl::Milliseconds(1)));
  }

  void Ask(Question question) {
    unasked_.push_back(std::move(question));
    Write();
  }

  // Writes the next question, or says that there are no more.
  void Write() {
    if (call_ == nullptr || writing_ || (one_by_one_ && !awaited_.empty())) {
      return;
    }
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
      case Question::kType:
        request.set_file_containing_symbol(question.name);
        break;
      case Question::kFile:
        request.set_file_by_filename(question.name);
        break;
    }
    awaited_.push_back(std::move(question));
    writing_ = true;
    call_->Write(request.SerializeAsString(), WriteHint::kLast);
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
    for (std::string& bytes : *response.mutable_file_descriptor_response()
                                   ->mutable_file_descriptor_proto()) {
      std::optional<FileHead> head = ReadHead(bytes);
      if (!head) {
        return absl::InternalError(absl::StrCat("a file for ", question.name,
                                                " that is no file descriptor"));
      }
      // Servers send a file again with each service that imports it.
      if (!names_.insert(head->name).second) continue;
      descriptor_bytes_ += bytes.size();
      if (names_.size() > kMaxFiles ||
          descriptor_bytes_ > kMaxDescriptorBytes) {
        return TooMuch();
      }
      imports_.insert(imports_.end(),
                      std::make_move_iterator(head->imports.begin()),
                      std::make_move_iterator(head->imports.end()));
      reflected_.files.push_back({std::move(head->name), std::move(bytes)});
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
        if (question.name == kHealth) return absl::OkStatus();
        reflected_.warnings.push_back(
            absl::StrCat(question.name, ": ", error.error_message()));
        return absl::OkStatus();
      case Question::kType:
      case Question::kFile:
        // The library may have it; if not, building the schema will warn.
        return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  // Asks for what the files import and nobody has sent, then for types that are
  // still missing; with nothing to ask for, the conversation is complete.
  absl::Status AskForMore() {
    for (std::string& import : std::exchange(imports_, {})) {
      if (is_known_ && is_known_(import)) continue;
      if (names_.contains(import) || !asked_files_.insert(import).second) {
        continue;
      }
      if (asked_files_.size() > kMaxFiles) return TooMuch();
      Ask({Question::kFile, std::move(import)});
    }
    if (awaited_.empty() && unasked_.empty()) AskForTypes();
    if (asked_symbols_.size() > kMaxFiles) return TooMuch();
    complete_ = awaited_.empty() && unasked_.empty();
    return absl::OkStatus();
  }

  // Only where an import is missing: then files are parsed, on the worker.
  void AskForTypes() {
    const bool any_missing =
        std::any_of(asked_files_.begin(), asked_files_.end(),
                    [this](const std::string& file) {
                      return !names_.contains(file) &&
                             !absl::StartsWith(file, "google/protobuf/");
                    });
    if (!any_missing || types_scanned_ == reflected_.files.size()) return;
    types_scanned_ = reflected_.files.size();
    for (std::string& type : MissingTypes(reflected_.files)) {
      if (asked_symbols_.insert(type).second) {
        Ask({Question::kType, std::move(type)});
      }
    }
  }

  static absl::Status TooMuch() {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kMaxFiles, " services or files, or ",
                     kMaxDescriptorBytes >> 20, " MiB of descriptors"));
  }

  void Finish(absl::Status status) {
    call_.reset();
    reflected_.status = std::move(status);
    if (!reflected_.status.ok()) reflected_.files.clear();
    observer_.OnReflected(std::move(reflected_));
  }

  Upstream& upstream_;
  const char* const method_;
  const absl::Duration timeout_;
  const absl::Time deadline_;
  ReflectionObserver& observer_;
  const std::function<bool(const std::string&)> is_known_;  // May be null.

  std::deque<Question> unasked_;
  std::deque<Question> awaited_;  // Written; answers come in this order.
  bool writing_ = false;
  bool one_by_one_ = false;  // A call has ended before its time.
  bool answered_ = false;    // A question of this call was.
  bool listed_ = false;      // The services are known.
  bool complete_ = false;    // All that was asked for was answered.
  bool writes_done_ = false;

  ReflectedFiles reflected_;
  std::vector<std::string> imports_;  // Of its files, not looked at yet.
  std::size_t types_scanned_ = 0;     // Files that MissingTypes has seen.
  std::size_t descriptor_bytes_ = 0;
  absl::flat_hash_set<std::string> names_;  // Of its files.
  absl::flat_hash_set<std::string> asked_symbols_;
  absl::flat_hash_set<std::string> asked_files_;

  std::unique_ptr<UpstreamCall> call_;
};

}  // namespace

std::unique_ptr<ReflectionConversation> AskReflection(
    Upstream& upstream, ReflectionVersion version, absl::Duration timeout,
    ReflectionObserver& observer) {
  return std::make_unique<Conversation>(upstream, MethodOf(version), timeout,
                                        "", nullptr, observer);
}

std::unique_ptr<ReflectionConversation> AskReflectionForType(
    Upstream& upstream, ReflectionVersion version, absl::Duration timeout,
    std::string type, std::function<bool(const std::string&)> is_known,
    ReflectionObserver& observer) {
  return std::make_unique<Conversation>(upstream, MethodOf(version), timeout,
                                        std::move(type), std::move(is_known),
                                        observer);
}

}  // namespace headgate
