#ifndef TESTS_BACKEND_FIXTURE_H_
#define TESTS_BACKEND_FIXTURE_H_

#include <chrono>
#include <memory>

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include "backend/backend.h"

namespace headgate {

// A backend on a free port and a channel of its own to it.
class BackendTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto backend = Backend::Start({.address = "127.0.0.1:0"});
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
    channel_ = NewChannel();
  }

  // A connection that no other channel shares.
  std::shared_ptr<grpc::Channel> NewChannel() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(-1);
    return grpc::CreateCustomChannel(
        backend_->address(), grpc::InsecureChannelCredentials(), arguments);
  }

  // A call that hangs fails after this long instead.
  static std::unique_ptr<grpc::ClientContext> NewContext() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(20));
    return context;
  }

  std::unique_ptr<Backend> backend_;
  std::shared_ptr<grpc::Channel> channel_;
};

// One bidirectional call of `Stub`'s, spoken by a test: "say this, hear that".
template <class Request, class Response>
struct Conversation {
  std::unique_ptr<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream;

  // Whether the service has taken the call in.
  bool Connected() {
    stream->WaitForInitialMetadata();
    return true;
  }
  void Say(const Request& message) { ASSERT_TRUE(stream->Write(message)); }
  // A message with nothing in it when the call is over.
  Response Hear() {
    Response message;
    stream->Read(&message);
    return message;
  }
  // How the call ended, once all that was still to be heard is thrown away.
  grpc::Status End() {
    Response message;
    while (stream->Read(&message)) {
    }
    return stream->Finish();
  }
  grpc::Status HalfCloseAndEnd() {
    stream->WritesDone();
    return End();
  }
};

}  // namespace headgate

#endif  // TESTS_BACKEND_FIXTURE_H_
