#include "gateway/net/request_metadata.h"

#include <gmock/gmock.h>

#include "tests/net/http_request.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

class RequestMetadataTest : public ::testing::Test {
 protected:
  absl::StatusOr<Metadata> Read(const std::string& headers) {
    return MetadataFromHeaders(RequestWith(headers), route_, peer_, trusted_);
  }
  // The values of `key`.
  std::vector<std::string> Values(const std::string& headers,
                                  const std::string& key) {
    const absl::StatusOr<Metadata> metadata = Read(headers);
    EXPECT_TRUE(metadata.ok()) << metadata.status();
    std::vector<std::string> values;
    if (!metadata.ok()) return values;
    for (const auto& [name, value] : *metadata) {
      if (name == key) values.push_back(value);
    }
    return values;
  }
  void Trust(const char* network) {
    trusted_.push_back(*Network::Parse(network));
  }

  Route route_;
  Peer peer_{"192.0.2.1", "id-1"};
  std::vector<Network> trusted_;
};

TEST_F(RequestMetadataTest, BareRequestGivesOnlyTheGatewaysOwn) {
  EXPECT_THAT(*Read("Host: h\r\nAccept: x\r\nCookie: a=b\r\n"),
              ElementsAre(Pair("x-request-id", "id-1"),
                          Pair("x-forwarded-for", "192.0.2.1"),
                          Pair("x-forwarded-host", "h"),
                          Pair("x-forwarded-proto", "http"),
                          Pair("x-headgate-session", "id-1")));
}

TEST_F(RequestMetadataTest, PrefixedHeadersLoseTheirPrefix) {
  EXPECT_THAT(Values("Grpc-Metadata-X-Tenant: v\r\n", "x-tenant"),
              ElementsAre("v"));
  EXPECT_THAT(Values("GRPC-METADATA-x: a b\r\ngrpc-metadata-X: c\r\n", "x"),
              ElementsAre("a b", "c"));
  EXPECT_THAT(Values("Grpc-Metadata-X:\r\n", "x"), ElementsAre(""));
}

TEST_F(RequestMetadataTest, BinaryValuesAreDecoded) {
  EXPECT_THAT(Values("Grpc-Metadata-X-Bin: AAH/\r\n", "x-bin"),
              ElementsAre(std::string("\0\x01\xFF", 3)));
  EXPECT_THAT(Values("Grpc-Metadata-X-Bin: YQ==\r\n"
                     "Grpc-Metadata-X-Bin: Yg\r\n",
                     "x-bin"),
              ElementsAre("a", "b"));
  const auto bad = Read("Grpc-Metadata-X-Bin: s3cr*t\r\n").status();
  EXPECT_EQ(bad.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(bad.message(),
            "header Grpc-Metadata-X-Bin: the value is not base64");
}

// What gRPC could not send would fail every call with a riddle.
TEST_F(RequestMetadataTest, WhatGrpcCannotSendIsNamed) {
  const auto value = Read("Grpc-Metadata-X: sch\xC3\xB6n\r\n").status();
  EXPECT_EQ(value.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(value.message(), HasSubstr("header Grpc-Metadata-X: "));
  EXPECT_THAT(value.message(), Not(HasSubstr("sch")));
  for (const char* name : {"Grpc-Metadata-", "Grpc-Metadata-a!b"}) {
    EXPECT_EQ(Read(absl::StrCat(name, ": v\r\n")).status().code(),
              absl::StatusCode::kInvalidArgument)
        << name;
  }
}

// "Names that gRPC reserves are never taken from a client", by no way in.
TEST_F(RequestMetadataTest, ReservedNamesAreNotTakenFromAClient) {
  const char* names[] = {
      "Authorization",
      "Connection",
      "Content-Length",
      "Content-Type",
      "Cookie",
      "Grpc-Encoding",
      "Grpc-Status",
      "Grpc-Timeout",
      "Host",
      "Keep-Alive",
      "Origin",
      "Proxy-Authorization",
      "Proxy-Connection",
      "Sec-WebSocket-Key",
      "TE",
      "Trailer",
      "Transfer-Encoding",
      "Upgrade",
      "User-Agent",
      "X-Forwarded-For",
      "X-Forwarded-Whatever",
      "X-Headgate-Session",
      "X-Request-Id",
  };
  for (const std::string name : names) {
    const auto metadata = Read("Grpc-Metadata-" + name + ": evil\r\n");
    ASSERT_TRUE(metadata.ok()) << name;
    EXPECT_THAT(*metadata, Not(Contains(Pair(::testing::_, "evil")))) << name;
  }
  route_.forward_headers = {"sec-websocket-protocol", "authorization",
                            "grpc-status", "te", "x-headgate-session"};
  for (const std::string& name : route_.forward_headers) {
    const auto metadata = Read(name + ": evil\r\n");
    ASSERT_TRUE(metadata.ok()) << name;
    EXPECT_THAT(*metadata, Not(Contains(Pair(::testing::_, "evil")))) << name;
  }
}

TEST_F(RequestMetadataTest, RouteForwardsTheHeadersItNames) {
  EXPECT_THAT(Values("Referer: r\r\n", "referer"), IsEmpty());
  route_.forward_headers = {"referer", "cookie"};
  EXPECT_THAT(Values("REFERER: r\r\n", "referer"), ElementsAre("r"));
  EXPECT_THAT(Values("Cookie: a=b\r\n", "cookie"), ElementsAre("a=b"));
}

TEST_F(RequestMetadataTest, TracingHeadersAlwaysPass) {
  const std::string headers =
      "Traceparent: 00-1-2-01\r\nTracestate: a=1\r\nBaggage: k=v\r\n";
  EXPECT_THAT(Values(headers, "traceparent"), ElementsAre("00-1-2-01"));
  EXPECT_THAT(Values(headers, "tracestate"), ElementsAre("a=1"));
  EXPECT_THAT(Values(headers, "baggage"), ElementsAre("k=v"));
}

// W3C Trace Context section 3.3: several tracestate lines are one list.
TEST_F(RequestMetadataTest, LinesOfTracestateAreJoined) {
  EXPECT_THAT(
      Values("Tracestate: a=1\r\nX: y\r\nTracestate: b=2\r\n", "tracestate"),
      ElementsAre("a=1,b=2"));
}

TEST_F(RequestMetadataTest, TracingHeadersAreNotSentTwice) {
  route_.forward_headers = {"traceparent"};
  EXPECT_THAT(Values("Traceparent: t\r\n", "traceparent"), ElementsAre("t"));
}

TEST_F(RequestMetadataTest, RequestIdIsMadeUpWhenItIsMissingOrTooLong) {
  EXPECT_THAT(Values("X-Request-Id: mine\r\n", "x-request-id"),
              ElementsAre("mine"));
  EXPECT_THAT(Values("X-Request-Id:\r\n", "x-request-id"), ElementsAre("id-1"));
  EXPECT_THAT(
      Values("X-Request-Id: " + std::string(128, 'x') + "\r\n", "x-request-id"),
      ElementsAre(SizeIs(128)));
  EXPECT_THAT(
      Values("X-Request-Id: " + std::string(129, 'x') + "\r\n", "x-request-id"),
      ElementsAre("id-1"));
}

TEST_F(RequestMetadataTest, ForwardedHeadersOfAStrangerAreDropped) {
  Trust("10.0.0.0/8");
  const std::string headers =
      "Host: h\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Host: evil\r\n"
      "X-Forwarded-Proto: https\r\n";
  EXPECT_THAT(Values(headers, "x-forwarded-for"), ElementsAre("192.0.2.1"));
  EXPECT_THAT(Values(headers, "x-forwarded-host"), ElementsAre("h"));
  EXPECT_THAT(Values(headers, "x-forwarded-proto"), ElementsAre("http"));
}

TEST_F(RequestMetadataTest, ForwardedHeadersOfATrustedProxyAreKept) {
  Trust("10.0.0.0/8");
  Trust("192.0.2.0/24");
  const std::string headers =
      "Host: h\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\r\n"
      "X-Forwarded-For: 3.3.3.3\r\nX-Forwarded-Host: example.com\r\n"
      "X-Forwarded-Proto: https\r\n";
  EXPECT_THAT(Values(headers, "x-forwarded-for"),
              ElementsAre("1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.1"));
  EXPECT_THAT(Values(headers, "x-forwarded-host"), ElementsAre("example.com"));
  EXPECT_THAT(Values(headers, "x-forwarded-proto"), ElementsAre("https"));
}

TEST_F(RequestMetadataTest, OriginAndUserAgentAreToldUnderTheirNames) {
  const std::string headers = "Origin: http://o\r\nUser-Agent: Browser/1\r\n";
  EXPECT_THAT(Values(headers, "origin"), ElementsAre("http://o"));
  EXPECT_THAT(Values(headers, "x-forwarded-user-agent"),
              ElementsAre("Browser/1"));
  EXPECT_THAT(Values(headers, "user-agent"), IsEmpty());
}

// Unasked headers must not make a handshake fail.
TEST_F(RequestMetadataTest, UnprintableBytesOfUnaskedHeadersAreReplaced) {
  const std::string headers =
      "User-Agent: sch\xC3\xB6n\r\nBaggage: a\tb\r\nX-Request-Id: \x80\r\n";
  EXPECT_THAT(Values(headers, "x-forwarded-user-agent"), ElementsAre("sch??n"));
  EXPECT_THAT(Values(headers, "baggage"), ElementsAre("a?b"));
  EXPECT_THAT(Values(headers, "x-request-id"), ElementsAre("?"));
}

// grpc/grpc doc/PROTOCOL-HTTP2.md: Timeout -> TimeoutValue TimeoutUnit.
TEST_F(RequestMetadataTest, TimeoutHasOneToEightDigitsAndAUnit) {
  const auto timeout = [](const std::string& value) {
    return TimeoutFromHeaders(RequestWith("Grpc-Timeout: " + value + "\r\n"));
  };
  EXPECT_EQ(*timeout("1H"), absl::Hours(1));
  EXPECT_EQ(*timeout("2M"), absl::Minutes(2));
  EXPECT_EQ(*timeout("5S"), absl::Seconds(5));
  EXPECT_EQ(*timeout("200m"), absl::Milliseconds(200));
  EXPECT_EQ(*timeout("3u"), absl::Microseconds(3));
  EXPECT_EQ(*timeout("4n"), absl::Nanoseconds(4));
  EXPECT_EQ(*timeout("0S"), absl::ZeroDuration());
  EXPECT_EQ(*timeout("99999999H"), absl::Hours(99999999));
  EXPECT_EQ(*TimeoutFromHeaders(RequestWith("")), absl::InfiniteDuration());
  for (const char* bad : {"S", "5", "5s", "5 S", "-5S", "+5S", "123456789S",
                          "5SS", "0x5S", "5.5S", "\xB2S"}) {
    EXPECT_EQ(timeout(bad).status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

}  // namespace
}  // namespace headgate
