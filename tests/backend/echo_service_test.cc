#include "backend/echo_service.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "headgate/demo/v1/echo.grpc.pb.h"
#include "tests/backend/fixture.h"

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
using ::testing::ElementsAre;

class EchoServiceTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    stub_ = demo::v1::EchoService::NewStub(channel_);
  }

  MetadataResponse Metadata(grpc::ClientContext& context) {
    MetadataResponse response;
    EXPECT_TRUE(stub_->Metadata(&context, Empty(), &response).ok());
    return response;
  }

  grpc::Status Fail(const FailRequest& request) {
    Empty response;
    return stub_->Fail(NewContext().get(), request, &response);
  }

  grpc::Status Flood(std::int64_t count, std::int32_t size) {
    FloodRequest request;
    request.set_count(count);
    request.set_size(size);
    auto context = NewContext();
    auto stream = stub_->Flood(context.get(), request);
    FloodResponse response;
    std::int64_t next = 0;
    while (stream->Read(&response)) {
      EXPECT_EQ(response.index(), next++);
      EXPECT_EQ(response.payload().size(), static_cast<std::size_t>(size));
    }
    const grpc::Status status = stream->Finish();
    if (status.ok()) {
      EXPECT_EQ(next, count);
    }
    return status;
  }

  StatsResponse Stats() {
    StatsResponse response;
    EXPECT_TRUE(stub_->Stats(NewContext().get(), Empty(), &response).ok());
    return response;
  }

  // A call and its cancellation take a moment to arrive: asks again until so
  // many calls are open, for some seconds at most. Returns how many have been
  // cancelled by then, -1 for never.
  std::int64_t CancelledOnceOpen(std::int64_t open_calls) {
    for (int i = 0; i < 1000; ++i) {
      const StatsResponse stats = Stats();
      if (stats.open_calls() == open_calls) return stats.cancelled_calls();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return -1;
  }

  std::unique_ptr<demo::v1::EchoService::Stub> stub_;
};

TEST_F(EchoServiceTest, MetadataTellsAllThatTheCallCameWith) {
  auto context = NewContext();
  context->AddMetadata("authorization", "Bearer s3cret");
  context->AddMetadata("x-twice", "one");
  context->AddMetadata("x-twice", "two");
  context->AddMetadata("x-raw-bin", std::string("\x00\xff\x10", 3));
  MetadataResponse response = Metadata(*context);

  auto& metadata = *response.mutable_metadata();
  EXPECT_THAT(metadata["authorization"].values(), ElementsAre("Bearer s3cret"));
  EXPECT_THAT(metadata["x-twice"].values(), ElementsAre("one", "two"));
  EXPECT_THAT(metadata["x-raw-bin"].values(), ElementsAre("AP8Q"));
}

TEST_F(EchoServiceTest, MetadataTellsTheTimeThatIsLeft) {
  auto context = NewContext();
  context->set_deadline(std::chrono::system_clock::now() +
                        std::chrono::minutes(10));
  const MetadataResponse response = Metadata(*context);
  ASSERT_TRUE(response.has_time_remaining());
  EXPECT_GT(response.time_remaining().seconds(), 500);
  EXPECT_LE(response.time_remaining().seconds(), 600);
}

TEST_F(EchoServiceTest, MetadataTellsNoTimeWithoutADeadline) {
  grpc::ClientContext context;
  EXPECT_FALSE(Metadata(context).has_time_remaining());
}

TEST_F(EchoServiceTest, FailFailsWithTheCodeAndTheMessage) {
  for (int code = 1; code <= 16; ++code) {
    FailRequest request;
    request.set_code(code);
    request.set_message("no room for \xc3\xa9");
    const grpc::Status status = Fail(request);
    EXPECT_EQ(status.error_code(), code);
    EXPECT_EQ(status.error_message(), "no room for \xc3\xa9");
    EXPECT_EQ(status.error_details(), "");
  }
}

// grpc-status-details-bin is a google.rpc.Status {int32 code = 1; string
// message = 2; repeated google.protobuf.Any details = 3}.
TEST_F(EchoServiceTest, FailSendsTheDetailsAlong) {
  FailRequest request;
  request.set_code(5);
  request.set_message("gone");
  SinkResponse detail;
  detail.set_messages(7);
  request.add_details()->PackFrom(detail);
  const grpc::Status status = Fail(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  const std::string any = request.details(0).SerializeAsString();
  EXPECT_EQ(status.error_details(),
            std::string("\x08\x05\x12\x04gone\x1a") + char(any.size()) + any);
}

TEST_F(EchoServiceTest, FailWithCodeZeroIsOk) {
  FailRequest request;
  request.set_message("ignored");
  EXPECT_TRUE(Fail(request).ok());
}

TEST_F(EchoServiceTest, FailRefusesACodeThatGrpcDoesNotKnow) {
  for (const int code : {17, -1, 1000}) {
    FailRequest request;
    request.set_code(code);
    EXPECT_EQ(Fail(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(EchoServiceTest, FloodSendsSoManyOfSuchASize) {
  EXPECT_TRUE(Flood(1000, 100).ok());
  EXPECT_TRUE(Flood(1, 0).ok());
  EXPECT_TRUE(Flood(3, 4 * 1024 * 1024).ok());
}

TEST_F(EchoServiceTest, FloodRefusesWhatCannotBeSent) {
  EXPECT_EQ(Flood(-1, 1).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Flood(1, -1).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Flood(1, 4 * 1024 * 1024 + 1).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(EchoServiceTest, FloodWithoutACountLastsUntilTheClientGoes) {
  FloodRequest request;
  request.set_size(100);
  auto context = NewContext();
  auto stream = stub_->Flood(context.get(), request);
  FloodResponse response;
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(Stats().open_calls(), 1);
  context->TryCancel();
  while (stream->Read(&response)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(CancelledOnceOpen(0), 1);
}

TEST_F(EchoServiceTest, SinkCountsMessagesAndBytes) {
  auto context = NewContext();
  SinkResponse response;
  auto stream = stub_->Sink(context.get(), &response);
  SinkRequest request;
  for (const int size : {0, 10, 100}) {
    request.set_payload(std::string(size, 'x'));
    ASSERT_TRUE(stream->Write(request));
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(response.messages(), 3);
  EXPECT_EQ(response.bytes(), 110);
}

TEST_F(EchoServiceTest, SinkReadsOnOnlyAfterTheDelay) {
  auto context = NewContext();
  SinkResponse response;
  const auto start = std::chrono::steady_clock::now();
  auto stream = stub_->Sink(context.get(), &response);
  SinkRequest request;
  request.mutable_delay()->set_nanos(20'000'000);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(stream->Write(request));
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(response.messages(), 5);
  EXPECT_GE(std::chrono::steady_clock::now() - start,
            std::chrono::milliseconds(100));
}

TEST_F(EchoServiceTest, SinkRefusesADelayBeyondAnHour) {
  auto context = NewContext();
  SinkResponse response;
  auto stream = stub_->Sink(context.get(), &response);
  SinkRequest request;
  request.mutable_delay()->set_seconds(3601);
  stream->Write(request);
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// A client that goes away while the sink waits does not leave it waiting.
TEST_F(EchoServiceTest, CancellationEndsASinkInItsDelay) {
  auto context = NewContext();
  SinkResponse response;
  auto stream = stub_->Sink(context.get(), &response);
  SinkRequest request;
  request.mutable_delay()->set_seconds(3000);
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Write(request));
  EXPECT_EQ(CancelledOnceOpen(1), 0);
  context->TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(CancelledOnceOpen(0), 1);
}

TEST_F(EchoServiceTest, EchoAnswersEachMessageWithItsPayload) {
  Conversation<EchoRequest, EchoResponse> call{NewContext(), nullptr};
  call.stream = stub_->Echo(call.context.get());
  for (const std::string payload : {"a", "", "\xff\xfe"}) {
    EchoRequest request;
    request.set_payload(payload);
    call.Say(request);
    EXPECT_EQ(call.Hear().payload(), payload);
  }
  EXPECT_TRUE(call.HalfCloseAndEnd().ok());
  EXPECT_EQ(CancelledOnceOpen(0), 0);
}

// A client that only writes is not ended for it: nothing more is read from it
// until it has taken answers.
TEST_F(EchoServiceTest, EchoStopsReadingFromAClientThatDoesNot) {
  Conversation<EchoRequest, EchoResponse> call{NewContext(), nullptr};
  call.stream = stub_->Echo(call.context.get());
  constexpr int kMessages = 2000;
  std::atomic<int> written = 0;
  std::thread writer([&] {
    EchoRequest request;
    request.set_payload(std::string(16 * 1024, 'x'));
    for (; written < kMessages; ++written) {
      if (!call.stream->Write(request)) break;
    }
    call.stream->WritesDone();
  });
  // Not one answer is taken before the writer is stuck.
  for (int before = -1; before != written;) {
    before = written;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  EXPECT_LT(written, kMessages);
  int answers = 0;
  EchoResponse response;
  while (call.stream->Read(&response)) ++answers;
  writer.join();
  EXPECT_TRUE(call.stream->Finish().ok());
  EXPECT_EQ(answers, kMessages);
}

TEST_F(EchoServiceTest, StatsCountsTheCallsThatWereCancelled) {
  EXPECT_EQ(Stats().open_calls(), 0);
  Conversation<EchoRequest, EchoResponse> gone{NewContext(), nullptr};
  gone.stream = stub_->Echo(gone.context.get());
  ASSERT_TRUE(gone.Connected());
  Conversation<EchoRequest, EchoResponse> stays{NewContext(), nullptr};
  stays.stream = stub_->Echo(stays.context.get());
  ASSERT_TRUE(stays.Connected());
  EXPECT_EQ(Stats().open_calls(), 2);

  gone.context->TryCancel();
  EXPECT_EQ(gone.End().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(stays.HalfCloseAndEnd().ok());
  EXPECT_EQ(CancelledOnceOpen(0), 1);
}

}  // namespace
}  // namespace headgate
