#include "tests/upstream/scripted_service.h"

#include <chrono>
#include <deque>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

std::string Text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (!buffer.Dump(&slices).ok()) return text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

grpc::ByteBuffer Buffer(const std::string& text) {
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace

// At most one operation is pending, and its failure or the script's end is the
// one place that finishes the call; /silent has none and ends when cancelled.
class ScriptedService::Reactor final : public grpc::ServerGenericBidiReactor {
 public:
  Reactor(ScriptedService& service, grpc::GenericCallbackServerContext* context)
      : service_(service), context_(*context), method_(context->method()) {
    service_.Count(service_.calls_);
    for (const auto& [key, value] : context->client_metadata()) {
      if (key.starts_with("x-")) {
        metadata_.push_back(
            absl::StrCat(std::string(key.data(), key.size()), "=",
                         std::string(value.data(), value.size())));
      }
    }
    int code = 0;
    if (method_ == "/headers") {
      context->AddInitialMetadata("x-first", "1");
      context->AddInitialMetadata("x-first", "one");
      context->AddInitialMetadata("x-first-bin", BinaryValue());
    }
    if (method_ == "/headers" || method_ == "/begin") {
      StartSendInitialMetadata();
    }
    if (method_ == "/headers" || method_ == "/trailers") {
      context->AddTrailingMetadata("x-last", "2");
      context->AddTrailingMetadata("x-last", "two");
      context->AddTrailingMetadata("x-last-bin", BinaryValue());
    }
    if (method_ == "/trailers") {
      Finish(grpc::Status(grpc::StatusCode::ABORTED, "no", "details"));
    } else if (method_ == "/ok") {
      Finish(grpc::Status::OK);
    } else if (absl::StartsWith(method_, "/code-") &&
               absl::SimpleAtoi(method_.substr(6), &code)) {
      Finish(grpc::Status(static_cast<grpc::StatusCode>(code), "by number"));
    } else if (method_ != "/silent") {
      StartRead(&incoming_);
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      if (method_ == "/count") answers_.push_back(absl::StrCat(count_));
      if (method_ == "/metadata") {
        answers_.assign(metadata_.begin(), metadata_.end());
      }
      finishing_ = true;
      return Answer();
    }
    ++count_;
    const std::string message = Text(incoming_);
    int size = 0;
    if (method_ == "/echo" || method_ == "/headers" || method_ == "/begin") {
      answers_.push_back(message);
    } else if (method_ == "/host") {
      answers_.push_back(context_.host());
    } else if (method_ == "/identity") {
      for (const auto& name :
           context_.auth_context()->FindPropertyValues("x509_common_name")) {
        answers_.emplace_back(name.data(), name.size());
      }
    } else if (method_ == "/large" && absl::SimpleAtoi(message, &size)) {
      answers_.push_back(std::string(size, 'x'));
    } else if (method_ == "/burst") {
      answers_ = {message, message, message};
      status_ = grpc::Status(grpc::StatusCode::ABORTED, "enough");
      finishing_ = true;
    } else if (method_ == "/fail") {
      status_ = grpc::Status(grpc::StatusCode::NOT_FOUND, "no room",
                             std::string("de\0tails\xFF", 9));
      finishing_ = true;
    }
    Answer();
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    Answer();
  }
  void OnCancel() override {
    service_.Count(service_.cancellations_);
    if (method_ == "/silent") Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

 private:
  void Answer() {
    if (!answers_.empty()) {
      outgoing_ = Buffer(answers_.front());
      answers_.pop_front();
      return StartWrite(&outgoing_);
    }
    if (finishing_) return Finish(status_);
    StartRead(&incoming_);
  }

  ScriptedService& service_;
  grpc::GenericCallbackServerContext& context_;
  const std::string method_;
  std::vector<std::string> metadata_;
  int count_ = 0;
  std::deque<std::string> answers_;
  bool finishing_ = false;
  grpc::Status status_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
};

grpc::ServerGenericBidiReactor* ScriptedService::CreateReactor(
    grpc::GenericCallbackServerContext* context) {
  return new Reactor(*this, context);
}

bool ScriptedService::WaitForCalls(int count) { return WaitFor(calls_, count); }
bool ScriptedService::WaitForCancellations(int count) {
  return WaitFor(cancellations_, count);
}

int ScriptedService::calls() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return calls_;
}
int ScriptedService::cancellations() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return cancellations_;
}

bool ScriptedService::WaitFor(const int& counter, int count) {
  std::unique_lock<std::mutex> lock(mutex_);
  // Against the system's clock: TSan of g++ 12 does not know the wait by the
  // steady one.
  return changed_.wait_until(
      lock, std::chrono::system_clock::now() + std::chrono::seconds(20),
      [&] { return counter >= count; });
}

void ScriptedService::Count(int& counter) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++counter;
  changed_.notify_all();
}

}  // namespace headgate
