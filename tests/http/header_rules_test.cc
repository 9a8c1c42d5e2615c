#include "gateway/http/header_rules.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "tests/http/http_request.h"

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
    return MetadataFromHeaders(RequestWith(headers).headers, route_, peer_,
                               trusted_);
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
  static constexpr char kId[] = "0123456789abcdef0123456789abcdef";
  Peer peer_{.address = "192.0.2.1",
             .is_tls = false,
             .client_subject = "",
             .client = "",
             .session_id = kId};
  std::vector<Network> trusted_;
};

TEST_F(RequestMetadataTest, BareRequestGivesOnlyTheGatewaysOwn) {
  EXPECT_THAT(
      *Read("Host: h\r\nAccept: x\r\nCookie: a=b\r\n"),
      ElementsAre(
          Pair("traceparent",
               absl::StrCat("00-", kId, "-", "0123456789abcdef-01")),
          Pair("x-request-id", kId), Pair("x-forwarded-for", "192.0.2.1"),
          Pair("x-forwarded-host", "h"), Pair("x-forwarded-proto", "http"),
          Pair("x-headgate-session", kId)));
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

// grpc/grpc doc/PROTOCOL-HTTP2.md, "Custom-Metadata": values of one name may
// be joined by commas. gRPC C++ loses the connection over one that is passed on
// so.
TEST_F(RequestMetadataTest, BinaryValuesAreSplitAtCommas) {
  EXPECT_THAT(Values("Grpc-Metadata-X-Bin: YQ==, Yg,Yw==\r\n"
                     "Grpc-Metadata-X-Bin: ZA==\r\n",
                     "x-bin"),
              ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(Values("Grpc-Metadata-X-Bin: YQ==,,\r\n", "x-bin"),
              ElementsAre("a", "", ""));
  EXPECT_THAT(Values("Grpc-Metadata-X-Bin:\r\n", "x-bin"), ElementsAre(""));
  for (const char* value :
       {"YQ==, s3cr*t", "Y Q = =", "YQ..", "YQ=", "YQ===", "Y", "_-8", "="}) {
    EXPECT_EQ(
        Read(absl::StrCat("Grpc-Metadata-X-Bin: ", value, "\r\n")).status(),
        absl::InvalidArgumentError(
            "header Grpc-Metadata-X-Bin: the value is not base64"))
        << value;
  }
}

// What gRPC could not send would fail every call with a riddle.
TEST_F(RequestMetadataTest, WhatGrpcCannotSendIsNamed) {
  const auto value = Read("Grpc-Metadata-X: sch\xC3\xB6n\r\n").status();
  EXPECT_EQ(value.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(value.message(), HasSubstr("header Grpc-Metadata-X: "));
  EXPECT_THAT(value.message(), Not(HasSubstr("sch")));
  for (const char* name :
       {"Grpc-Metadata-", "Grpc-Metadata-a!b", "Grpc-Metadata--bin"}) {
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
      "Endpoint-Load-Metrics-Bin",
      "Grpc-Encoding",
      "Grpc-Status",
      "Grpc-Timeout",
      "Grpclb_Client_Stats",
      "Host",
      "Keep-Alive",
      "Lb-Cost-Bin",
      "Lb-Token",
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

constexpr char kParent[] =
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST_F(RequestMetadataTest, TracingHeadersAlwaysPass) {
  const std::string headers = absl::StrCat(
      "Traceparent: ", kParent, "\r\nTracestate: a=1\r\nBaggage: k=v\r\n");
  EXPECT_THAT(Values(headers, "traceparent"), ElementsAre(kParent));
  EXPECT_EQ(TraceIdOf(*Read(headers)), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_THAT(Values(headers, "tracestate"), ElementsAre("a=1"));
  EXPECT_THAT(Values(headers, "baggage"), ElementsAre("k=v"));
}

// W3C Trace Context section 3.3: several tracestate lines are one list.
TEST_F(RequestMetadataTest, LinesOfTracestateAreJoined) {
  EXPECT_THAT(Values(absl::StrCat("Traceparent: ", kParent,
                                  "\r\nTracestate: a=1\r\nX: y\r\n"
                                  "Tracestate: b=2\r\n"),
                     "tracestate"),
              ElementsAre("a=1,b=2"));
}

// W3C Trace Context section 4.3: who cannot read the parent starts a trace, and
// the state of the other one is not passed on.
TEST_F(RequestMetadataTest, ATraceIsStartedWhereThereIsNone) {
  const std::string started = absl::StrCat("00-", kId, "-0123456789abcdef-01");
  const std::string parent = kParent;
  for (const std::string& bad :
       {std::string("t"), "ff" + parent.substr(2), parent.substr(0, 54),
        parent + "-x", "00-" + std::string(32, '0') + parent.substr(35),
        parent.substr(0, 36) + std::string(16, '0') + "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736" + parent.substr(35)}) {
    const std::string headers = absl::StrCat(
        "Traceparent: ", bad, "\r\nTracestate: a=1\r\nBaggage: k=v\r\n");
    EXPECT_THAT(Values(headers, "traceparent"), ElementsAre(started)) << bad;
    EXPECT_THAT(Values(headers, "tracestate"), IsEmpty()) << bad;
    EXPECT_THAT(Values(headers, "baggage"), ElementsAre("k=v"));
    EXPECT_EQ(TraceIdOf(*Read(headers)), kId);
  }
  EXPECT_THAT(Values("", "traceparent"), ElementsAre(started));
  const std::string line = "Traceparent: " + parent + "\r\n";
  EXPECT_THAT(Values(line + line, "traceparent"), ElementsAre(started));
  // A version that is not known yet may say more.
  EXPECT_THAT(
      Values("Traceparent: 01" + parent.substr(2) + "-x\r\n", "traceparent"),
      ElementsAre("01" + parent.substr(2) + "-x"));
}

TEST_F(RequestMetadataTest, TracingHeadersAreNotSentTwice) {
  route_.forward_headers = {"traceparent"};
  EXPECT_THAT(
      Values(absl::StrCat("Traceparent: ", kParent, "\r\n"), "traceparent"),
      ElementsAre(kParent));
  EXPECT_THAT(
      Values(absl::StrCat("Grpc-Metadata-Traceparent: x\r\nTraceparent: ",
                          kParent, "\r\n"),
             "traceparent"),
      SizeIs(1));
}

TEST_F(RequestMetadataTest, RequestIdIsMadeUpWhenItIsMissingOrTooLong) {
  EXPECT_THAT(Values("X-Request-Id: mine\r\n", "x-request-id"),
              ElementsAre("mine"));
  EXPECT_THAT(Values("X-Request-Id:\r\n", "x-request-id"), ElementsAre(kId));
  EXPECT_THAT(
      Values("X-Request-Id: " + std::string(128, 'x') + "\r\n", "x-request-id"),
      ElementsAre(SizeIs(128)));
  EXPECT_THAT(
      Values("X-Request-Id: " + std::string(129, 'x') + "\r\n", "x-request-id"),
      ElementsAre(kId));
}

// The subject is what the gateway has seen; a header is what anybody says.
TEST_F(RequestMetadataTest, TlsShowsInTheMetadata) {
  peer_.is_tls = true;
  peer_.client_subject = "CN=ann,O=example";
  const std::string lie = "Grpc-Metadata-X-Headgate-Client-Subject: CN=bob\r\n";
  EXPECT_THAT(Values(lie, "x-headgate-client-subject"),
              ElementsAre("CN=ann,O=example"));
  EXPECT_THAT(Values("", "x-forwarded-proto"), ElementsAre("https"));
  peer_.client_subject.clear();
  EXPECT_THAT(Values(lie, "x-headgate-client-subject"), IsEmpty());
}

TEST_F(RequestMetadataTest, TheClientIsWhomTheTrustedProxiesTell) {
  Trust("10.0.0.0/8");
  const auto client = [&](const std::string& hops) {
    return ClientAddress(
        RequestWith("X-Forwarded-For: " + hops + "\r\n").headers, peer_.address,
        trusted_);
  };
  EXPECT_EQ(client("198.51.100.7"), "192.0.2.1") << "a stranger's word";
  peer_.address = "10.0.0.1";
  EXPECT_EQ(client("198.51.100.7"), "198.51.100.7");
  EXPECT_EQ(client("198.51.100.7, 10.0.0.2"), "198.51.100.7");
  EXPECT_EQ(client("1.1.1.1, 198.51.100.7, 10.0.0.2"), "198.51.100.7")
      << "what stands before is the client's own word";
  EXPECT_EQ(client("evil, 10.0.0.2"), "unknown");
  EXPECT_EQ(client("198.51.100.7/0, 10.0.0.2"), "unknown")
      << "a network is no client's address";
  EXPECT_EQ(CountedAddress("unknown", trusted_), "unknown");
  EXPECT_EQ(client(""), "10.0.0.1");
  EXPECT_EQ(client("2001:db8::1"), "2001:db8::1");
  EXPECT_EQ(client("198.51.100.7:4711"), "198.51.100.7");
  EXPECT_EQ(client("[2001:db8::1]:4711"), "2001:db8::1");
  EXPECT_EQ(client("[2001:db8::1]"), "2001:db8::1");
}

TEST_F(RequestMetadataTest, AddressesAreCountedByWhatOneClientHas) {
  Trust("10.0.0.0/8");
  EXPECT_EQ(CountedAddress("192.0.2.1", trusted_), "192.0.2.1");
  EXPECT_EQ(CountedAddress("::ffff:192.0.2.1", trusted_), "192.0.2.1");
  EXPECT_EQ(CountedAddress("2001:db8:1:2:3:4:5:6", trusted_),
            CountedAddress("2001:db8:1:2:ffff::1", trusted_));
  EXPECT_EQ(CountedAddress("64:ff9b::192.0.2.1", trusted_), "192.0.2.1");
  EXPECT_NE(CountedAddress("2001:db8:1:2::1", trusted_),
            CountedAddress("2001:db8:1:3::1", trusted_));
  for (const char* uncounted :
       {"127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "unix", ""}) {
    EXPECT_EQ(CountedAddress(uncounted, trusted_), "") << uncounted;
  }
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
    return TimeoutFromHeaders(
        RequestWith("Grpc-Timeout: " + value + "\r\n").headers);
  };
  EXPECT_EQ(*timeout("1H"), absl::Hours(1));
  EXPECT_EQ(*timeout("2M"), absl::Minutes(2));
  EXPECT_EQ(*timeout("5S"), absl::Seconds(5));
  EXPECT_EQ(*timeout("200m"), absl::Milliseconds(200));
  EXPECT_EQ(*timeout("3u"), absl::Microseconds(3));
  EXPECT_EQ(*timeout("4n"), absl::Nanoseconds(4));
  EXPECT_EQ(*timeout("0S"), absl::ZeroDuration());
  EXPECT_EQ(*timeout("99999999H"), absl::Hours(99999999));
  EXPECT_EQ(*TimeoutFromHeaders(RequestWith("").headers),
            absl::InfiniteDuration());
  for (const char* bad : {"S", "5", "5s", "5 S", "-5S", "+5S", "123456789S",
                          "5SS", "0x5S", "5.5S", "\xB2S"}) {
    EXPECT_EQ(timeout(bad).status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

// --- headers of other origins: in-band, and of HTTP/2 ---

HeaderList Fields(std::initializer_list<HeaderField> fields) {
  HeaderList list;
  for (const HeaderField& field : fields) list.Add(field.name, field.value);
  return list;
}

TEST_F(RequestMetadataTest, NamesInLowerCaseMeanTheSame) {
  route_.forward_headers = {"referer"};
  const Metadata metadata =
      *MetadataFromHeaders(Fields({{":method", "CONNECT"},
                                   {":authority", "h:8080"},
                                   {":path", "/a.S/M"},
                                   {"grpc-metadata-a", "b"},
                                   {"referer", "r"},
                                   {"user-agent", "u"},
                                   {"origin", "https://o"}}),
                           route_, peer_, trusted_);
  EXPECT_THAT(metadata, Contains(Pair("a", "b")));
  EXPECT_THAT(metadata, Contains(Pair("referer", "r")));
  EXPECT_THAT(metadata, Contains(Pair("x-forwarded-user-agent", "u")));
  EXPECT_THAT(metadata, Contains(Pair("origin", "https://o")));
}

// RFC 9113 section 8.3.1: it takes the place of Host.
TEST_F(RequestMetadataTest, AuthorityIsTheHost) {
  const auto host = [&](std::initializer_list<HeaderField> fields) {
    const Metadata metadata =
        *MetadataFromHeaders(Fields(fields), route_, peer_, trusted_);
    for (const auto& [key, value] : metadata) {
      if (key == "x-forwarded-host") return value;
    }
    return std::string();
  };
  EXPECT_EQ(host({{":authority", "a"}}), "a");
  EXPECT_EQ(host({{":authority", "a"}, {"host", "b"}}), "a");
  EXPECT_EQ(host({{"host", "b"}}), "b");
  EXPECT_EQ(host({}), "");
}

// Of dialects whose headers are metadata, such as gRPC-Web.
TEST_F(RequestMetadataTest, WhereHeadersAreMetadataTheyKeepTheirNames) {
  EXPECT_THAT(*ClientMetadata(Fields({{"X-Team", "red"},
                                      {"x-team", "blue"},
                                      {"key-bin", "AAE, Ag=="},
                                      {"Grpc-Metadata-A", "b"}}),
                              route_, MetadataRule::kEveryHeader),
              ElementsAre(Pair("x-team", "red"), Pair("x-team", "blue"),
                          Pair("key-bin", std::string("\0\1", 2)),
                          Pair("key-bin", "\2"), Pair("a", "b")));
}

TEST_F(RequestMetadataTest, WhereHeadersAreMetadataOthersStayBehind) {
  for (const char* name : {"Accept",
                           "Accept-Encoding",
                           "Authorization",
                           "Connection",
                           "Connect-Protocol-Version",
                           "Content-Type",
                           "Content-Length",
                           "Cookie",
                           "Grpc-Timeout",
                           "Grpc-Metadata-Grpc-Timeout",
                           "Host",
                           "Keep-Alive",
                           "Origin",
                           "Sec-Fetch-Mode",
                           "Sec-WebSocket-Key",
                           "TE",
                           "Upgrade",
                           "User-Agent",
                           "X-Forwarded-For",
                           "X-Headgate-Session",
                           "X-Request-Id",
                           ":authority",
                           ":path"}) {
    const auto metadata = ClientMetadata(Fields({{name, "v"}}), route_,
                                         MetadataRule::kEveryHeader);
    EXPECT_THAT(*metadata, IsEmpty()) << name;
  }
}

// The same checks hold wherever a header comes from.
TEST_F(RequestMetadataTest, WhatGrpcCannotSendIsNamedInBandToo) {
  const auto fault = [&](absl::string_view name, absl::string_view value) {
    return std::string(ClientMetadata(Fields({{name, value}}), route_,
                                      MetadataRule::kEveryHeader)
                           .status()
                           .message());
  };
  EXPECT_THAT(fault("a b", "v"), HasSubstr("header a b: the name cannot"));
  EXPECT_THAT(fault("a", "\xFF"), HasSubstr("header a: the value has"));
  EXPECT_THAT(fault("a-bin", "!"), HasSubstr("header a-bin: the value is not"));
}

TEST_F(RequestMetadataTest, TimeoutsMayComeInBand) {
  EXPECT_EQ(*TimeoutFromHeaders(Fields({{"grpc-timeout", "5S"}})),
            absl::Seconds(5));
}

}  // namespace
}  // namespace headgate
