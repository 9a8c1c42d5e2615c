#include "gateway/http/handshake.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "tests/http/handshake_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

class HandshakeTest : public HandshakeFixture {};

TEST_F(HandshakeTest, AdmissionSaysAllOfTheSession) {
  const Admission admission =
      Admitted(WebSocket("Authorization: Bearer t\r\nGrpc-Metadata-A: b\r\n"
                         "Sec-WebSocket-Protocol: headgate.json.v1\r\n"
                         "Grpc-Timeout: 5S\r\n"));
  const SessionRequest& session = admission.session;
  EXPECT_EQ(session.id, "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(session.peer, "192.0.2.1");
  EXPECT_EQ(session.route->path, "/room");
  EXPECT_EQ(session.method, "/p.S/M");
  EXPECT_EQ(session.codec, &kJsonDialect);
  EXPECT_THAT(session.metadata, Contains(Pair("authorization", "Bearer t")));
  EXPECT_THAT(session.metadata, Contains(Pair("a", "b")));
  EXPECT_EQ(session.timeout, absl::Seconds(5));
}

// {"exp":1000000} and {"exp":2000000}; it is 1000000.
constexpr char kExpired[] =
    "Authorization: Bearer e30.eyJleHAiOjEwMDAwMDB9.s\r\n";
constexpr char kValid[] =
    "Authorization: Bearer e30.eyJleHAiOjIwMDAwMDB9.s\r\n";

TEST_F(HandshakeTest, TokenThatHasExpiredIs401WhereTheRouteSaysSo) {
  Route room;
  room.path = "/room";
  room.target = FixedMethod{"/p.S/M"};
  room.token.expiry = TokenRule::Expiry::kCloses;
  room.token.leeway = absl::Seconds(10);
  Route other = room;
  other.path = "/other";
  other.token.expiry = TokenRule::Expiry::kIgnored;
  Use({room, other});
  EXPECT_EQ(Admitted(WebSocket(kValid)).session.token_expiry,
            absl::FromUnixSeconds(2'000'000));
  EXPECT_EQ(Admitted(WebSocket()).session.token_expiry, absl::InfiniteFuture());
  EXPECT_EQ(Admitted(WebSocket(kExpired), "GET /other").session.token_expiry,
            absl::InfiniteFuture());

  // The time of day decides; the session goes by the other clock.
  ahead_ = absl::Seconds(9);
  EXPECT_EQ(Admitted(WebSocket(kExpired)).session.token_expiry,
            absl::FromUnixSeconds(1'000'000) - ahead_);
  ahead_ = absl::ZeroDuration();
  now_ += absl::Seconds(9);
  Admitted(WebSocket(kExpired));
  now_ += absl::Seconds(1);
  const Refusal refusal = Refused("GET /room", WebSocket(kExpired));
  EXPECT_EQ(refusal.reason, RefusalReason::kTokenExpired);
  EXPECT_EQ(refusal.http_status, 401);
  EXPECT_EQ(refusal.status,
            absl::UnauthenticatedError("the token has expired"));
  Admitted(WebSocket(kExpired), "GET /other");
}

// The route's deadline is a cap, and holds without a wish of the client's.
TEST_F(HandshakeTest, TimeoutIsCappedByTheRoute) {
  EXPECT_EQ(Admitted(WebSocket("Grpc-Timeout: 1H\r\n")).session.timeout,
            absl::Seconds(30));
  EXPECT_EQ(Admitted(WebSocket()).session.timeout, absl::Seconds(30));
  EXPECT_EQ(Admitted(WebSocket(), "GET /p.S/N").session.timeout,
            absl::InfiniteDuration());
}

// RFC 9113 section 10.5.1 says how it is counted. What the gateway adds counts
// as well, and for several methods the longest path.
TEST_F(HandshakeTest, MetadataOverTheLimitIsRefusedWith431) {
  Route route;
  route.path = "/room";
  route.target = FixedMethod{"/p.S/M"};
  route.token_query = "t";
  route.max_metadata_bytes = 2000;
  route.own_metadata_bytes = 700;
  Route several = route;
  several.path = "/several";
  several.target = MethodTable{.methods = {{1, "/p.S/Mm"}, {2, "/p.S/M"}}};
  Use({route, several});
  const auto with = [](std::size_t size) {
    return WebSocket(
        absl::StrCat("Grpc-Metadata-A: ", std::string(size, 'x'), "\r\n"));
  };
  const std::size_t others =
      HeaderListBytes(Admitted(WebSocket()).session.metadata);
  const std::size_t most = 2000 - 700 - 6 - others - 33;
  Admitted(with(most));
  const Refusal refusal = Refused("GET /room", with(most + 1));
  EXPECT_EQ(refusal.http_status, 431);
  EXPECT_EQ(refusal.status,
            absl::ResourceExhaustedError(
                "the call's metadata would make 2001 bytes of headers, "
                "max_metadata_bytes is 2000"));
  EXPECT_EQ(refusal.reason, RefusalReason::kMetadataTooLarge);
  Admitted(with(most - 1), "GET /several");
  EXPECT_EQ(Refused("GET /several", with(most)).http_status, 431);
  // Wherever it comes from.
  const std::string token(1300, 'x');
  EXPECT_EQ(Refused("GET /room?t=" + token, WebSocket()).http_status, 431);
  for (const char* header :
       {"Authorization: ", "Sec-WebSocket-Protocol: Bearer, ",
        "Baggage: ", "User-Agent: "}) {
    EXPECT_EQ(
        Refused("GET /room", WebSocket(absl::StrCat(header, token, "\r\n")))
            .http_status,
        431)
        << header;
  }
}

TEST_F(HandshakeTest, PathIsDecodedAndTheQueryLeftOut) {
  EXPECT_EQ(Admitted(WebSocket(), "GET /r%6Fom?x=y").session.method, "/p.S/M");
  EXPECT_EQ(Refused("GET /room/", WebSocket()).http_status, 404);
  EXPECT_EQ(Refused("GET /room%2F", WebSocket()).http_status, 404);
}

TEST_F(HandshakeTest, UnknownPathIsRefusedWith404) {
  const Refusal refusal = Refused("GET /no%01where?token=s3cret", WebSocket());
  EXPECT_EQ(refusal.http_status, 404);
  EXPECT_EQ(refusal.status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(RefusalBody(refusal), HasSubstr("\\u0001"));
  EXPECT_THAT(RefusalBody(refusal), Not(HasSubstr("s3cret")));
}

// RFC 9110 section 5.3: lines of one name are one list.
TEST_F(HandshakeTest, ConnectionMayHaveSeveralLines) {
  const std::string rest = absl::StrCat(
      "Host: example.com\r\nUpgrade: websocket\r\n", kVersion, kKey);
  Admitted(
      absl::StrCat("Connection: keep-alive\r\nConnection: Upgrade\r\n", rest));
  Admitted(absl::StrCat("Connection: x\r\nconnection: te, upgrade\r\n", rest));
  EXPECT_EQ(
      Refused("GET /room", absl::StrCat("Connection: keep-alive\r\n", rest))
          .http_status,
      426);
}

// RFC 9110 section 4.2.3: "an empty path component is equivalent to an absolute
// path of "/"".
TEST_F(HandshakeTest, AddressWithoutAPathIsOfTheRoot) {
  Route root;
  root.path = "/";
  root.target = FixedMethod{"/p.S/Root"};
  Use({root});
  for (const char* target : {"/", "http://example.com", "http://example.com/",
                             "ws://example.com?x=y"}) {
    EXPECT_EQ(
        Admitted(WebSocket(), absl::StrCat("GET ", target)).session.method,
        "/p.S/Root")
        << target;
  }
}

TEST_F(HandshakeTest, SubprotocolOfTheGatewaysThatIsNoneIsRefusedWith400) {
  const auto refused = [&](const char* offered) {
    return std::string(
        Refused("GET /room", WebSocket(absl::StrCat(
                                 "Sec-WebSocket-Protocol: ", offered, "\r\n")))
            .status.message());
  };
  EXPECT_EQ(refused("headgate.jsno.v1"),
            "there is no subprotocol headgate.jsno.v1; did you mean "
            "'headgate.json.v1'?");
  EXPECT_EQ(refused("chat, headgate.json.v2"),
            "there is no subprotocol headgate.json.v2; did you mean "
            "'headgate.json.v1'?");
  EXPECT_EQ(refused("headgate.something.else, Bearer, t"),
            "there is no subprotocol headgate.something.else; there are "
            "headgate.packet.v1, headgate.json.v1, headgate.protobuf.v1, "
            "headgate.raw.v1, headgate.hub.json.v1, headgate.hub.protobuf.v1");
  // A client may offer what only a newer gateway knows beside it.
  EXPECT_EQ(Echo("headgate.json.v2, headgate.json.v1"), "headgate.json.v1");
  EXPECT_EQ(Echo("chat"), "");
  EXPECT_EQ(Echo("Bearer, headgate.token"), "Bearer");
}

// Section 2.2: "not an upgrade 426 (with `Upgrade: websocket`)".
TEST_F(HandshakeTest, WhatIsNoUpgradeIsRefusedWith426) {
  const std::pair<const char*, std::string> cases[] = {
      {"GET /room", "Host: h\r\n"},
      {"GET /room",
       absl::StrCat("Host: h\r\nUpgrade: websocket\r\n", kVersion, kKey)},
      {"GET /room", absl::StrCat("Host: h\r\nConnection: Upgrade\r\n",
                                 "Upgrade: h2c\r\n", kVersion, kKey)},
      {"POST /room", WebSocket()},
      {"HEAD /room", WebSocket()},
  };
  for (const auto& [line, headers] : cases) {
    const Refusal refusal = Refused(line, headers);
    EXPECT_EQ(refusal.http_status, 426) << line << "\n" << headers;
    EXPECT_EQ(refusal.status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(refusal.headers, ElementsAre(Pair("Upgrade", "websocket")));
  }
}

TEST_F(HandshakeTest, WrongVersionIsRefusedWith426AndTheRightOne) {
  for (const std::string version :
       {"", "Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: 013\r\n",
        "Sec-WebSocket-Version: 13, 8\r\n", "Sec-WebSocket-Version:\r\n",
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n"}) {
    const Refusal refusal =
        Refused("GET /room", absl::StrCat(kUpgrade, kKey, version));
    EXPECT_EQ(refusal.http_status, 426) << version;
    EXPECT_THAT(refusal.headers, Contains(Pair("Sec-WebSocket-Version", "13")));
  }
}

// RFC 6455 section 4.2.1, items 2 and 5; and a body, which no handshake has.
TEST_F(HandshakeTest, MalformedHandshakeIsRefusedWith400) {
  const std::string no_host =
      absl::StrCat("Connection: Upgrade\r\nUpgrade: websocket\r\n", kVersion);
  for (const std::string& headers :
       {absl::StrCat(kUpgrade, kVersion),
        absl::StrCat(kUpgrade, kVersion, "Sec-WebSocket-Key: short\r\n"),
        absl::StrCat(kUpgrade, kVersion,
                     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA\r\n"),
        absl::StrCat(kUpgrade, kVersion,
                     "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n"),
        absl::StrCat(kUpgrade, kVersion, kKey, kKey),
        absl::StrCat(no_host, kKey), WebSocket("Host: other\r\n"),
        WebSocket("Content-Length: 5\r\n"),
        WebSocket("Transfer-Encoding: chunked\r\n")}) {
    const Refusal refusal = Refused("GET /room", headers);
    EXPECT_EQ(refusal.http_status, 400) << headers;
    EXPECT_EQ(refusal.status.code(), absl::StatusCode::kInvalidArgument);
  }
  Admitted(WebSocket("Content-Length: 0\r\n"));
}

TEST_F(HandshakeTest, MalformedCredentialsAreRefusedWith401) {
  const Refusal refusal =
      Refused("GET /room", WebSocket("Sec-WebSocket-Protocol: Bearer\r\n"));
  EXPECT_EQ(refusal.http_status, 401);
  EXPECT_EQ(refusal.status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(refusal.headers, ElementsAre(Pair("WWW-Authenticate", "Bearer")));
}

// A cross-site page could otherwise use the browser's cookie.
TEST_F(HandshakeTest, CookieCountsOnlyAfterTheOriginPassed) {
  const std::string cookie = "Cookie: token=t\r\n";
  EXPECT_THAT(Admitted(WebSocket(cookie)).session.metadata,
              Contains(Pair("authorization", "Bearer t")));
  EXPECT_EQ(
      Refused("GET /room", WebSocket("Origin: http://evil.com\r\n" + cookie))
          .http_status,
      403);
}

TEST_F(HandshakeTest, QueryTokenIsDecodedAndGoesNoFurther) {
  const Admission admission =
      Admitted(WebSocket(), "GET /room?a=b&access_token=s3cr%65t");
  EXPECT_THAT(admission.session.metadata,
              Contains(Pair("authorization", "Bearer s3cret")));
  EXPECT_EQ(admission.session.method, "/p.S/M");
  // A route that does not name it does not look at it.
  EXPECT_THAT(
      Admitted(WebSocket(), "GET /p.S/M?access_token=t").session.metadata,
      Not(Contains(Pair("authorization", ::testing::_))));
}

TEST_F(HandshakeTest, NoCredentialsIsNoAuthorization) {
  EXPECT_THAT(
      Admitted(WebSocket("Sec-WebSocket-Protocol: other\r\n")).session.metadata,
      Not(Contains(Pair("authorization", ::testing::_))));
}

TEST_F(HandshakeTest, MetadataThatCannotBeSentIsRefusedWith400) {
  EXPECT_EQ(
      Refused("GET /room", WebSocket("Grpc-Metadata-X-Bin: !\r\n")).http_status,
      400);
  EXPECT_EQ(
      Refused("GET /room", WebSocket("Grpc-Timeout: soon\r\n")).http_status,
      400);
}

// "exactly one entry that the client offered: the codec's name if offered;
// else Bearer if offered; never a token".
TEST_F(HandshakeTest, OneEntryIsEchoedAndNeverAToken) {
  EXPECT_EQ(Echo("headgate.json.v1"), "headgate.json.v1");
  EXPECT_EQ(Echo("Bearer, s3cret"), "Bearer");
  EXPECT_EQ(Echo("Bearer, s3cret, headgate.protobuf.v1"),
            "headgate.protobuf.v1");
  EXPECT_EQ(Echo("headgate.protobuf.v1, headgate.json.v1"),
            "headgate.protobuf.v1");
  EXPECT_EQ(Echo("Bearer, headgate.json.v1"), "Bearer");
  EXPECT_EQ(Echo("unknown"), "");
  EXPECT_EQ(Echo("base64url.bearer.authorization.k8s.io.YQ"), "");
  EXPECT_EQ(Echo("base64url.bearer.authorization.k8s.io.YQ, headgate.json.v1"),
            "headgate.json.v1");
  EXPECT_EQ(Admitted(WebSocket()).subprotocol, "");
}

// The first codec that the route allows is taken; none is a 400 that names
// those that are.
TEST_F(HandshakeTest, CodecIsAmongThoseOfTheRoute) {
  EXPECT_EQ(Echo("headgate.packet.v1, headgate.json.v1"), "headgate.json.v1");
  EXPECT_EQ(
      Echo("headgate.packet.v1", "GET /headgate.v1.PacketService/Connect"),
      "headgate.packet.v1");
  const Refusal refusal =
      Refused("GET /room", WebSocket("Sec-WebSocket-Protocol: headgate.raw.v1, "
                                     "headgate.packet.v1\r\n"));
  EXPECT_EQ(refusal.http_status, 400);
  EXPECT_EQ(
      refusal.status.message(),
      "codec raw, packet is not served here; it is one of json, protobuf");
}

TEST_F(HandshakeTest, NoRoomAndDrainingAreRefusedWith503AndRetryAfter) {
  const std::pair<Capacity, RefusalReason> reasons[] = {
      {Capacity::kFull, RefusalReason::kMaxSessions},
      {Capacity::kAddressFull, RefusalReason::kMaxSessionsPerAddress},
      {Capacity::kIdentityFull, RefusalReason::kMaxSessionsPerIdentity},
      {Capacity::kRouteFull, RefusalReason::kMaxSessionsOfRoute},
      {Capacity::kDraining, RefusalReason::kDraining}};
  for (const auto& [capacity, reason] : reasons) {
    capacity_ = capacity;
    const Refusal refusal = Refused("GET /room", WebSocket());
    EXPECT_EQ(refusal.http_status, 503);
    EXPECT_EQ(refusal.reason, reason);
    EXPECT_EQ(refusal.status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(refusal.headers, ElementsAre(Pair("Retry-After", "5")));
  }
}

// The order of the refusals: each request has the fault of its row and of all
// rows below.
TEST_F(HandshakeTest, RefusalsHaveAnOrder) {
  const std::string token = "Sec-WebSocket-Protocol: Bearer\r\n";
  const std::string origin = "Origin: http://evil.com\r\n";
  const std::string metadata = "Grpc-Metadata-X-Bin: !\r\n";
  capacity_ = Capacity::kFull;
  EXPECT_EQ(Refused("GET /x", "Host: h\r\n" + origin + token).http_status, 404);
  EXPECT_EQ(Refused("GET /room", "Host: h\r\n" + origin + token).http_status,
            426);
  EXPECT_EQ(
      Refused("GET /room", WebSocket(origin + token + metadata)).http_status,
      503);
  capacity_ = Capacity::kFree;
  EXPECT_EQ(
      Refused("GET /room", WebSocket(origin + token + metadata)).http_status,
      403);
  EXPECT_EQ(Refused("GET /room", WebSocket(token + metadata)).http_status, 401);
  EXPECT_EQ(Refused("GET /room", WebSocket(metadata)).http_status, 400);
}

TEST_F(HandshakeTest, OnlyTheHandshakesOwnHeaderKeepsOutCredentialsInBand) {
  EXPECT_TRUE(Admitted(WebSocket("Authorization: Bearer t\r\n"))
                  .session.has_authorization_header);
  EXPECT_FALSE(Admitted(WebSocket("Cookie: token=t\r\n"))
                   .session.has_authorization_header);
}

// `refusals: close` is for what is a WebSocket's request in form.
TEST_F(HandshakeTest, RefusalByCloseIsOnlyForAWebSocket) {
  const std::string evil = "Origin: http://evil.com\r\n";
  Refusal refusal = Refused(
      "GET /told",
      WebSocket(evil +
                "Sec-WebSocket-Protocol: Bearer, t, headgate.json.v1\r\n"));
  EXPECT_EQ(refusal.how, Refusals::kClose);
  EXPECT_EQ(refusal.subprotocol, "headgate.json.v1");
  refusal = Refused("GET /told",
                    WebSocket("Sec-WebSocket-Protocol: headgate.raw.v1\r\n"));
  EXPECT_EQ(refusal.http_status, 400);
  EXPECT_EQ(refusal.subprotocol, "headgate.raw.v1");
  EXPECT_EQ(Refused("GET /room", WebSocket(evil)).how, Refusals::kHttp);
  EXPECT_EQ(Refused("GET /told", "Host: h\r\n").how, Refusals::kHttp);
  EXPECT_EQ(Refused("GET /told", absl::StrCat(kUpgrade, kKey)).how,
            Refusals::kHttp);
  capacity_ = Capacity::kFull;
  EXPECT_EQ(Refused("GET /told", WebSocket()).how, Refusals::kClose);
  EXPECT_EQ(Refused("GET /told", "Host: h\r\n").how, Refusals::kHttp);
}

// Without a route the listener's setting counts; a codec's name is echoed all
// the same, or a browser would not show the code.
TEST_F(HandshakeTest, ListenerSaysHowUnknownPathsAreRefused) {
  EXPECT_EQ(Refused("GET /x", WebSocket()).how, Refusals::kHttp);
  policy_.refusals = Refusals::kClose;
  const Refusal refusal = Refused(
      "GET /x", WebSocket("Sec-WebSocket-Protocol: headgate.packet.v1\r\n"));
  EXPECT_EQ(refusal.how, Refusals::kClose);
  EXPECT_EQ(refusal.subprotocol, "headgate.packet.v1");
  EXPECT_EQ(Refused("GET /x", "Host: h\r\n").how, Refusals::kHttp);
}

TEST_F(HandshakeTest, NoRefusalTellsAToken) {
  for (const std::string& headers :
       {std::string("Sec-WebSocket-Protocol: Bearer, s3cret\xFF\r\n"),
        std::string("Sec-WebSocket-Protocol: Bearer, s3cret, "
                    "headgate.raw.v1\r\n"),
        std::string("Authorization: s3cret\r\nAuthorization: s3cret\r\n"),
        std::string("Authorization: s3cret\r\nGrpc-Timeout: x\r\n"),
        std::string("Cookie: token=s3cret\xFF\r\n"),
        std::string("Origin: http://evil.com\r\nCookie: token=s3cret\r\n"),
        std::string("Grpc-Metadata-X: s3cret\xFF\r\n"),
        std::string("Grpc-Metadata-X-Bin: s3cret!\r\n")}) {
    const Refusal refusal =
        Refused("GET /room?access_token=s3cret", WebSocket(headers));
    EXPECT_THAT(RefusalBody(refusal), Not(HasSubstr("s3cret"))) << headers;
    EXPECT_NE(refusal.subprotocol, "s3cret");
  }
}

TEST_F(HandshakeTest, BodyIsJsonWhateverTheMessage) {
  Refusal refusal = BadRequest("a \"quote\", \\, \n and \xFF");
  EXPECT_EQ(RefusalBody(refusal),
            "{\"code\":3,\"message\":\"a \\\"quote\\\", \\\\, \\n and ?\"}\n");
}

TEST_F(HandshakeTest, UnreadableRequestsHaveRefusalsOfTheirOwn) {
  EXPECT_EQ(HeadersTooLarge(10).http_status, 431);
  EXPECT_EQ(HeadersTooLarge(10).status.code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(HandshakeTooSlow(absl::Seconds(5)).http_status, 408);
  EXPECT_EQ(HandshakeTooSlow(absl::Seconds(5)).status.code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(BadRequest("x").http_status, 400);
}

}  // namespace
}  // namespace headgate
