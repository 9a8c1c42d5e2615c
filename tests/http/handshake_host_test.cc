// Whose host and origin a request names, and the console by it.

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "absl/strings/escaping.h"
#include "tests/http/handshake_fixture.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

class HandshakeHostTest : public HandshakeFixture {};

// RFC 9112 section 3.2.2: a server takes the whole address too.
TEST_F(HandshakeHostTest, TargetMayBeAnAddress) {
  for (const char* line :
       {"GET http://example.com/room", "GET ws://example.com/room?x=1"}) {
    const auto result = Judge(line, WebSocket(""));
    EXPECT_TRUE(std::holds_alternative<Admission>(result)) << line;
  }
}

// RFC 9112 section 3.2.
TEST_F(HandshakeHostTest, HostThatIsNoneIsRefusedWith400) {
  const std::string rest = absl::StrCat(
      "Connection: Upgrade\r\nUpgrade: websocket\r\n", kVersion, kKey);
  for (const char* host : {"", "a b", "a/b", "user@a", "a:b"}) {
    EXPECT_EQ(Refused("GET /room", absl::StrCat("Host: ", host, "\r\n", rest))
                  .http_status,
              400)
        << host;
  }
}

TEST_F(HandshakeHostTest, TargetThatIsNoPathIsRefusedWith400) {
  for (const char* target :
       {"*", "room", "/%zz", "ftp://example.com/room", "example.com:80"}) {
    EXPECT_EQ(Refused(absl::StrCat("GET ", target), WebSocket()).http_status,
              400)
        << target;
  }
}

TEST_F(HandshakeHostTest, ForeignOriginIsRefusedWith403) {
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
TEST_F(HandshakeHostTest, OriginOfTheOtherSchemeIsRefusedWith403) {
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
TEST_F(HandshakeHostTest, SchemeIsEitherWhereOnlyTheProxyKnowsIt) {
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
TEST_F(HandshakeHostTest, OriginIsComparedWithTheHostOfTheTarget) {
  const std::string line = "GET http://other.test/room";
  Admitted(WebSocket("Origin: http://other.test\r\n"), line);
  EXPECT_EQ(
      Refused(line, WebSocket("Origin: http://example.com\r\n")).http_status,
      403);
}

// DNS rebinding: a page of any name that resolves to 127.0.0.1 would be of the
// listener's own origin.
TEST_F(HandshakeHostTest, HostThatIsNotLoopbackIsRefusedOnALoopbackListener) {
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

TEST_F(HandshakeHostTest, ConsoleIsFoundWhereTheListenerServesIt) {
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
TEST_F(HandshakeHostTest, ConsolePagesSendMetadataInASubprotocol) {
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
TEST_F(HandshakeHostTest, HostIsKnownByProxyRouteOrAllowedOrigin) {
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

}  // namespace
}  // namespace headgate
