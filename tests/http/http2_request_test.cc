#include "gateway/http/http2_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/http/handshake.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;

class Http2RequestTest : public ::testing::Test {
 protected:
  Http2RequestTest() {
    Route route;
    route.path = "/room";
    route.target = FixedMethod{"/p.S/M"};
    policy_.router = std::make_shared<const Router>(std::vector<Route>{route});
  }

  void AddHead(absl::string_view method, absl::string_view path) {
    head_.Add(":method", method);
    head_.Add(":scheme", "https");
    head_.Add(":path", path);
    head_.Add(":authority", "chat.example");
  }
  void AddWebSocket() {
    AddHead("CONNECT", "/room");
    head_.Add(":protocol", "websocket");
    head_.Add("sec-websocket-version", "13");
  }

  // The refusal's message; empty: it is located.
  std::string Locate() {
    auto located = LocateRequest(head_.request(), policy_, {});
    if (auto* refusal = std::get_if<Refusal>(&located)) {
      return std::string(refusal->status.message());
    }
    EXPECT_EQ(std::get<Located>(located).target.host, "chat.example");
    EXPECT_TRUE(std::get<Located>(located).is_websocket);
    return "";
  }

  HandshakePolicy policy_;
  Http2Request head_;
};

TEST_F(Http2RequestTest, PseudoHeaderFieldsAreTheRequestLine) {
  AddHead("POST", "/room?a=b");
  head_.Add("content-type", " text/plain ");
  ASSERT_TRUE(head_.Complete().ok());
  EXPECT_EQ(head_.request().version, 20);
  EXPECT_EQ(head_.request().method, "POST");
  EXPECT_EQ(head_.request().target, "/room?a=b");
  EXPECT_EQ(HostOf(head_.request().headers), "chat.example");
  EXPECT_EQ(head_.request().headers.Value("Content-Type"), "text/plain");
}

// RFC 9113 section 8.2.3.
TEST_F(Http2RequestTest, CookieFieldsAreOne) {
  AddHead("GET", "/room");
  head_.Add("cookie", "a=1");
  head_.Add("cookie", "b=2");
  ASSERT_TRUE(head_.Complete().ok());
  EXPECT_THAT(head_.request().headers.Values("Cookie"),
              ElementsAre("a=1; b=2"));
}

// RFC 8441 section 5: no Sec-WebSocket-Key.
TEST_F(Http2RequestTest, ExtendedConnectIsAWebSocket) {
  AddWebSocket();
  ASSERT_TRUE(head_.Complete().ok());
  EXPECT_EQ(head_.request().method, "GET");
  EXPECT_EQ(Locate(), "");
}

TEST_F(Http2RequestTest, OtherProtocolsAreRefused) {
  AddHead("CONNECT", "/room");
  head_.Add(":protocol", "connect-udp");
  EXPECT_EQ(head_.Complete().message(),
            "the one :protocol that is served is websocket");
}

TEST_F(Http2RequestTest, PlainRequestForAWebSocketIsToldHowToAsk) {
  AddHead("GET", "/room");
  ASSERT_TRUE(head_.Complete().ok());
  EXPECT_EQ(Locate(),
            "this address speaks WebSocket: send an extended CONNECT with "
            ":protocol websocket, or use HTTP/1.1");
}

// RFC 9113 section 8.3.1.
TEST_F(Http2RequestTest, HostMustBeTheAuthority) {
  AddWebSocket();
  head_.Add("host", "CHAT.example");
  ASSERT_TRUE(head_.Complete().ok());
  EXPECT_EQ(Locate(), "");
  Http2Request other;
  std::swap(head_, other);
  AddWebSocket();
  head_.Add("host", "other.example");
  ASSERT_TRUE(head_.Complete().ok());
  EXPECT_EQ(Locate(), "Host and :authority contradict each other");
}

}  // namespace
}  // namespace headgate
