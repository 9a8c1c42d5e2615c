#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "headgate/demo/v1/game.grpc.pb.h"
#include "tests/backend/fixture.h"

namespace headgate {
namespace {

using demo::v1::ChatLine;
using demo::v1::JoinRequest;
using demo::v1::LobbyEvent;

class LobbyServiceTest : public BackendTest {
 protected:
  using Stay = Conversation<JoinRequest, LobbyEvent>;

  void SetUp() override {
    BackendTest::SetUp();
    stub_ = demo::v1::LobbyService::NewStub(channel_);
  }

  static JoinRequest Named(const std::string& player) {
    JoinRequest request;
    request.set_player(player);
    return request;
  }
  Stay Join(const std::string& player) {
    Stay stay{NewContext(), nullptr};
    stay.stream = stub_->Join(stay.context.get());
    stay.Say(Named(player));
    return stay;
  }
  std::int64_t Score(const std::string& player, std::int64_t points) {
    demo::v1::ScoreRequest request;
    request.set_player(player);
    request.set_points(points);
    demo::v1::ScoreResponse response;
    EXPECT_TRUE(stub_->Score(NewContext().get(), request, &response).ok());
    return response.total();
  }

  std::unique_ptr<demo::v1::LobbyService::Stub> stub_;
};

std::string ToString(const LobbyEvent& event) {
  return event.player() + " " + LobbyEvent::Kind_Name(event.kind()) +
         (event.text().empty() ? "" : " " + event.text());
}

TEST_F(LobbyServiceTest, JoiningIsToldToEveryoneThePlayerIncluded) {
  Stay ann = Join("ann");
  EXPECT_EQ(ToString(ann.Hear()), "ann KIND_JOINED");
  Stay bob = Join("bob");
  EXPECT_EQ(ToString(bob.Hear()), "bob KIND_JOINED");
  EXPECT_EQ(ToString(ann.Hear()), "bob KIND_JOINED");
  EXPECT_TRUE(bob.HalfCloseAndEnd().ok());
  EXPECT_EQ(ToString(ann.Hear()), "bob KIND_LEFT");
}

TEST_F(LobbyServiceTest, APlayerNeedsOneName) {
  EXPECT_EQ(Join("").End().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  Stay ann = Join("ann");
  ann.Say(Named("bob"));
  EXPECT_EQ(ann.End().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(LobbyServiceTest, ALineComesBackAndGoesToWhoeverHasJoined) {
  Stay ann = Join("ann");
  ann.Hear();
  Conversation<ChatLine, ChatLine> chat{NewContext(), nullptr};
  chat.stream = stub_->Chat(chat.context.get());
  ChatLine line;
  line.set_player("bob");
  line.set_text("hi");
  chat.Say(line);
  EXPECT_EQ(chat.Hear().text(), "hi");
  EXPECT_EQ(ToString(ann.Hear()), "bob KIND_SAID hi");
}

TEST_F(LobbyServiceTest, PointsAddUpForEachPlayer) {
  EXPECT_EQ(Score("ann", 3), 3);
  EXPECT_EQ(Score("bob", 5), 5);
  EXPECT_EQ(Score("ann", -1), 2);
}

TEST_F(LobbyServiceTest, ReplayCountsMovesUntilTheHalfClose) {
  auto context = NewContext();
  demo::v1::ReplayResponse response;
  auto stream = stub_->Replay(context.get(), &response);
  demo::v1::Move move;
  move.set_x(3);
  move.set_y(-4);
  stream->Write(move);
  stream->Write(move);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(response.moves(), 2);
  EXPECT_EQ(response.distance(), 14);
}

}  // namespace
}  // namespace headgate
