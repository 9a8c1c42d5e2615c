// Routes where path and query are part of the request.

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "tests/http/handshake_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class BoundHandshakeTest : public HandshakeFixture {
 protected:
  BoundHandshakeTest() {
    Route api;
    api.prefix = "/api";
    api.target = HttpRuleSet{};
    api.token_query = "token";
    Route overridden = api;
    overridden.hosts = {"overridden"};
    overridden.target = HttpRuleSet{"method"};
    Route room;
    room.path_template = "/rooms/{room}/join";
    room.target = FixedMethod{"/p.S/Talk"};
    Route lobby = room;
    lobby.path_template = "/lobby/join";
    lobby.codec = &kProtobufDialect;
    Route game;
    game.path = "/game";
    game.target = MethodTable{.methods = {{1, "/p.S/Talk"}}};
    Use({overridden, api, room, lobby, game});
  }
  Admission Bound(const std::string& target, const std::string& more = "") {
    rules_ = ApiRules();
    return Admitted(WebSocket(more), "GET " + target);
  }
};

// A WebSocket's handshake is always a GET: POST comes before it.
TEST_F(BoundHandshakeTest, TemplateDecidesOnAWebSocket) {
  const SessionRequest session =
      Bound("/api/things/a%20b?x=1&token=s3cret").session;
  EXPECT_EQ(session.method, "/p.S/Get");
  EXPECT_EQ(session.codec, &kJsonDialect);
  ASSERT_TRUE(session.binding);
  EXPECT_THAT(Texts(session.binding->variables), ElementsAre("name=a b"));
  EXPECT_THAT(Texts(session.binding->query), ElementsAre("x=1"));
  EXPECT_EQ(session.binding->body, "");
  EXPECT_THAT(session.metadata,
              Contains(Pair("authorization", "Bearer s3cret")));
}

// "?method=" counts where the route allows it, and is then no parameter.
TEST_F(BoundHandshakeTest, OverrideChoosesTheVerbWhereTheRouteAllowsIt) {
  SessionRequest session = Bound("/api/things/a?method=PUT").session;
  EXPECT_EQ(session.binding->body, "");
  EXPECT_THAT(Texts(session.binding->query), ElementsAre("method=PUT"));
  session = Bound("http://overridden/api/things/a?method=put").session;
  EXPECT_EQ(session.binding->body, "name");
  EXPECT_EQ(session.binding->response_body, "name");
  EXPECT_THAT(session.binding->query, IsEmpty());
  EXPECT_EQ(
      Refused("GET http://overridden/api/things/a?method=PATCH", WebSocket())
          .http_status,
      404);
}

TEST_F(BoundHandshakeTest, OnlyJsonCanBeBound) {
  EXPECT_EQ(
      Bound("/api/things:talk", "Sec-WebSocket-Protocol: headgate.json.v1\r\n")
          .subprotocol,
      "headgate.json.v1");
  for (const char* line : {"GET /api/things:talk", "GET /rooms/a/join"}) {
    if (line[5] == 'r') rules_ = nullptr;
    const Refusal refusal = Refused(
        line, WebSocket("Sec-WebSocket-Protocol: headgate.protobuf.v1\r\n"));
    EXPECT_EQ(refusal.http_status, 400);
    EXPECT_EQ(refusal.status.message(),
              "codec protobuf is not served here; it is one of json");
  }
}

// As the checks of a configuration have it.
TEST_F(BoundHandshakeTest, ATemplateWithoutVariablesIsAPath) {
  const SessionRequest session =
      Admitted(WebSocket(), "GET /lobby/join").session;
  EXPECT_EQ(session.codec, &kProtobufDialect);
  EXPECT_FALSE(session.binding);
  EXPECT_EQ(Admitted(WebSocket("Sec-WebSocket-Protocol: headgate.json.v1\r\n"),
                     "GET /lobby/join")
                .session.codec,
            &kJsonDialect);
}

// Its body is the whole message, so that the query has no field left to set.
TEST_F(BoundHandshakeTest, VariablesOfARoutesTemplateAreBound) {
  const SessionRequest session =
      Admitted(WebSocket(), "GET /rooms/a/join?as=ann").session;
  EXPECT_EQ(session.method, "/p.S/Talk");
  EXPECT_EQ(session.codec, &kJsonDialect);
  ASSERT_TRUE(session.binding);
  EXPECT_THAT(Texts(session.binding->variables), ElementsAre("room=a"));
  EXPECT_THAT(Texts(session.binding->query), ElementsAre());
  EXPECT_EQ(session.binding->body, "*");
}

TEST_F(BoundHandshakeTest, SeveralCallsOnOneSocketArePackets) {
  const Admission admission = Admitted(WebSocket(), "GET /game");
  EXPECT_EQ(admission.session.method, "");
  EXPECT_EQ(admission.session.codec, &kPacketDialect);
  EXPECT_FALSE(admission.session.binding);
  EXPECT_EQ(Echo("headgate.packet.v1", "GET /game"), "headgate.packet.v1");
  EXPECT_EQ(Refused("GET /game",
                    WebSocket("Sec-WebSocket-Protocol: headgate.json.v1\r\n"))
                .http_status,
            400);
}

// Plain HTTP too has one Host, or is of a time before it.
TEST_F(BoundHandshakeTest, PlainRequestHasOneHost) {
  rules_ = ApiRules();
  EXPECT_EQ(Refused("GET /api/things/a", "").http_status, 400);
  EXPECT_EQ(Refused("GET /api/things/a", "Host: a\r\nHost: a\r\n").http_status,
            400);
  Admitted("Host: a\r\n", "GET /api/things/a");
}

// Of a stream the client may have events; one response is no stream.
TEST_F(BoundHandshakeTest, AcceptChoosesTheFormOfAStream) {
  rules_ = ApiRules();
  const auto codec = [&](const char* path, const char* accept) {
    return Admitted(absl::StrCat("Host: a\r\nAccept: ", accept, "\r\n"),
                    absl::StrCat("GET /api/things/a", path))
        .session.codec;
  };
  EXPECT_EQ(codec(":watch", "*/*"), &kHttpJsonDialect);
  EXPECT_EQ(codec(":watch", "text/event-stream"), &kHttpEventsDialect);
  EXPECT_EQ(codec(":watch", "application/json, text/event-stream;q=0.5"),
            &kHttpJsonDialect);
  EXPECT_EQ(codec("", "text/event-stream"), &kHttpJsonDialect);
}

TEST_F(BoundHandshakeTest, QueryAsksForTheStatusWhereItIsNotTheMessages) {
  rules_ = ApiRules();
  EXPECT_FALSE(Admitted(WebSocket(), "GET /api/things:talk?status=1")
                   .session.wants_status);
  rules_ = nullptr;
  const auto wants = [&](const char* query) {
    return Admitted(WebSocket(), absl::StrCat("GET /rooms/a/join", query))
        .session.wants_status;
  };
  EXPECT_TRUE(wants("?status=1"));
  EXPECT_FALSE(wants("?status=0"));
  EXPECT_FALSE(wants(""));
}

}  // namespace
}  // namespace headgate
