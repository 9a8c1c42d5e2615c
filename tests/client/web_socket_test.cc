#include "client/web_socket.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/ws/frames.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FixedMask final : public ws::MaskSource {
 public:
  ws::MaskKey NextMask() override { return {0x11, 0x22, 0x33, 0x44}; }
};

class ClientWebSocketTest : public ::testing::Test,
                            protected ClientWebSocketObserver {
 protected:
  std::string Accepted() const {
    return absl::StrCat(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Protocol: a\r\n"
        "Sec-WebSocket-Accept: ",
        request_.accept(), "\r\n\r\n");
  }
  ClientWebSocket Make(ws::Delivery delivery = ws::Delivery::kMessages) {
    return ClientWebSocket(request_, masks_, {delivery, 100});
  }
  // The failure of receiving, or "".
  std::string Receive(ClientWebSocket& web_socket, absl::string_view bytes) {
    return web_socket.Receive(bytes, *this) ? "" : Told(web_socket.failure());
  }
  static std::string Told(const ClientFailure& failure) {
    if (const auto* lost = std::get_if<Lost>(&failure)) {
      return "lost: " + lost->why;
    }
    if (const auto* refused = std::get_if<Refused>(&failure)) {
      return absl::StrCat("refused: ", refused->http);
    }
    return "unreachable: " + std::get<Unreachable>(failure).why;
  }
  static std::string Send(ClientWebSocket& web_socket) {
    std::string sent;
    while (web_socket.has_output()) {
      std::size_t bytes = 0;
      for (const absl::string_view piece : web_socket.Front()) {
        absl::StrAppend(&sent, piece);
        bytes += piece.size();
      }
      web_socket.OnSent(bytes);
    }
    return sent;
  }

  void OnOpen(const std::string& subprotocol) override {
    log_.push_back("open " + subprotocol);
  }
  void OnMessage(WireMessage message) override {
    log_.push_back("message " + message.payload);
  }
  void OnPiece(absl::string_view piece, bool end) override {
    log_.push_back(absl::StrCat("piece ", piece, end ? " end" : ""));
  }
  void OnClose(CloseCode code, absl::string_view reason) override {
    log_.push_back(absl::StrCat("close ", static_cast<int>(code), " ", reason));
  }

  const UpgradeRequest request_{
      {"h", "1", "h:1", "/"}, {{"a"}, {}}, "test", "the sample nonce"};
  FixedMask masks_;
  std::vector<std::string> log_;
};

TEST_F(ClientWebSocketTest, FramesMayFollowTheHandshakeAtOnce) {
  ClientWebSocket web_socket = Make();
  EXPECT_EQ(Send(web_socket), request_.text());
  EXPECT_EQ(Receive(web_socket, Accepted() + Frame(kText, "x", false) +
                                    Frame(kPing, "p", false)),
            "");
  EXPECT_TRUE(web_socket.is_open());
  EXPECT_THAT(log_, ElementsAre("open a", "message x"));
  EXPECT_EQ(Send(web_socket), Frame(kPong, "p"));
}

TEST_F(ClientWebSocketTest, BytesMayArriveOneByOne) {
  ClientWebSocket web_socket = Make(ws::Delivery::kPieces);
  for (const char& byte : Accepted() + Frame(kText, "xy", false) +
                              Frame(kClose, "\x03\xE8ok", false)) {
    EXPECT_EQ(Receive(web_socket, {&byte, 1}), "");
  }
  EXPECT_THAT(log_,
              ElementsAre("open a", "piece x", "piece y end", "close 1000 ok"));
}

TEST_F(ClientWebSocketTest, ARefusalIsAFailure) {
  ClientWebSocket web_socket = Make();
  EXPECT_EQ(Receive(web_socket,
                    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            "refused: 404");
  EXPECT_FALSE(web_socket.is_open());
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(ClientWebSocketTest, AViolationIsReportedToBothSides) {
  ClientWebSocket web_socket = Make();
  EXPECT_EQ(Receive(web_socket, Accepted() + Frame(0x83, "", false)),
            "lost: the other side broke the WebSocket protocol: a reserved "
            "opcode");
  Send(web_socket);
  ClientWebSocket masked = Make();
  Send(masked);
  Receive(masked, Accepted() + Frame(kText, "x"));
  EXPECT_EQ(Send(masked), CloseFrame(1002, "a server's frame with a mask"));
}

TEST_F(ClientWebSocketTest, AMessageOverTheLimitIsAFailure) {
  ClientWebSocket web_socket = Make();
  Send(web_socket);
  EXPECT_EQ(Receive(web_socket,
                    Accepted() + Frame(kText, std::string(101, 'x'), false)),
            "lost: a message is longer than 100 bytes");
  EXPECT_EQ(Send(web_socket),
            CloseFrame(1009, "a message is longer than 100 bytes"));
}

TEST_F(ClientWebSocketTest, TheServersCodeIsReportedAlsoAfterOurClose) {
  ClientWebSocket web_socket = Make();
  Receive(web_socket, Accepted());
  web_socket.endpoint().Close(CloseCode::kNormal, "");
  Receive(web_socket,
          Frame(kText, "dropped", false) + Frame(kClose, "\x0F\xA5no", false));
  EXPECT_THAT(log_, ElementsAre("open a", "close 4005 no"));
}

TEST_F(ClientWebSocketTest, TheEndOfTheConnectionIsAFailure) {
  ClientWebSocket web_socket = Make();
  EXPECT_EQ(Told(web_socket.AtEnd("")),
            "unreachable: in the handshake: the connection ended");
  Receive(web_socket, Accepted());
  EXPECT_EQ(Told(web_socket.AtEnd("")),
            "lost: connection broken without a Close frame");
  EXPECT_EQ(Told(web_socket.AtEnd("reset")),
            "lost: connection broken without a Close frame (reset)");
}

}  // namespace
}  // namespace headgate
