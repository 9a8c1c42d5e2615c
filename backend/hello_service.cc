#include "backend/hello_service.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "backend/stream_reactor.h"
#include "headgate/demo/v1/hello.grpc.pb.h"

namespace headgate {
namespace {

using demo::v1::HelloRequest;
using demo::v1::HelloResponse;

constexpr int kReplies = 10;
// What LotsOfGreetings remembers at most.
constexpr std::size_t kMaxGreetings = 10000;
constexpr std::size_t kMaxGreetingBytes = 1024 * 1024;

std::string Hello(absl::string_view greeting) {
  return absl::StrCat("hello, ", greeting);
}

// "ann", "ann and bob", "ann, bob and cleo".
std::string Listed(absl::Span<const std::string> names) {
  if (names.empty()) return "nobody";
  if (names.size() == 1) return names[0];
  return absl::StrCat(absl::StrJoin(names.first(names.size() - 1), ", "),
                      " and ", names.back());
}

class RepliesReactor final : public grpc::ServerWriteReactor<HelloResponse> {
 public:
  explicit RepliesReactor(std::string greeting)
      : greeting_(std::move(greeting)) {
    WriteNext();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    if (sent_ == kReplies) return Finish(grpc::Status::OK);
    WriteNext();
  }

  void OnDone() override { delete this; }

 private:
  void WriteNext() {
    ++sent_;
    response_.set_reply(absl::StrCat(Hello(greeting_), " (", sent_, ")"));
    StartWrite(&response_);
  }

  const std::string greeting_;
  int sent_ = 0;
  HelloResponse response_;  // gRPC's until OnWriteDone.
};

class GreetingsReactor final : public grpc::ServerReadReactor<HelloRequest> {
 public:
  explicit GreetingsReactor(HelloResponse* response) : response_(*response) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      response_.set_reply(Hello(Listed(greetings_)));
      return Finish(grpc::Status::OK);
    }
    bytes_ += request_.greeting().size();
    if (greetings_.size() == kMaxGreetings || bytes_ > kMaxGreetingBytes) {
      return Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                 "too many greetings"));
    }
    greetings_.push_back(std::move(*request_.mutable_greeting()));
    StartRead(&request_);
  }

  void OnDone() override { delete this; }

 private:
  HelloResponse& response_;  // gRPC's, until Finish.
  HelloRequest request_;
  std::vector<std::string> greetings_;
  std::size_t bytes_ = 0;
};

class BidiReactor final : public StreamReactor<HelloRequest, HelloResponse> {
 private:
  void OnMessage(HelloRequest& request) override {
    HelloResponse response;
    response.set_reply(Hello(request.greeting()));
    Send(std::move(response));
  }
};

class HelloService final : public demo::v1::HelloService::CallbackService {
  grpc::ServerUnaryReactor* SayHello(grpc::CallbackServerContext* context,
                                     const HelloRequest* request,
                                     HelloResponse* response) override {
    response->set_reply(Hello(request->greeting()));
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerWriteReactor<HelloResponse>* LotsOfReplies(
      grpc::CallbackServerContext*, const HelloRequest* request) override {
    return new RepliesReactor(request->greeting());
  }

  grpc::ServerReadReactor<HelloRequest>* LotsOfGreetings(
      grpc::CallbackServerContext*, HelloResponse* response) override {
    return new GreetingsReactor(response);
  }

  grpc::ServerBidiReactor<HelloRequest, HelloResponse>* BidiHello(
      grpc::CallbackServerContext*) override {
    return BidiReactor::Start(std::make_shared<BidiReactor>());
  }
};

}  // namespace

std::unique_ptr<grpc::Service> MakeHelloService() {
  return std::make_unique<HelloService>();
}

}  // namespace headgate
