#include "cmd/headgate/bench/ws_handshake.h"

#include <optional>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

WsRequest Request(const DialHandshake& handshake = {}) {
  return WsRequest({"a", "8080", "a:8080", "/x?y"}, handshake);
}

std::string Accepted(const WsRequest& request, absl::string_view more = "") {
  return absl::StrCat(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n"
      "Connection: Upgrade\r\nSec-WebSocket-Accept: ",
      request.accept(), "\r\n", more, "\r\n");
}

// "open SUBPROTOCOL REST", or how it ended; "" while that is open.
std::string Outcome(const std::optional<WsAnswer::Outcome>& outcome) {
  if (!outcome.has_value()) return "";
  if (const auto* ending = std::get_if<DialEnding>(&*outcome)) {
    return Describe(*ending);
  }
  const auto& accepted = std::get<WsAnswer::Accepted>(*outcome);
  return absl::StrCat("open ", accepted.subprotocol, " ", accepted.rest);
}

std::string Read(const WsRequest& request, const std::string& bytes) {
  WsAnswer answer(request);
  return Outcome(answer.Take(bytes));
}

TEST(WsRequestTest, IsAHandshake) {
  const std::string text = Request().text();
  EXPECT_THAT(text, StartsWith("GET /x?y HTTP/1.1\r\nHost: a:8080\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\nUpgrade: websocket\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\nConnection: Upgrade\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\nSec-WebSocket-Version: 13\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("Sec-WebSocket-Protocol")));
  EXPECT_THAT(text, EndsWith("\r\n\r\n"));
}

TEST(WsRequestTest, SaysWhatTheFlagsSay) {
  const std::string text =
      Request({{"a", "b"}, {{"X-User", "ann"}, {"host", "b"}}}).text();
  EXPECT_THAT(text, HasSubstr("\r\nSec-WebSocket-Protocol: a, b\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\nX-User: ann\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\nhost: b\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("Host: a:8080")));
}

TEST(WsAnswerTest, PassesOnWhatComesBehindIt) {
  const WsRequest request = Request({{"a"}, {}});
  EXPECT_EQ(Read(request, Accepted(request) + "frames"), "open  frames");
  EXPECT_EQ(Read(request, Accepted(request, "Sec-WebSocket-Protocol: a\r\n")),
            "open a ");
}

TEST(WsAnswerTest, MayComeInPieces) {
  const WsRequest request = Request();
  const std::string bytes = Accepted(request);
  WsAnswer answer(request);
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
    EXPECT_EQ(Outcome(answer.Take(bytes.substr(i, 1))), "");
  }
  EXPECT_EQ(Outcome(answer.Take(bytes.substr(bytes.size() - 1))), "open  ");
}

TEST(WsAnswerTest, ARefusalHasABody) {
  const std::string head = "HTTP/1.1 503 Service Unavailable\r\n";
  EXPECT_EQ(Read(Request(), head + "Content-Length: 4\r\n\r\nfull"),
            "refused: HTTP 503: full");
  EXPECT_EQ(Read(Request(), head + "Content-Length: 0\r\n\r\n"),
            "refused: HTTP 503");
}

TEST(WsAnswerTest, ARefusalMayEndWithTheConnection) {
  const WsRequest request = Request();
  WsAnswer answer(request);
  EXPECT_EQ(Outcome(answer.Take("HTTP/1.1 401 Unauthorized\r\n\r\nwho?")), "");
  EXPECT_EQ(Describe(answer.AtEnd()), "refused: HTTP 401: who?");
  WsAnswer nothing(request);
  EXPECT_EQ(Describe(nothing.AtEnd()),
            "could not connect: the connection ended in the handshake");
}

TEST(WsAnswerTest, RefusesWhatIsNoAnswer) {
  const WsRequest request = Request({{"a"}, {}});
  EXPECT_THAT(Read(request, "SSH-2.0-OpenSSH\r\n"),
              StartsWith("could not connect: in the handshake: "));
  EXPECT_EQ(Read(request,
                 "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Accept: x\r\n\r\n"),
            "could not connect: the answer to the handshake is not one");
  EXPECT_EQ(Read(request, Accepted(request, "Sec-WebSocket-Protocol: b\r\n")),
            "could not connect: the subprotocol that was chosen was not "
            "offered: b");
}

// RFC 6455 section 4.1: a nonce; its answer is a SHA-1 in base64.
TEST(WsRequestTest, EachHasAKeyOfItsOwn) {
  EXPECT_NE(Request().accept(), Request().accept());
  EXPECT_EQ(Request().accept().size(), 28u);
}

}  // namespace
}  // namespace headgate
