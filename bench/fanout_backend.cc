// The backend of bench/fanout: lets every session in, and sends what a client
// says to all sessions of the hub. Prints "listening on HOST:PORT".

#include <cstdio>
#include <deque>
#include <mutex>
#include <string>
#include <utility>

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/server_callback.h>

#include "headgate/v1/hub_backend.grpc.pb.h"

namespace {

namespace v1 = headgate::v1;

// One stream. Reads do not wait for writes: what is to be written meanwhile
// leaves as one message.
class Stream final
    : public grpc::ServerBidiReactor<v1::FromGateway, v1::ToGateway> {
 public:
  Stream() { StartRead(&read_); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const v1::Event& event : read_.events()) {
      if (event.has_joined() && event.joined().asks()) {
        next_.add_commands()->mutable_accept()->set_who(event.who());
      } else if (event.has_message()) {
        *next_.add_commands()->mutable_broadcast()->mutable_payload() =
            event.message().payload();
      }
    }
    WriteNext();
    StartRead(&read_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    writing_ = false;
    WriteNext();
  }
  void OnDone() override { delete this; }

  void WriteNext() {
    if (writing_ || next_.commands().empty()) return;
    writing_ = true;
    written_.Clear();
    written_.Swap(&next_);
    StartWrite(&written_);
  }

  v1::FromGateway read_;
  std::mutex mutex_;
  v1::ToGateway next_;
  v1::ToGateway written_;
  bool writing_ = false;
};

class Backend final : public v1::HubBackend::CallbackService {
  grpc::ServerBidiReactor<v1::FromGateway, v1::ToGateway>* Attach(
      grpc::CallbackServerContext*) override {
    return new Stream;
  }
};

}  // namespace

int main() {
  Backend backend;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&backend);
  const auto server = builder.BuildAndStart();
  std::printf("listening on 127.0.0.1:%d\n", port);
  std::fflush(stdout);
  server->Wait();
}
