#include "gateway/hub/stream_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <google/protobuf/text_format.h>

#include "headgate/v1/packet.pb.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message))
      << text;
  return message;
}

class PacketFormTest : public ::testing::Test {
 protected:
  bool Append(Who who, const std::string& event, std::string& message) {
    return form_->Append(1, who, FromText<v1::Event>(event).SerializeAsString(),
                         message);
  }
  // An event alone, as the backend gets it.
  std::string Sent(Who who, const std::string& event) {
    std::string message;
    EXPECT_TRUE(Append(who, event, message));
    return Show(message);
  }
  static std::string Show(const std::string& message) {
    v1::Packet packet;
    EXPECT_TRUE(packet.ParseFromString(message));
    return packet.ShortDebugString();
  }
  // The commands of a packet; a failure ends them.
  std::vector<std::string> Received(const std::string& packet) {
    form_->Feed(FromText<v1::Packet>(packet).SerializeAsString());
    return Commands();
  }
  std::vector<std::string> Commands() {
    std::vector<std::string> commands;
    for (;;) {
      const auto command = form_->Next();
      if (!command.ok()) {
        commands.emplace_back(command.status().message());
        return commands;
      }
      if (!*command) return commands;
      commands.push_back((*command)->ShortDebugString());
    }
  }

  HubRoster roster_;
  std::unique_ptr<StreamForm> form_ = MakePacketForm(7, roster_);
};

TEST_F(PacketFormTest, JoinedAndLeftAreTheContentOfPacketsOfTheirOwn) {
  std::string message;
  EXPECT_TRUE(Append(5, "joined { asks: true }", message));
  EXPECT_EQ(Show(message), R"(type: 4294967280 who: 5 content: " \001")");
  EXPECT_FALSE(Append(5, "message { payload { text: 'a' } }", message));
  EXPECT_FALSE(Append(5, "left { state: 's' }", message));
  EXPECT_EQ(Sent(5, "left { state: 's' }"),
            R"(type: 4294967281 who: 5 content: "\032\001s")");
  EXPECT_EQ(Sent(0, "hello { protocol: 1 }"),
            R"(type: 4294967286 content: "8\001")");
}

TEST_F(PacketFormTest, WhatAClientSaysSharesAContainer) {
  std::string message;
  EXPECT_TRUE(Append(
      5, "message { payload { packet { type: 1 who: 2 content: 'a' } } }",
      message));
  EXPECT_TRUE(Append(5, "message { payload { text: 'b' } }", message));
  EXPECT_FALSE(Append(6, "message { payload { text: 'c' } }", message));
  EXPECT_EQ(Show(message), R"(type: 4294967294 who: 5 )"
                           R"(packets { type: 1 who: 2 content: "a" } )"
                           R"(packets { type: 7 content: "b" })");
}

TEST_F(PacketFormTest, EventsWithoutAPlaceAreLeftOut) {
  EXPECT_EQ(Sent(5, "backlog { over: true }"), "");
  EXPECT_EQ(Sent(5, "pong { round_trip { nanos: 1 } }"), "");
  EXPECT_EQ(Sent(0, "failed { command: 1 }"), "");
  EXPECT_EQ(Sent(0, "replayed { sessions: 1 }"), "");
}

TEST_F(PacketFormTest, AcceptNamesTheSession) {
  EXPECT_THAT(Received(R"(type: 4294967280 who: 5 content: "\022\001u")"),
              ElementsAre(R"(accept { who: 5 user: "u" })"));
}

TEST_F(PacketFormTest, AStatusRejectsOneThatAsksAndClosesOneThatIsIn) {
  const std::string status =
      R"(type: 4294967281 who: 5 content: "\010\007\022\002no")";
  EXPECT_THAT(
      Received(status),
      ElementsAre(R"(close { to { whos: 5 } code: 4007 reason: "no" })"));
  HubRecord record;
  record.who = 5;
  record.phase = HubRecord::Phase::kAsking;
  roster_.Add(std::move(record));
  EXPECT_THAT(
      Received(status),
      ElementsAre(R"(reject { who: 5 status { code: 7 message: "no" } })"));
  EXPECT_THAT(Received("type: 4294967281 who: 6"),
              ElementsAre(R"(close { to { whos: 6 } })"));
}

TEST_F(PacketFormTest, ContainersGoToTheSessionToTheOthersOrToAGroup) {
  const std::string packets =
      "packets { type: 1 content: 'a' } packets { type: 2 who: 9 }";
  EXPECT_THAT(
      Received("type: 4294967294 who: 5 " + packets),
      ElementsAre(
          R"(send { who: 5 payload { packet { type: 1 content: "a" } } })",
          R"(send { who: 5 payload { packet { type: 2 who: 9 } } })"));
  EXPECT_THAT(
      Received("type: 4294967282 who: 5 packets { type: 1 }"),
      ElementsAre(
          R"(broadcast { to { except_whos: 5 } payload { packet { type: 1 } } })"));
  EXPECT_THAT(
      Received("type: 4294967282 packets { type: 1 }"),
      ElementsAre(R"(broadcast { to { } payload { packet { type: 1 } } })"));
  EXPECT_THAT(Received("type: 4294967285 who: 5 packets { content: 'g' } "
                       "packets { type: 1 }"),
              ElementsAre(R"(broadcast { to { groups: "g" except_whos: 5 } )"
                          R"(payload { packet { type: 1 } } })"));
}

TEST_F(PacketFormTest, EmptyContainersSayNothing) {
  EXPECT_THAT(Received("type: 4294967294 who: 5"), IsEmpty());
  EXPECT_THAT(Received("type: 4294967282"), IsEmpty());
  EXPECT_THAT(Received("type: 4294967285 who: 5"), IsEmpty());
  EXPECT_THAT(Received("type: 4294967285 packets { content: 'g' }"), IsEmpty());
}

TEST_F(PacketFormTest, JoinAndLeaveNameAGroup) {
  EXPECT_THAT(Received("type: 4294967283 who: 5 content: 'g'"),
              ElementsAre(R"(join { whos: 5 groups: "g" })"));
  EXPECT_THAT(Received("type: 4294967284 who: 5 content: 'g'"),
              ElementsAre(R"(leave { whos: 5 groups: "g" })"));
}

TEST_F(PacketFormTest, ATypeThatIsNoneIsACommandThatIsNotKnown) {
  EXPECT_THAT(Received("type: 1 who: 5 content: 'a'"), ElementsAre(""));
}

TEST_F(PacketFormTest, WhatIsNotAPacketFailsOnce) {
  form_->Feed("\x0a");
  EXPECT_THAT(Commands(),
              ElementsAre("the backend's message is not a headgate.v1.Packet"));
  EXPECT_THAT(Commands(), IsEmpty());
  EXPECT_THAT(Received(R"(type: 4294967280 who: 5 content: "\n")"),
              ElementsAre("the backend's message is not a headgate.v1.Accept"));
  EXPECT_THAT(Received(R"(type: 4294967283 who: 5 content: "\377")"),
              ElementsAre("the backend's message is not a headgate.v1.Packet "
                          "with a group's name"));
  EXPECT_THAT(Received(R"(type: 4294967281 who: 5 content: "\n")"),
              ElementsAre("the backend's message is not a headgate.v1.Packet "
                          "with a status"));
  // The first packet of a container is good, the second is not.
  form_->Feed(
      std::string("\x08\xfe\xff\xff\xff\x0f\x10\x05\x22\x02\x08\x01"
                  "\x22\x01\x08",
                  15));
  EXPECT_THAT(Commands(),
              ElementsAre(R"(send { who: 5 payload { packet { type: 1 } } })",
                          "the backend's message is not a headgate.v1.Packet"));
}

}  // namespace
}  // namespace headgate
