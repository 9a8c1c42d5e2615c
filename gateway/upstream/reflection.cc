#include "gateway/upstream/reflection.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "headgate/reflection/reflection.pb.h"

namespace headgate {
namespace {

using ::google::protobuf::internal::WireFormatLite;
using ::google::protobuf::io::CodedInputStream;

// What a server may make us hold. The largest real APIs are a tenth of this.
constexpr std::size_t kMaxFiles = 10'000;
constexpr std::size_t kMaxDescriptorBytes = 64 << 20;

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

class Conversation final : public ReflectionConversation,
                           private UpstreamCallObserver {
 public:
  Conversation(Upstream& upstream, const char* method, absl::Duration timeout,
               ReflectionObserver& observer)
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
        // gRPC's C++ servers offer it and have no descriptors for it.
        if (question.name == "grpc.health.v1.Health") return absl::OkStatus();
        reflected_.warnings.push_back(
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
    for (std::string& import : std::exchange(imports_, {})) {
      if (names_.contains(import) || !asked_files_.insert(import).second) {
        continue;
      }
      if (asked_files_.size() > kMaxFiles) return TooMuch();
      Ask({Question::kFile, std::move(import)});
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
    reflected_.status = std::move(status);
    if (!reflected_.status.ok()) reflected_.files.clear();
    observer_.OnReflected(std::move(reflected_));
  }

  const absl::Duration timeout_;
  ReflectionObserver& observer_;

  std::deque<Question> unasked_;
  std::deque<Question> awaited_;  // Written; answers come in this order.
  bool writing_ = false;
  bool complete_ = false;  // All that was asked for was answered.
  bool writes_done_ = false;

  ReflectedFiles reflected_;
  std::vector<std::string> imports_;  // Of its files, not looked at yet.
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
  const char* method =
      version == ReflectionVersion::kV1
          ? "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
          : "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  return std::make_unique<Conversation>(upstream, method, timeout, observer);
}

}  // namespace headgate
