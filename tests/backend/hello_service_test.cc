#include "backend/hello_service.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "headgate/demo/v1/hello.grpc.pb.h"
#include "tests/backend/fixture.h"

namespace headgate {
namespace {

using demo::v1::HelloRequest;
using demo::v1::HelloResponse;

HelloRequest Greeting(const std::string& greeting) {
  HelloRequest request;
  request.set_greeting(greeting);
  return request;
}

class HelloServiceTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    stub_ = demo::v1::HelloService::NewStub(channel_);
  }

  std::string LotsOfGreetings(const std::vector<std::string>& greetings) {
    auto context = NewContext();
    HelloResponse response;
    auto stream = stub_->LotsOfGreetings(context.get(), &response);
    for (const std::string& greeting : greetings) {
      stream->Write(Greeting(greeting));
    }
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
    return response.reply();
  }

  std::unique_ptr<demo::v1::HelloService::Stub> stub_;
};

TEST_F(HelloServiceTest, SayHelloAnswersOnce) {
  HelloResponse response;
  EXPECT_TRUE(
      stub_->SayHello(NewContext().get(), Greeting("ann"), &response).ok());
  EXPECT_EQ(response.reply(), "hello, ann");
}

TEST_F(HelloServiceTest, LotsOfRepliesAnswersTenTimes) {
  auto context = NewContext();
  auto stream = stub_->LotsOfReplies(context.get(), Greeting("ann"));
  std::vector<std::string> replies;
  HelloResponse response;
  while (stream->Read(&response)) replies.push_back(response.reply());
  EXPECT_TRUE(stream->Finish().ok());

  ASSERT_EQ(replies.size(), 10u);
  EXPECT_EQ(replies.front(), "hello, ann (1)");
  EXPECT_EQ(replies.back(), "hello, ann (10)");
}

TEST_F(HelloServiceTest, LotsOfGreetingsListsThemAll) {
  EXPECT_EQ(LotsOfGreetings({}), "hello, nobody");
  EXPECT_EQ(LotsOfGreetings({"ann"}), "hello, ann");
  EXPECT_EQ(LotsOfGreetings({"ann", "bob"}), "hello, ann and bob");
  EXPECT_EQ(LotsOfGreetings({"ann", "bob", "cleo"}),
            "hello, ann, bob and cleo");
}

// What a client can make the backend remember is bounded.
TEST_F(HelloServiceTest, LotsOfGreetingsRemembersOnlySoMany) {
  auto context = NewContext();
  HelloResponse response;
  auto stream = stub_->LotsOfGreetings(context.get(), &response);
  const HelloRequest long_greeting = Greeting(std::string(600 * 1024, 'a'));
  stream->Write(long_greeting);
  stream->Write(long_greeting);
  EXPECT_EQ(stream->Finish().error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(HelloServiceTest, BidiHelloAnswersEachGreetingAsItComes) {
  Conversation<HelloRequest, HelloResponse> call{NewContext(), nullptr};
  call.stream = stub_->BidiHello(call.context.get());
  call.Say(Greeting("ann"));
  EXPECT_EQ(call.Hear().reply(), "hello, ann");
  call.Say(Greeting("bob"));
  EXPECT_EQ(call.Hear().reply(), "hello, bob");
  EXPECT_TRUE(call.HalfCloseAndEnd().ok());
}

// A half-close ends the client's side only: what it said before is answered.
TEST_F(HelloServiceTest, BidiHelloAnswersWhatCameBeforeTheHalfClose) {
  Conversation<HelloRequest, HelloResponse> call{NewContext(), nullptr};
  call.stream = stub_->BidiHello(call.context.get());
  for (int i = 0; i < 1000; ++i) call.Say(Greeting(std::to_string(i)));
  call.stream->WritesDone();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(call.Hear().reply(), "hello, " + std::to_string(i));
  }
  EXPECT_TRUE(call.End().ok());
}

}  // namespace
}  // namespace headgate
