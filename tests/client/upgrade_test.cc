#include "client/upgrade.h"

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

UpgradeRequest Request(const UpgradeHeaders& handshake = {}) {
  return UpgradeRequest({"a", "8080", "a:8080", "/x?y"}, handshake, "test",
                        "the sample nonce");
}

std::string Accepted(const UpgradeRequest& request,
                     absl::string_view more = "") {
  return absl::StrCat(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n"
      "Connection: Upgrade\r\nSec-WebSocket-Accept: ",
      request.accept(), "\r\n", more, "\r\n");
}

std::string Told(const ClientFailure& failure) {
  if (const auto* refused = std::get_if<Refused>(&failure)) {
    return absl::StrCat("refused ", refused->http, " ", refused->body,
                        refused->retry_after.empty() ? "" : " again in ",
                        refused->retry_after);
  }
  return std::get<Unreachable>(failure).why;
}

// "open SUBPROTOCOL REST", or the failure; "" while it is incomplete.
std::string Outcome(const std::optional<UpgradeResponse::Outcome>& outcome) {
  if (!outcome.has_value()) return "";
  if (const auto* failure = std::get_if<ClientFailure>(&*outcome)) {
    return Told(*failure);
  }
  const auto& accepted = std::get<UpgradeResponse::Accepted>(*outcome);
  return absl::StrCat("open ", accepted.subprotocol, " ", accepted.rest);
}

std::string Read(const UpgradeRequest& request, const std::string& bytes) {
  UpgradeResponse answer(request);
  return Outcome(answer.Take(bytes));
}

TEST(UpgradeRequestTest, IsAHandshake) {
  const std::string text = Request().text();
  EXPECT_THAT(text, StartsWith("GET /x?y HTTP/1.1\r\nHost: a:8080\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\nUpgrade: websocket\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\nConnection: Upgrade\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\nSec-WebSocket-Version: 13\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("Sec-WebSocket-Protocol")));
  EXPECT_THAT(text, EndsWith("\r\n\r\n"));
}

TEST(UpgradeRequestTest, SaysWhatTheFlagsSay) {
  const std::string text =
      Request({{"a", "b"}, {{"X-User", "ann"}, {"host", "b"}}}).text();
  EXPECT_THAT(text, HasSubstr("\r\nSec-WebSocket-Protocol: a, b\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\nX-User: ann\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\nhost: b\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("Host: a:8080")));
}

TEST(UpgradeResponseTest, PassesOnWhatComesBehindIt) {
  const UpgradeRequest request = Request({{"a"}, {}});
  EXPECT_EQ(Read(request, Accepted(request) + "frames"), "open  frames");
  EXPECT_EQ(Read(request, Accepted(request, "Sec-WebSocket-Protocol: a\r\n")),
            "open a ");
}

TEST(UpgradeResponseTest, MayComeInPieces) {
  const UpgradeRequest request = Request();
  const std::string bytes = Accepted(request);
  UpgradeResponse answer(request);
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
    EXPECT_EQ(Outcome(answer.Take(bytes.substr(i, 1))), "");
  }
  EXPECT_EQ(Outcome(answer.Take(bytes.substr(bytes.size() - 1))), "open  ");
}

TEST(UpgradeResponseTest, ARefusalHasABodyAndMaySayWhenToComeBack) {
  const std::string head = "HTTP/1.1 503 Service Unavailable\r\n";
  EXPECT_EQ(Read(Request(), head + "Content-Length: 4\r\n\r\nfull"),
            "refused 503 full");
  EXPECT_EQ(
      Read(Request(), head + "Retry-After: 3\r\nContent-Length: 0\r\n\r\n"),
      "refused 503  again in 3");
}

TEST(UpgradeResponseTest, ARefusalMayEndWithTheConnection) {
  const UpgradeRequest request = Request();
  UpgradeResponse response(request);
  EXPECT_EQ(Outcome(response.Take("HTTP/1.1 401 Unauthorized\r\n\r\nwho?")),
            "");
  EXPECT_EQ(Told(response.AtEnd("")), "refused 401 who?");
  UpgradeResponse nothing(request);
  EXPECT_EQ(Told(nothing.AtEnd("")), "in the handshake: the connection ended");
  EXPECT_EQ(Told(nothing.AtEnd("reset")), "in the handshake: reset");
}

// RFC 6455 section 4.1, page 19.
TEST(UpgradeResponseTest, OnlyTheResponseToTheRequestIsAccepted) {
  const UpgradeRequest request = Request({{"a"}, {}});
  EXPECT_THAT(Read(request, "SSH-2.0-OpenSSH\r\n"),
              StartsWith("in the handshake: "));
  const auto with = [&](absl::string_view upgrade, absl::string_view connection,
                        absl::string_view accept,
                        absl::string_view version = "1.1") {
    return Read(request,
                absl::StrCat("HTTP/", version, " 101 OK\r\nUpgrade: ", upgrade,
                             "\r\nConnection: ", connection,
                             "\r\nSec-WebSocket-Accept: ", accept, "\r\n\r\n"));
  };
  EXPECT_EQ(with("websocket", "keep-alive, Upgrade", request.accept()),
            "open  ");
  EXPECT_EQ(with("h2c", "Upgrade", request.accept()),
            "in the handshake: the response has no 'Upgrade: websocket'");
  EXPECT_EQ(with("websocket", "close", request.accept()),
            "in the handshake: the response has no 'Connection: Upgrade'");
  EXPECT_EQ(with("websocket", "Upgrade", "x"),
            "in the handshake: Sec-WebSocket-Accept is not that of the "
            "request");
  EXPECT_EQ(with("websocket", "Upgrade", request.accept(), "1.0"),
            "in the handshake: the response is HTTP/1.0");
}

TEST(UpgradeResponseTest, NothingMayBeSelectedThatWasNotOffered) {
  const UpgradeRequest request = Request({{"a"}, {}});
  EXPECT_EQ(Read(request, Accepted(request, "Sec-WebSocket-Protocol: b\r\n")),
            "in the handshake: the server selected a subprotocol that was not "
            "offered: b");
  EXPECT_EQ(Read(request, Accepted(request,
                                   "Sec-WebSocket-Extensions: "
                                   "permessage-deflate\r\n")),
            "in the handshake: the server selected an extension that was not "
            "offered: permessage-deflate");
}

// RFC 6455 section 1.3.
TEST(UpgradeRequestTest, TheKeyAndItsAcceptValueAreThoseOfTheRfc) {
  const UpgradeRequest request = Request();
  EXPECT_THAT(request.text(),
              HasSubstr("\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
  EXPECT_EQ(request.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_NE(RandomUpgradeKey(), RandomUpgradeKey());
  EXPECT_EQ(RandomUpgradeKey().size(), 16u);
}

}  // namespace
}  // namespace headgate
