#include "backend/echo_service.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include <grpcpp/alarm.h>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "backend/stream_reactor.h"
#include "headgate/demo/v1/echo.grpc.pb.h"

namespace headgate {
namespace {

using demo::v1::EchoRequest;
using demo::v1::EchoResponse;
using demo::v1::FailRequest;
using demo::v1::FloodRequest;
using demo::v1::FloodResponse;
using demo::v1::MetadataResponse;
using demo::v1::SinkRequest;
using demo::v1::SinkResponse;
using demo::v1::StatsResponse;
using google::protobuf::Empty;

constexpr int kMaxFloodBytes = 4 * 1024 * 1024;
constexpr int kMaxStatusCode = 16;
constexpr std::chrono::nanoseconds kMaxDelay = std::chrono::hours(1);

grpc::Status InvalidArgument(const std::string& message) {
  return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, message);
}

struct Stats {
  std::atomic<std::int64_t> open_calls = 0;
  std::atomic<std::int64_t> cancelled_calls = 0;
};

// One call in the statistics. Safe for any thread.
class CountedCall {
 public:
  explicit CountedCall(Stats& stats) : stats_(stats) { ++stats_.open_calls; }
  ~CountedCall() {
    // In this order, so that whoever sees no open call sees all cancelled ones.
    if (cancelled_) ++stats_.cancelled_calls;
    --stats_.open_calls;
  }

  CountedCall(const CountedCall&) = delete;
  CountedCall& operator=(const CountedCall&) = delete;

  void Cancelled() { cancelled_ = true; }

 private:
  Stats& stats_;
  std::atomic<bool> cancelled_ = false;
};

// A unary call, answered from its constructor.
class UnaryReactor final : public grpc::ServerUnaryReactor {
 public:
  UnaryReactor(Stats& stats, const grpc::Status& status) : call_(stats) {
    Finish(status);
  }

  void OnCancel() override { call_.Cancelled(); }
  void OnDone() override { delete this; }

 private:
  CountedCall call_;
};

class FloodReactor final : public grpc::ServerWriteReactor<FloodResponse> {
 public:
  FloodReactor(Stats& stats, const FloodRequest& request)
      : call_(stats), count_(request.count()) {
    const grpc::Status valid = Check(request);
    if (!valid.ok()) {
      Finish(valid);
      return;
    }
    response_.set_payload(std::string(request.size(), 'x'));
    StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    const std::int64_t sent = response_.index() + 1;
    if (sent == count_) return Finish(grpc::Status::OK);
    response_.set_index(sent);
    StartWrite(&response_);
  }

  void OnCancel() override { call_.Cancelled(); }
  void OnDone() override { delete this; }

 private:
  static grpc::Status Check(const FloodRequest& request) {
    if (request.count() < 0) return InvalidArgument("count: is negative");
    if (request.size() < 0 || request.size() > kMaxFloodBytes) {
      return InvalidArgument(absl::StrCat("size: must be 0 to ", kMaxFloodBytes,
                                          ", is ", request.size()));
    }
    return grpc::Status::OK;
  }

  CountedCall call_;
  const std::int64_t count_;  // 0: until the client goes away.
  FloodResponse response_;    // gRPC's until OnWriteDone.
};

// At any time there is either a read going on or a delay, and whichever ends
// decides what comes next; so Finish is called once, and nothing after it.
class SinkReactor final : public grpc::ServerReadReactor<SinkRequest> {
 public:
  SinkReactor(Stats& stats, SinkResponse* response)
      : call_(stats), response_(*response) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    response_.set_messages(response_.messages() + 1);
    response_.set_bytes(response_.bytes() + request_.payload().size());
    const auto delay = std::chrono::seconds(request_.delay().seconds());
    if (delay > kMaxDelay || delay < -kMaxDelay) {
      return Finish(InvalidArgument("delay: must be at most an hour"));
    }
    Wait(delay + std::chrono::nanoseconds(request_.delay().nanos()));
  }

  void OnCancel() override {
    call_.Cancelled();
    absl::MutexLock lock(&mu_);
    cancelled_ = true;
    if (alarm_ != nullptr) alarm_->Cancel();
  }

  void OnDone() override { delete this; }

 private:
  void Wait(std::chrono::nanoseconds delay) {
    if (delay <= std::chrono::nanoseconds::zero()) return OnWaited(true);
    {
      // An alarm never calls back from within Set or Cancel, so they may be
      // called under the lock, which keeps a cancellation from falling between.
      absl::MutexLock lock(&mu_);
      if (!cancelled_) {
        // A new one each time: the last one's callback may not have returned.
        alarm_ = std::make_unique<grpc::Alarm>();
        alarm_->Set(
            std::chrono::system_clock::now() +
                std::chrono::duration_cast<std::chrono::system_clock::duration>(
                    delay),
            [this](bool expired) { OnWaited(expired); });
        return;
      }
    }
    OnWaited(false);
  }

  void OnWaited(bool expired) {
    if (!expired) return Finish(grpc::Status::CANCELLED);
    StartRead(&request_);
  }

  CountedCall call_;
  SinkResponse& response_;  // gRPC's, until Finish.
  SinkRequest request_;
  absl::Mutex mu_;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  std::unique_ptr<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mu_);
};

class EchoReactor final : public StreamReactor<EchoRequest, EchoResponse> {
 public:
  explicit EchoReactor(Stats& stats) : call_(stats) {}

  void OnCancel() override {
    call_.Cancelled();
    StreamReactor::OnCancel();
  }

 private:
  void OnMessage(EchoRequest& request) override {
    EchoResponse response;
    response.set_payload(std::move(*request.mutable_payload()));
    Send(std::move(response));
  }

  CountedCall call_;
};

// A value as a proto3 string can hold it. Values of "-bin" keys are any bytes,
// all others should be printable, but nothing here depends on the peer's care.
std::string Printable(absl::string_view key, absl::string_view value) {
  if (absl::EndsWith(key, "-bin")) return absl::Base64Escape(value);
  std::string text(value);
  for (char& c : text) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return text;
}

MetadataResponse Describe(const grpc::CallbackServerContext& context) {
  MetadataResponse response;
  auto& metadata = *response.mutable_metadata();
  for (const auto& [name, value] : context.client_metadata()) {
    const absl::string_view key(name.data(), name.size());
    metadata[std::string(key)].add_values(
        Printable(key, absl::string_view(value.data(), value.size())));
  }
  const auto deadline = context.deadline();
  if (deadline != std::chrono::system_clock::time_point::max()) {
    const auto left = std::max(deadline - std::chrono::system_clock::now(),
                               std::chrono::system_clock::duration::zero());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    response.mutable_time_remaining()->set_seconds(seconds.count());
    response.mutable_time_remaining()->set_nanos(static_cast<std::int32_t>(
        std::chrono::nanoseconds(left - seconds).count()));
  }
  return response;
}

grpc::Status StatusFor(const FailRequest& request) {
  if (request.code() == 0) return grpc::Status::OK;
  if (request.code() < 0 || request.code() > kMaxStatusCode) {
    return InvalidArgument(absl::StrCat("code: must be 0 to ", kMaxStatusCode,
                                        ", is ", request.code()));
  }
  const auto code = static_cast<grpc::StatusCode>(request.code());
  if (request.details().empty()) return grpc::Status(code, request.message());
  // The fields of the request are numbered as those of google.rpc.Status, so
  // that it serializes to one.
  return grpc::Status(code, request.message(), request.SerializeAsString());
}

class EchoService final : public demo::v1::EchoService::CallbackService {
  grpc::ServerUnaryReactor* Metadata(grpc::CallbackServerContext* context,
                                     const Empty*,
                                     MetadataResponse* response) override {
    *response = Describe(*context);
    return new UnaryReactor(stats_, grpc::Status::OK);
  }

  grpc::ServerUnaryReactor* Fail(grpc::CallbackServerContext*,
                                 const FailRequest* request, Empty*) override {
    return new UnaryReactor(stats_, StatusFor(*request));
  }

  grpc::ServerWriteReactor<FloodResponse>* Flood(
      grpc::CallbackServerContext*, const FloodRequest* request) override {
    return new FloodReactor(stats_, *request);
  }

  grpc::ServerReadReactor<SinkRequest>* Sink(grpc::CallbackServerContext*,
                                             SinkResponse* response) override {
    return new SinkReactor(stats_, response);
  }

  grpc::ServerBidiReactor<EchoRequest, EchoResponse>* Echo(
      grpc::CallbackServerContext*) override {
    return EchoReactor::Start(std::make_shared<EchoReactor>(stats_));
  }

  grpc::ServerUnaryReactor* Stats(grpc::CallbackServerContext* context,
                                  const Empty*,
                                  StatsResponse* response) override {
    response->set_open_calls(stats_.open_calls);
    response->set_cancelled_calls(stats_.cancelled_calls);
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  headgate::Stats stats_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeEchoService() {
  return std::make_unique<EchoService>();
}

}  // namespace headgate
