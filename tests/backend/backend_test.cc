#include "backend/backend.h"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "headgate/demo/v1/echo.grpc.pb.h"
#include "headgate/demo/v1/hello.grpc.pb.h"
#include "headgate/reflection/reflection.pb.h"
#include "headgate/v1/message.grpc.pb.h"
#include "tests/backend/fixture.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/sync_stream.h>

namespace headgate {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

TEST_F(BackendTest, TellsThePortThatItGot) {
  EXPECT_GT(backend_->port(), 0);
  EXPECT_EQ(backend_->address(), absl::StrCat("127.0.0.1:", backend_->port()));
}

TEST_F(BackendTest, RefusesAPortThatIsInUse) {
  const auto second = Backend::Start({.address = backend_->address()});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("cannot listen on " + backend_->address()));
}

TEST_F(BackendTest, RefusesWhatIsNoAddress) {
  for (const std::string address :
       {"127.0.0.1:99999", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1", "",
        "127.0.0.1:-1"}) {
    const auto backend = Backend::Start({.address = address});
    EXPECT_EQ(backend.status().code(), absl::StatusCode::kInvalidArgument)
        << address;
  }
}

// A port is free again as soon as its backend is gone.
TEST_F(BackendTest, GivesItsPortBack) {
  const std::string address = backend_->address();
  backend_.reset();
  EXPECT_TRUE(Backend::Start({.address = address}).ok());
}

TEST_F(BackendTest, ListensOnAUnixSocket) {
  const std::string address = absl::StrCat("unix:", ::testing::TempDir(),
                                           "headgate-", backend_->port());
  const auto backend = Backend::Start({.address = address});
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->address(), address);
  EXPECT_EQ((*backend)->port(), 0);

  auto stub = demo::v1::HelloService::NewStub(
      grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  demo::v1::HelloRequest request;
  demo::v1::HelloResponse response;
  request.set_greeting("ann");
  EXPECT_TRUE(stub->SayHello(NewContext().get(), request, &response).ok());
  EXPECT_EQ(response.reply(), "hello, ann");
}

// Calls that would never end by themselves do not hold up the end of the
// backend: no grace, and they are broken off.
TEST_F(BackendTest, ShutdownBreaksOffTheCallsThatAreLeft) {
  auto echo_stub = v1::MessageService::NewStub(channel_);
  auto sink_stub = demo::v1::EchoService::NewStub(channel_);
  Conversation<v1::Message, v1::Message> echo{NewContext(), nullptr};
  echo.stream = echo_stub->Connect(echo.context.get());
  ASSERT_TRUE(echo.Connected());
  auto sink_context = NewContext();
  demo::v1::SinkResponse sunk;
  auto sink = sink_stub->Sink(sink_context.get(), &sunk);
  demo::v1::SinkRequest sinking;
  sinking.mutable_delay()->set_seconds(3600);
  ASSERT_TRUE(sink->Write(sinking));

  backend_->Shutdown(absl::ZeroDuration());

  // Which of the two depends on what reaches the client first.
  const auto broken_off =
      AnyOf(grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::CANCELLED);
  EXPECT_THAT(echo.End().error_code(), broken_off);
  EXPECT_THAT(sink->Finish().error_code(), broken_off);
}

// grpc.reflection.v1alpha lists the services and describes their methods.
TEST_F(BackendTest, AnswersReflection) {
  // The generic API, since gRPC's library keeps its own stub to itself.
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(channel_);
  auto context = NewContext();
  auto call = stub.PrepareCall(
      context.get(),
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  const auto done = [&] {
    void* tag;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto ask = [&](const reflection::ServerReflectionRequest& request) {
    const grpc::Slice slice(request.SerializeAsString());
    call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    EXPECT_TRUE(done());
    grpc::ByteBuffer buffer;
    call->Read(&buffer, nullptr);
    EXPECT_TRUE(done());
    grpc::Slice bytes;
    EXPECT_TRUE(buffer.DumpToSingleSlice(&bytes).ok());
    reflection::ServerReflectionResponse response;
    EXPECT_TRUE(response.ParseFromArray(bytes.begin(), bytes.size()));
    return response;
  };
  call->StartCall(nullptr);
  ASSERT_TRUE(done());

  reflection::ServerReflectionRequest list;
  list.set_list_services("*");
  std::vector<std::string> names;
  const reflection::ServerReflectionResponse listed = ask(list);
  for (const auto& service : listed.list_services_response().service()) {
    names.push_back(service.name());
  }
  EXPECT_THAT(
      names,
      IsSupersetOf({"headgate.demo.v1.ChatService",
                    "headgate.demo.v1.EchoService",
                    "headgate.demo.v1.HelloService",
                    "headgate.v1.MessageService", "headgate.v1.HubBackend",
                    "headgate.v1.PacketService", "grpc.health.v1.Health"}));

  reflection::ServerReflectionRequest symbol;
  symbol.set_file_containing_symbol("headgate.demo.v1.EchoService.Flood");
  EXPECT_GE(ask(symbol).file_descriptor_response().file_descriptor_proto_size(),
            1);

  context->TryCancel();
  grpc::Status status;
  call->Finish(&status, nullptr);
  done();
  queue.Shutdown();
}

// grpc.health.v1: HealthCheckRequest {string service = 1}, HealthCheckResponse
// {ServingStatus status = 1}, where SERVING is 1.
TEST_F(BackendTest, ReportsEachServiceAsServing) {
  for (const std::string service :
       {"", "headgate.v1.PacketService", "headgate.demo.v1.HelloService"}) {
    grpc::CompletionQueue queue;
    grpc::GenericStub stub(channel_);
    auto context = NewContext();
    const std::string request =
        service.empty()
            ? ""
            : absl::StrCat("\x0a", std::string(1, char(service.size())),
                           service);
    const grpc::Slice slice(request);
    auto call =
        stub.PrepareUnaryCall(context.get(), "/grpc.health.v1.Health/Check",
                              grpc::ByteBuffer(&slice, 1), &queue);
    call->StartCall();
    grpc::ByteBuffer response;
    grpc::Status status;
    call->Finish(&response, &status, nullptr);
    void* tag;
    bool ok;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    ASSERT_TRUE(status.ok()) << service << ": " << status.error_message();
    grpc::Slice bytes;
    ASSERT_TRUE(response.DumpToSingleSlice(&bytes).ok());
    EXPECT_EQ(std::string(bytes.begin(), bytes.end()), "\x08\x01") << service;
  }
}

}  // namespace
}  // namespace headgate
