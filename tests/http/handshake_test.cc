#include "gateway/http/handshake.h"

#include <gmock/gmock.h>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "tests/http/api_rules.h"
#include "tests/http/http_request.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

constexpr char kUpgrade[] =
    "Host: example.com\r\nConnection: keep-alive, Upgrade\r\n"
    "Upgrade: WebSocket\r\n";
constexpr char kVersion[] = "Sec-WebSocket-Version: 13\r\n";
constexpr char kKey[] = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

std::string WebSocket(const std::string& more = "") {
  return absl::StrCat(kUpgrade, kVersion, kKey, more);
}

class HandshakeTest : public ::testing::Test {
 protected:
  HandshakeTest() {
    Route room;
    room.path = "/room";
    room.target = FixedMethod{"/p.S/M"};
    room.token_cookie = "token";
    room.token_query = "access_token";
    room.deadline = absl::Seconds(30);
    Route told = room;
    told.path = "/told";
    told.refusals = Refusals::kClose;
    Use({room, told, Route{}});
  }
  void Use(std::vector<Route> routes) {
    policy_.router = std::make_shared<const Router>(std::move(routes));
  }

  std::variant<Refusal, Admission> Judge(const std::string& line,
                                         const std::string& headers) {
    const HttpRequest request =
        ParseRequest(absl::StrCat(line, " HTTP/1.1\r\n", headers, "\r\n"));
    auto located = LocateRequest(request, policy_, peer_);
    if (auto* refusal = std::get_if<Refusal>(&located)) return *refusal;
    const auto& where = std::get<Located>(located);
    if (capacity_ != Capacity::kFree) {
      return NoCapacity(request, where, capacity_);
    }
    auto found = FindDestination(request, where, rules_.get());
    if (auto* refusal = std::get_if<Refusal>(&found)) return *refusal;
    return JudgeSession(request, policy_, peer_, where,
                        std::get<Destination>(found), now_);
  }
  Refusal Refused(const std::string& line, const std::string& headers) {
    auto result = Judge(line, headers);
    if (auto* refusal = std::get_if<Refusal>(&result)) return *refusal;
    ADD_FAILURE() << "admitted: " << line << "\n" << headers;
    return {};
  }
  Admission Admitted(const std::string& headers,
                     const std::string& line = "GET /room") {
    auto result = Judge(line, headers);
    if (auto* admission = std::get_if<Admission>(&result)) return *admission;
    ADD_FAILURE() << std::get<Refusal>(result).status;
    return {};
  }
  std::string Echo(const std::string& offered,
                   const std::string& line = "GET /room") {
    return Admitted(WebSocket("Sec-WebSocket-Protocol: " + offered + "\r\n"),
                    line)
        .subprotocol;
  }

  std::shared_ptr<const HttpRules> rules_;
  HandshakePolicy policy_;
  Peer peer_{.address = "192.0.2.1",
             .is_tls = false,
             .client_subject = "",
             .client = "",
             .session_id = "0123456789abcdef0123456789abcdef"};
  Capacity capacity_ = Capacity::kFree;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
};

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
            "headgate.raw.v1");
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

// RFC 9112 section 3.2.2: a server takes the whole address too.
TEST_F(HandshakeTest, TargetMayBeAnAddress) {
  for (const char* line :
       {"GET http://example.com/room", "GET ws://example.com/room?x=1"}) {
    const auto result = Judge(line, WebSocket(""));
    EXPECT_TRUE(std::holds_alternative<Admission>(result)) << line;
  }
}

// RFC 9112 section 3.2.
TEST_F(HandshakeTest, HostThatIsNoneIsRefusedWith400) {
  const std::string rest = absl::StrCat(
      "Connection: Upgrade\r\nUpgrade: websocket\r\n", kVersion, kKey);
  for (const char* host : {"", "a b", "a/b", "user@a", "a:b"}) {
    EXPECT_EQ(Refused("GET /room", absl::StrCat("Host: ", host, "\r\n", rest))
                  .http_status,
              400)
        << host;
  }
}

TEST_F(HandshakeTest, TargetThatIsNoPathIsRefusedWith400) {
  for (const char* target :
       {"*", "room", "/%zz", "ftp://example.com/room", "example.com:80"}) {
    EXPECT_EQ(Refused(absl::StrCat("GET ", target), WebSocket()).http_status,
              400)
        << target;
  }
}

TEST_F(HandshakeTest, ForeignOriginIsRefusedWith403) {
  const Refusal refusal =
      Refused("GET /room", WebSocket("Origin: https://evil.com\r\n"));
  EXPECT_EQ(refusal.http_status, 403);
  EXPECT_EQ(refusal.status.message(), "origin https://evil.com is not allowed");
  EXPECT_EQ(refusal.setting, "listeners[].allowed_origins");
  EXPECT_EQ(Refused("GET /room", WebSocket("Origin: http://example.com\r\n"
                                           "Origin: http://example.com\r\n"))
                .http_status,
            403);
  Admitted(WebSocket());  // No browser.
  Admitted(WebSocket("Origin: http://example.com\r\n"));
  policy_.allowed_origins = {"https://*.evil.com"};
  Admitted(WebSocket("Origin: https://a.evil.com\r\n"));
}

// The scheme is the listener's; of a trusted proxy's requests, what the proxy
// says.
TEST_F(HandshakeTest, OriginOfTheOtherSchemeIsRefusedWith403) {
  const std::string http = "Origin: http://example.com\r\n";
  const std::string https = "Origin: https://example.com\r\n";
  Refusal refusal = Refused("GET /room", WebSocket(https));
  EXPECT_EQ(refusal.http_status, 403);
  EXPECT_EQ(refusal.status.message(),
            "origin https://example.com is not allowed, the listener is "
            "http://example.com");
  EXPECT_THAT(refusal.setting, HasSubstr("listeners[].trusted_proxies"));
  // Nobody has to believe it.
  const std::string told = "X-Forwarded-Proto: https\r\n";
  EXPECT_EQ(Refused("GET /room", WebSocket(https + told)).http_status, 403);

  policy_.trusted_proxies = {*Network::Parse("192.0.2.0/24")};
  Admitted(WebSocket(https + told));
  Admitted(WebSocket(https + "X-Forwarded-Proto: wss, http\r\n"));
  Admitted(WebSocket(http + "X-Forwarded-Proto: http\r\n"));
  Admitted(WebSocket(http));
  EXPECT_EQ(Refused("GET /room", WebSocket(http + told)).http_status, 403);
  EXPECT_EQ(Refused("GET /room", WebSocket(https)).http_status, 403);

  peer_.is_tls = true;
  Admitted(WebSocket(https));
  refusal = Refused("GET /room", WebSocket(http));
  EXPECT_EQ(refusal.status.message(),
            "origin http://example.com is not allowed, the listener is "
            "https://example.com");
  EXPECT_EQ(refusal.setting, "listeners[].allowed_origins");
  EXPECT_EQ(Refused("GET /room", WebSocket("Origin: ftp://example.com\r\n"))
                .status.message(),
            "origin ftp://example.com is not allowed");
}

// A proxy that hands over by a socket file or with a PROXY header may have
// ended TLS, and says nothing of it.
TEST_F(HandshakeTest, SchemeIsEitherWhereOnlyTheProxyKnowsIt) {
  policy_.is_behind_proxy = true;
  Admitted(WebSocket("Origin: http://example.com\r\n"));
  Admitted(WebSocket("Origin: https://example.com\r\n"));
  EXPECT_EQ(Refused("GET /room", WebSocket("Origin: ftp://example.com\r\n"))
                .http_status,
            403);
  peer_.is_tls = true;
  EXPECT_EQ(Refused("GET /room", WebSocket("Origin: http://example.com\r\n"))
                .http_status,
            403);
}

// RFC 9112 section 3.2.2: the target's host counts, where it has one.
TEST_F(HandshakeTest, OriginIsComparedWithTheHostOfTheTarget) {
  const std::string line = "GET http://other.test/room";
  Admitted(WebSocket("Origin: http://other.test\r\n"), line);
  EXPECT_EQ(
      Refused(line, WebSocket("Origin: http://example.com\r\n")).http_status,
      403);
}

// DNS rebinding: a page of any name that resolves to 127.0.0.1 would be of the
// listener's own origin.
TEST_F(HandshakeTest, HostThatIsNotLoopbackIsRefusedOnALoopbackListener) {
  policy_.is_loopback = true;
  const std::string own = WebSocket("Origin: http://example.com\r\n");
  const Refusal refusal = Refused("GET /room", own);
  EXPECT_EQ(refusal.http_status, 403);
  EXPECT_EQ(refusal.reason, RefusalReason::kHost);
  EXPECT_EQ(refusal.status.message(), "host example.com is not allowed");
  EXPECT_THAT(refusal.setting, HasSubstr("listeners[].allowed_hosts"));
  EXPECT_EQ(Refused("GET /told", own).how, Refusals::kClose);
  EXPECT_EQ(Refused("GET http://evil.test/room",
                    WebSocket("Origin: http://evil.test\r\n"))
                .status.message(),
            "host evil.test is not allowed");
  Admitted(WebSocket());  // No browser.
  Admitted(WebSocket("Origin: http://localhost:1\r\n"),
           "GET http://localhost:1/room");

  policy_.allowed_hosts = {"other.test", "*.com"};
  Admitted(own);
  policy_.allowed_hosts = {"other.test"};
  EXPECT_EQ(Refused("GET /room", own).reason, RefusalReason::kHost);
  policy_.is_loopback = false;  // The list holds anywhere.
  EXPECT_EQ(Refused("GET /room", own).reason, RefusalReason::kHost);
  policy_.allowed_hosts.clear();
  Admitted(own);
}

TEST_F(HandshakeTest, ConsoleIsFoundWhereTheListenerServesIt) {
  const auto find = [this](const std::string& line, const std::string& host) {
    return FindConsole(
        ParseRequest(absl::StrCat("GET ", line, " HTTP/1.1\r\n", host, "\r\n")),
        policy_, peer_);
  };
  const std::string localhost = "Host: localhost:1\r\n";
  EXPECT_FALSE(find("/_headgate/", localhost));
  policy_.console = MakeConsoleIndex(Settings());
  const auto path = [&](const std::string& line) {
    const auto found = find(line, localhost);
    return found ? std::get<HttpTarget>(*found).encoded_path : "none";
  };
  EXPECT_EQ(path("/_headgate/?x=1"), "/_headgate/");
  EXPECT_EQ(path("/_headgate/api/index"), "/_headgate/api/index");
  EXPECT_EQ(path("/_headgates"), "none");
  EXPECT_EQ(path("/room"), "none");
  // Nothing else is served there.
  EXPECT_EQ(path("/"), "/_headgate");
  EXPECT_FALSE(FindConsole(
      ParseRequest("GET / HTTP/1.1\r\nHost: localhost:1\r\n"
                   "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
      policy_, peer_));
  Route root;
  root.path = "/";
  root.target = FixedMethod{"/p.S/M"};
  Use({root});
  EXPECT_EQ(path("/"), "none");

  const auto refused = [&](const std::string& host) {
    return std::get<Refusal>(find("/_headgate/", host).value()).http_status;
  };
  EXPECT_EQ(refused(""), 400);
  policy_.is_loopback = true;
  EXPECT_EQ(path("/_headgate/"), "/_headgate/");
  EXPECT_EQ(refused("Host: evil.test\r\n"), 403);
  policy_.allowed_origins = {"*"};  // Says nothing about hosts.
  EXPECT_EQ(refused("Host: evil.test\r\n"), 403);
}

// A page cannot set headers; the console's own may say metadata otherwise.
TEST_F(HandshakeTest, ConsolePagesSendMetadataInASubprotocol) {
  const auto request = [](const std::string& lines, const std::string& origin) {
    return WebSocket(absl::StrCat(
        "Origin: ", origin, "\r\nSec-WebSocket-Protocol: headgate.json.v1, ",
        "headgate.metadata.v1.", absl::WebSafeBase64Escape(lines), "\r\n"));
  };
  const std::string own = "http://example.com";
  const std::string lines = "x-tenant: a: b\n\nX-Key-bin: AAE=\n";
  const auto tenant = Pair("x-tenant", "a: b");
  EXPECT_THAT(Admitted(request(lines, own)).session.metadata,
              Not(Contains(tenant)));
  policy_.console = MakeConsoleIndex(Settings());
  const Admission admission = Admitted(request(lines, own));
  EXPECT_EQ(admission.subprotocol, "headgate.json.v1");
  EXPECT_THAT(admission.session.metadata,
              AllOf(Contains(tenant),
                    Contains(Pair("x-key-bin", std::string("\0\1", 2)))));
  // What a client cannot set by a header it cannot set so.
  EXPECT_THAT(
      Admitted(request("x-forwarded-for: 1.2.3.4", own)).session.metadata,
      Not(Contains(Pair("x-forwarded-for", "1.2.3.4"))));
  for (const char* bad : {"x y: 1", ": 1", "x-k-bin: !"}) {
    EXPECT_EQ(Refused("GET /room", request(bad, own)).http_status, 400) << bad;
  }
  // Pages of other origins have no more than before.
  policy_.allowed_origins = {"*"};
  EXPECT_THAT(Admitted(request(lines, "http://other.test")).session.metadata,
              Not(Contains(tenant)));
}

// What else says that the host, or the page, is the operator's.
TEST_F(HandshakeTest, HostIsKnownByProxyRouteOrAllowedOrigin) {
  policy_.is_loopback = true;
  const std::string own = WebSocket("Origin: http://example.com\r\n");
  policy_.trusted_proxies = {*Network::Parse("192.0.2.1")};
  Admitted(own);
  policy_.allowed_hosts = {"other.test"};
  EXPECT_EQ(Refused("GET /room", own).reason, RefusalReason::kHost);
  policy_.allowed_hosts.clear();
  policy_.trusted_proxies.clear();

  policy_.allowed_origins = {"http://example.com"};
  Admitted(own);
  policy_.allowed_origins = {"*"};
  Admitted(own);
  policy_.allowed_origins = {"http://other.test"};
  EXPECT_EQ(Refused("GET /room", own).reason, RefusalReason::kHost);

  Route hosted;
  hosted.path = "/room";
  hosted.hosts = {"*.example.com", "example.com"};
  hosted.target = FixedMethod{"/p.S/M"};
  Use({hosted});
  Admitted(own);
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

// --- Dialects of other gateways

constexpr char kGrpcWebSockets[] =
    "Sec-WebSocket-Protocol: Grpc-WebSockets\r\n";

// A browser compares the response with what it has offered.
TEST_F(HandshakeTest, AForeignSubprotocolIsEchoedAsItWasSpelled) {
  for (const char* line : {"GET /room", "GET /p.S/M"}) {
    const Admission admission = Admitted(WebSocket(kGrpcWebSockets), line);
    EXPECT_EQ(admission.subprotocol, "Grpc-WebSockets");
    EXPECT_EQ(admission.session.codec, &kGrpcWebSocketsDialect);
  }
}

// gRPC's clients know such a method by UNIMPLEMENTED, and these read no HTTP
// status.
TEST_F(HandshakeTest, APathThatIsNotServedIsToldInTheDialectAsUnimplemented) {
  const Refusal refusal = Refused("GET /x", WebSocket(kGrpcWebSockets));
  EXPECT_EQ(refusal.reason, RefusalReason::kNotFound);
  EXPECT_EQ(refusal.how, Refusals::kClose);
  EXPECT_EQ(refusal.dialect, &kGrpcWebSocketsDialect);
  EXPECT_EQ(refusal.subprotocol, "Grpc-WebSockets");
  EXPECT_TRUE(absl::IsUnimplemented(refusal.status));
  // What is not a WebSocket's request in form is an HTTP client's.
  EXPECT_EQ(Refused("GET /x", absl::StrCat("Host: h\r\n", kGrpcWebSockets)).how,
            Refusals::kHttp);
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

// --- routes where path and query are part of the request ---

class BoundHandshakeTest : public HandshakeTest {
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

// --- Dialects over plain HTTP ---

constexpr char kGrpcWeb[] =
    "Host: example.com\r\nContent-Type: application/grpc-web+proto\r\n";

// SPEC: "The path is /package.Service/Method ... a route with a fixed `method:`
// serves that method in every dialect too."
TEST_F(HandshakeTest, AContentTypeChoosesADialect) {
  Route service;
  service.prefix = "/hello";
  service.target = ServicePath{"/p.Hello"};
  Route below;
  below.prefix = "/api";
  below.strip_prefix = true;
  Use({service, below, Route{}});
  for (const auto& [path, method] :
       {std::pair("/p.S/M", "/p.S/M"), std::pair("/hello/Say", "/p.Hello/Say"),
        std::pair("/api/p.S/M", "/p.S/M")}) {
    const Admission admission = Admitted(kGrpcWeb, absl::StrCat("POST ", path));
    EXPECT_EQ(admission.session.method, method);
    EXPECT_EQ(admission.session.codec, &kGrpcWebDialect);
  }
}

TEST_F(HandshakeTest, AFixedMethodIsServedInEveryDialect) {
  EXPECT_EQ(Admitted(kGrpcWeb, "POST /room").session.method, "/p.S/M");
}

TEST_F(HandshakeTest, HeadersOfADialectAreMetadata) {
  const SessionRequest session =
      Admitted(absl::StrCat(kGrpcWeb,
                            "X-Tenant: a\r\nX-Key-Bin: AQ, Ag\r\n"
                            "Sec-Fetch-Mode: cors\r\nAccept: */*\r\n"
                            "Grpc-Accept-Encoding: identity, gzip\r\n"
                            "Grpc-Encoding: gzip\r\nGrpc-Timeout: 1S\r\n"
                            "Authorization: Bearer t\r\nCookie: a=b\r\n"),
               "POST /room")
          .session;
  EXPECT_THAT(session.metadata, Contains(Pair("x-tenant", "a")));
  EXPECT_THAT(session.metadata, Contains(Pair("x-key-bin", "\1")));
  EXPECT_THAT(session.metadata, Contains(Pair("x-key-bin", "\2")));
  EXPECT_THAT(session.metadata, Contains(Pair("authorization", "Bearer t")));
  for (const auto& [key, value] : session.metadata) {
    EXPECT_FALSE(key == "accept" || key == "cookie" || key == "host" ||
                 key == "content-type" || absl::StartsWith(key, "grpc-") ||
                 absl::StartsWith(key, "sec-"))
        << key;
  }
  EXPECT_EQ(session.body.encoding, "gzip");
  EXPECT_TRUE(session.body.accepts_gzip);
  EXPECT_EQ(session.timeout, absl::Seconds(1));
}

TEST_F(HandshakeTest, AContentTypeThatIsNoDialectsIsRefusedWith415) {
  for (const char* type : {"", "Content-Type: text/plain\r\n",
                           "Content-Type: application/grpc\r\n"}) {
    const Refusal refusal =
        Refused("POST /room", absl::StrCat("Host: h\r\n", type));
    EXPECT_EQ(refusal.http_status, 415) << type;
    EXPECT_THAT(
        refusal.headers,
        Contains(Pair("Accept-Post", HasSubstr("application/grpc-web-text"))));
  }
}

TEST_F(HandshakeTest, GzipMayBeForbidden) {
  for (const auto& [value, accepted] :
       {std::pair("gzip", true), std::pair("br, gzip;q=0.5", true),
        std::pair("gzip;q=0", false), std::pair("gzip; q=x", false),
        std::pair("br", false)}) {
    EXPECT_EQ(Admitted(absl::StrCat(kGrpcWeb, "Grpc-Accept-Encoding: ", value,
                                    "\r\n"),
                       "POST /room")
                  .session.body.accepts_gzip,
              accepted)
        << value;
  }
}

TEST_F(HandshakeTest, ARouteForwardsCookiesToDialectsAsWell) {
  Route cookies;
  cookies.forward_headers = {"cookie", "accept-language", "host"};
  Use({cookies});
  const Metadata metadata =
      Admitted(absl::StrCat(kGrpcWeb,
                            "Cookie: a=b\r\nAccept-Language: de\r\n"
                            "Accept: x/y\r\n"),
               "POST /p.S/M")
          .session.metadata;
  EXPECT_THAT(metadata, Contains(Pair("cookie", "a=b")));
  EXPECT_THAT(metadata, Contains(Pair("accept-language", "de")));
  EXPECT_THAT(metadata, Not(Contains(Pair("host", "example.com"))));
  EXPECT_THAT(metadata, Not(Contains(Pair("accept", "x/y"))));
}

TEST_F(HandshakeTest, ARouteMayNarrowItsDialects) {
  Route narrow;
  narrow.dialects = {"connect"};
  Use({narrow});
  EXPECT_EQ(Refused("POST /p.S/M", kGrpcWeb).http_status, 415);
  const Refusal refusal = Refused("GET /p.S/M", WebSocket());
  EXPECT_EQ(refusal.http_status, 400);
  EXPECT_EQ(refusal.status.message(),
            "WebSockets are not served here; the route's dialects are connect");
  narrow.dialects = {"headgate"};
  Use({narrow});
  EXPECT_EQ(Refused("POST /p.S/M", kGrpcWeb).http_status, 426);
}

TEST_F(HandshakeTest, AConnectGetHasItsMessageInTheQuery) {
  const SessionRequest session =
      Admitted("Host: h\r\n",
               "GET /p.S/M?connect=v1&encoding=json&message=eyJhIjoxfQ"
               "&base64=1&compression=gzip")
          .session;
  EXPECT_EQ(session.codec, &kConnectJsonDialect);
  EXPECT_EQ(session.body.message, "{\"a\":1}");
  EXPECT_EQ(session.body.encoding, "gzip");
  for (const auto& [query, status] :
       {std::pair("encoding=json", 400),
        std::pair("encoding=json&message=*&base64=1", 400),
        std::pair("encoding=connect%2Bjson&message=", 415),
        std::pair("message=", 415)}) {
    EXPECT_EQ(
        Refused(absl::StrCat("GET /p.S/M?connect=v1&", query), "Host: h\r\n")
            .http_status,
        status)
        << query;
  }
  EXPECT_EQ(
      Refused("GET /p.S/M?encoding=json&message=", "Host: h\r\n").http_status,
      426);
}

TEST_F(HandshakeTest, ConnectHasAVersionAndATimeout) {
  const std::string json = "Host: h\r\nContent-Type: application/json\r\n";
  EXPECT_EQ(Admitted(json + "Connect-Timeout-Ms: 1500\r\n"
                            "Connect-Protocol-Version: 1\r\n",
                     "POST /room")
                .session.timeout,
            absl::Milliseconds(1500));
  for (const char* header :
       {"Connect-Timeout-Ms: 12345678901\r\n", "Connect-Timeout-Ms: -1\r\n",
        "Connect-Protocol-Version: 2\r\n"}) {
    EXPECT_EQ(Refused("POST /room", json + header).http_status, 400) << header;
  }
}

// Their parameters are part of the request, which only JSON can be.
TEST_F(HandshakeTest, RoutesThatBindVariablesServeNoDialects) {
  Route bound;
  bound.path_template = "/rooms/{room}";
  bound.target = FixedMethod{"/p.S/M"};
  Use({bound});
  EXPECT_EQ(Refused("POST /rooms/a", kGrpcWeb).http_status, 426);
}

TEST_F(HandshakeTest, ARefusalHasTheFormOfTheDialect) {
  const HttpRequest request =
      ParseRequest(absl::StrCat("POST /x HTTP/1.1\r\n", kGrpcWeb, "\r\n"));
  EXPECT_EQ(DialectOfRefusal(request, nullptr), &kGrpcWebDialect);
  EXPECT_EQ(DialectOfRefusal(RequestWith(kGrpcWeb), nullptr), nullptr);
  Located located;
  EXPECT_EQ(DialectOfRefusal(request, &located), nullptr);
  located.dialect = &kGrpcWebTextDialect;
  EXPECT_EQ(DialectOfRefusal(request, &located), &kGrpcWebTextDialect);
}

}  // namespace
}  // namespace headgate
