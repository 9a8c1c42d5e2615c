// The services that connect their clients with each other, and the echo of
// plain messages.
#include <cstdint>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "headgate/demo/v1/chat.grpc.pb.h"
#include "headgate/v1/message.grpc.pb.h"
#include "headgate/v1/packet.grpc.pb.h"
#include "tests/backend/fixture.h"

namespace headgate {
namespace {

using demo::v1::ChatMessage;
using ::testing::HasSubstr;
using v1::Message;
using v1::Packet;

using PacketCall = Conversation<Packet, Packet>;
using ChatCall = Conversation<ChatMessage, ChatMessage>;

Packet MakePacket(std::uint32_t type, std::uint32_t who,
                  const std::string& content = "") {
  Packet packet;
  packet.set_type(type);
  packet.set_who(who);
  packet.set_content(content);
  return packet;
}

std::string Text(const Packet& packet) {
  return absl::StrCat(packet.type(), ":", packet.who(), " ", packet.content());
}

class PacketServiceTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    stub_ = v1::PacketService::NewStub(channel_);
  }

  PacketCall Connect() {
    PacketCall call{NewContext(), nullptr};
    call.stream = stub_->Connect(call.context.get());
    return call;
  }

  // Joins and returns the member's own id.
  std::uint32_t Join(PacketCall& call, std::uint32_t room) {
    call.Say(MakePacket(200, room));
    const Packet answer = call.Hear();
    EXPECT_EQ(answer.type(), 200u);
    EXPECT_EQ(answer.content(), absl::StrCat(room));
    EXPECT_GE(answer.who(), 0x80000000u);
    return answer.who();
  }

  std::unique_ptr<v1::PacketService::Stub> stub_;
};

TEST_F(PacketServiceTest, EchoesAPacketWithThePacketsInIt) {
  PacketCall call = Connect();
  Packet outer = MakePacket(0xFFFFFFFE, 7);
  *outer.add_packets() = MakePacket(1, 2, "a");
  Packet* inner = outer.add_packets();
  inner->set_type(100);
  *inner->add_packets() = MakePacket(3, 4, std::string("\x00\xff", 2));
  call.Say(outer);
  EXPECT_EQ(call.Hear().SerializeAsString(), outer.SerializeAsString());
  EXPECT_TRUE(call.HalfCloseAndEnd().ok());
}

TEST_F(PacketServiceTest, WhatIsSaidInARoomReachesEveryoneInIt) {
  PacketCall ann = Connect(), bob = Connect(), outsider = Connect();
  const std::uint32_t ann_id = Join(ann, 42);
  const std::uint32_t bob_id = Join(bob, 42);
  Join(outsider, 43);
  EXPECT_NE(ann_id, bob_id);

  ann.Say(MakePacket(202, 42, "hi"));
  EXPECT_EQ(Text(ann.Hear()), absl::StrCat("202:", ann_id, " hi"));
  EXPECT_EQ(Text(bob.Hear()), absl::StrCat("202:", ann_id, " hi"));

  // It would have come before the echo.
  outsider.Say(MakePacket(1, 1, "mine"));
  EXPECT_EQ(Text(outsider.Hear()), "1:1 mine");
}

// On the wire 202 is no container: a member there would be ended by it.
TEST_F(PacketServiceTest, PacketsCannotBeSaid) {
  PacketCall ann = Connect();
  Join(ann, 1);
  Packet packet = MakePacket(202, 1);
  *packet.add_packets() = MakePacket(5, 5);
  ann.Say(packet);
  EXPECT_EQ(Text(ann.Hear()), "203:1 what is said is content, no packets");
}

TEST_F(PacketServiceTest, WhatIsSaidToAMemberReachesThatMemberOnly) {
  PacketCall ann = Connect(), bob = Connect();
  const std::uint32_t ann_id = Join(ann, 1);
  const std::uint32_t bob_id = Join(bob, 2);
  ann.Say(MakePacket(202, bob_id, "psst"));
  EXPECT_EQ(Text(bob.Hear()), absl::StrCat("202:", ann_id, " psst"));

  ann.Say(MakePacket(1, 1, "mine"));
  EXPECT_EQ(Text(ann.Hear()), "1:1 mine");
}

TEST_F(PacketServiceTest, WhoHasLeftHearsNoMore) {
  PacketCall ann = Connect(), bob = Connect();
  const std::uint32_t ann_id = Join(ann, 42);
  const std::uint32_t bob_id = Join(bob, 42);
  bob.Say(MakePacket(201, 42));
  EXPECT_EQ(Text(bob.Hear()), absl::StrCat("201:", bob_id, " 42"));

  ann.Say(MakePacket(202, 42, "hi"));
  EXPECT_EQ(Text(ann.Hear()), absl::StrCat("202:", ann_id, " hi"));
  bob.Say(MakePacket(1, 1, "mine"));
  EXPECT_EQ(Text(bob.Hear()), "1:1 mine");
}

TEST_F(PacketServiceTest, JoiningTwiceIsHeardOnce) {
  PacketCall ann = Connect();
  const std::uint32_t ann_id = Join(ann, 42);
  EXPECT_EQ(Join(ann, 42), ann_id);
  ann.Say(MakePacket(202, 42, "hi"));
  EXPECT_EQ(Text(ann.Hear()), absl::StrCat("202:", ann_id, " hi"));
  ann.Say(MakePacket(1, 1, "mine"));
  EXPECT_EQ(Text(ann.Hear()), "1:1 mine");
}

TEST_F(PacketServiceTest, AnswersWhatCannotBeDoneWithAnError) {
  PacketCall ann = Connect(), bob = Connect();
  const std::uint32_t bob_id = Join(bob, 5);
  EXPECT_TRUE(bob.HalfCloseAndEnd().ok());

  ann.Say(MakePacket(202, 5, "to a room that nobody is in"));
  EXPECT_EQ(Text(ann.Hear()), "203:5 not in room 5");
  ann.Say(MakePacket(202, bob_id, "to a member who has left"));
  EXPECT_EQ(Text(ann.Hear()),
            absl::StrCat("203:", bob_id, " no member ", bob_id));
  ann.Say(MakePacket(201, 5));
  EXPECT_EQ(Text(ann.Hear()), "203:5 not in room 5");
  ann.Say(MakePacket(200, 0x80000001));
  EXPECT_THAT(Text(ann.Hear()), HasSubstr("203:2147483649 "));
}

TEST_F(PacketServiceTest, OnlyThoseInARoomMaySpeakInIt) {
  PacketCall ann = Connect(), bob = Connect();
  Join(ann, 5);
  bob.Say(MakePacket(202, 5, "hi"));
  EXPECT_EQ(Text(bob.Hear()), "203:5 not in room 5");
  ann.Say(MakePacket(1, 1, "mine"));
  EXPECT_EQ(Text(ann.Hear()), "1:1 mine");
}

TEST_F(PacketServiceTest, AMemberIsInOnlySoManyRooms) {
  PacketCall ann = Connect();
  for (std::uint32_t room = 0; room < 256; ++room) Join(ann, room);
  ann.Say(MakePacket(200, 256));
  EXPECT_EQ(ann.Hear().type(), 203u);
  Join(ann, 255);
}

class ChatServiceTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    stub_ = demo::v1::ChatService::NewStub(channel_);
  }

  static ChatCall Join(demo::v1::ChatService::Stub& stub) {
    ChatCall call{NewContext(), nullptr};
    call.stream = stub.Join(call.context.get());
    EXPECT_TRUE(call.Connected());
    return call;
  }

  static ChatMessage Text(const std::string& data) {
    ChatMessage message;
    message.set_message_type("text");
    message.set_data(data);
    return message;
  }

  std::unique_ptr<demo::v1::ChatService::Stub> stub_;
};

TEST_F(ChatServiceTest, EveryMessageGoesToEveryoneTheSenderIncluded) {
  ChatCall ann = Join(*stub_), bob = Join(*stub_);
  ann.Say(Text("hi"));
  for (ChatCall* call : {&ann, &bob}) {
    const ChatMessage heard = call->Hear();
    EXPECT_EQ(heard.message_type(), "text");
    EXPECT_EQ(heard.data(), "hi");
  }
  bob.Say(Text("hello"));
  EXPECT_EQ(ann.Hear().data(), "hello");
  EXPECT_EQ(bob.Hear().data(), "hello");
}

TEST_F(ChatServiceTest, GoesOnWhenAMemberIsGone) {
  ChatCall ann = Join(*stub_), bob = Join(*stub_), cleo = Join(*stub_);
  bob.context->TryCancel();
  EXPECT_TRUE(cleo.HalfCloseAndEnd().ok());
  ann.Say(Text("still here"));
  EXPECT_EQ(ann.Hear().data(), "still here");
  EXPECT_TRUE(ann.HalfCloseAndEnd().ok());
}

// A member that takes nothing neither holds up the others nor fills the
// backend's memory: it is ended.
TEST_F(ChatServiceTest, AMemberThatIsTooSlowIsEndedAndTheOthersAreNot) {
  auto slow_stub = demo::v1::ChatService::NewStub(NewChannel());
  ChatCall slow = Join(*slow_stub);
  ChatCall ann = Join(*stub_), bob = Join(*stub_);
  constexpr int kMessages = 2000;
  const std::string data(16 * 1024, 'x');
  for (int i = 0; i < kMessages; ++i) {
    ann.Say(Text(data));
    ASSERT_EQ(ann.Hear().data().size(), data.size());
    ASSERT_EQ(bob.Hear().data().size(), data.size());
  }
  int heard = 0;
  ChatMessage message;
  while (slow.stream->Read(&message)) ++heard;
  EXPECT_EQ(slow.stream->Finish().error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_LT(heard, kMessages);
  EXPECT_TRUE(ann.HalfCloseAndEnd().ok());
  EXPECT_TRUE(bob.HalfCloseAndEnd().ok());
}

TEST_F(BackendTest, MessageServiceKeepsTextTextAndBinaryBinary) {
  auto stub = v1::MessageService::NewStub(channel_);
  Conversation<Message, Message> call{NewContext(), nullptr};
  call.stream = stub->Connect(call.context.get());
  Message text, binary, empty_text, empty_binary;
  text.set_text("a");
  binary.set_binary("\xff");
  empty_text.set_text("");
  empty_binary.set_binary("");
  for (const Message& message : {text, binary, empty_text, empty_binary}) {
    call.Say(message);
    const Message heard = call.Hear();
    EXPECT_EQ(heard.kind_case(), message.kind_case());
    EXPECT_EQ(heard.SerializeAsString(), message.SerializeAsString());
  }
  EXPECT_TRUE(call.HalfCloseAndEnd().ok());
}

}  // namespace
}  // namespace headgate
