// Dialects of other gateways, over WebSockets and plain HTTP.

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "absl/strings/match.h"
#include "tests/http/handshake_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

class HandshakeDialectTest : public HandshakeFixture {};

constexpr char kGrpcWebSockets[] =
    "Sec-WebSocket-Protocol: Grpc-WebSockets\r\n";

// A browser compares the response with what it has offered.
TEST_F(HandshakeDialectTest, AForeignSubprotocolIsEchoedAsItWasSpelled) {
  for (const char* line : {"GET /room", "GET /p.S/M"}) {
    const Admission admission = Admitted(WebSocket(kGrpcWebSockets), line);
    EXPECT_EQ(admission.subprotocol, "Grpc-WebSockets");
    EXPECT_EQ(admission.session.codec, &kGrpcWebSocketsDialect);
  }
}

// gRPC's clients know such a method by UNIMPLEMENTED, and these read no HTTP
// status.
TEST_F(HandshakeDialectTest,
       APathThatIsNotServedIsToldInTheDialectAsUnimplemented) {
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

// --- Dialects over plain HTTP ---

constexpr char kGrpcWeb[] =
    "Host: example.com\r\nContent-Type: application/grpc-web+proto\r\n";

// SPEC: "The path is /package.Service/Method ... a route with a fixed `method:`
// serves that method in every dialect too."
TEST_F(HandshakeDialectTest, AContentTypeChoosesADialect) {
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

TEST_F(HandshakeDialectTest, AFixedMethodIsServedInEveryDialect) {
  EXPECT_EQ(Admitted(kGrpcWeb, "POST /room").session.method, "/p.S/M");
}

TEST_F(HandshakeDialectTest, HeadersOfADialectAreMetadata) {
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
  EXPECT_EQ(session.body->encoding, "gzip");
  EXPECT_TRUE(session.body->accepts_gzip);
  EXPECT_EQ(session.timeout, absl::Seconds(1));
}

TEST_F(HandshakeDialectTest, AContentTypeThatIsNoDialectsIsRefusedWith415) {
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

TEST_F(HandshakeDialectTest, GzipMayBeForbidden) {
  for (const auto& [value, accepted] :
       {std::pair("gzip", true), std::pair("br, gzip;q=0.5", true),
        std::pair("gzip;q=0", false), std::pair("gzip; q=x", false),
        std::pair("br", false)}) {
    EXPECT_EQ(Admitted(absl::StrCat(kGrpcWeb, "Grpc-Accept-Encoding: ", value,
                                    "\r\n"),
                       "POST /room")
                  .session.body->accepts_gzip,
              accepted)
        << value;
  }
}

TEST_F(HandshakeDialectTest, ARouteForwardsCookiesToDialectsAsWell) {
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

TEST_F(HandshakeDialectTest, ARouteMayNarrowItsDialects) {
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

TEST_F(HandshakeDialectTest, AConnectGetHasItsMessageInTheQuery) {
  const SessionRequest session =
      Admitted("Host: h\r\n",
               "GET /p.S/M?connect=v1&encoding=json&message=eyJhIjoxfQ"
               "&base64=1&compression=gzip")
          .session;
  EXPECT_EQ(session.codec, &kConnectJsonDialect);
  EXPECT_EQ(session.body->message, "{\"a\":1}");
  EXPECT_EQ(session.body->encoding, "gzip");
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

TEST_F(HandshakeDialectTest, ConnectHasAVersionAndATimeout) {
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
TEST_F(HandshakeDialectTest, RoutesThatBindVariablesServeNoDialects) {
  Route bound;
  bound.path_template = "/rooms/{room}";
  bound.target = FixedMethod{"/p.S/M"};
  Use({bound});
  EXPECT_EQ(Refused("POST /rooms/a", kGrpcWeb).http_status, 426);
}

TEST_F(HandshakeDialectTest, ARefusalHasTheFormOfTheDialect) {
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
