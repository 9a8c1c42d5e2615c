#include "gateway/http/credentials.h"

#include <gmock/gmock.h>

#include "tests/http/http_request.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::FieldsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kK8s[] = "base64url.bearer.authorization.k8s.io.";

// What a request with these header lines authorizes with: the value, "none",
// or "401: " and the reason.
std::string Find(const std::string& headers, const Route& route = {},
                 const std::optional<std::string>& query = {}) {
  const HttpRequest request = RequestWith(headers);
  const auto found = FindAuthorization(
      request.headers, ParseSubprotocols(request.headers), route, query);
  if (!found.ok()) {
    EXPECT_EQ(found.status().code(), absl::StatusCode::kUnauthenticated);
    return absl::StrCat("401: ", found.status().message());
  }
  return *found ? **found : "none";
}
std::string Offering(const std::string& subprotocols) {
  return Find("Sec-WebSocket-Protocol: " + subprotocols + "\r\n");
}

TEST(CredentialsTest, NothingOfferedIsNoAuthorization) {
  EXPECT_EQ(Find(""), "none");
  EXPECT_EQ(Find("Cookie: token=t\r\n"), "none");  // No route asks for it.
}

// grpc-websocket-proxy sends an empty authorization for these.
TEST(CredentialsTest, SubprotocolThatIsNoCredentialSetsNone) {
  for (const char* entry : {"graphql-ws", "headgate.json.v1", "bearer, t",
                            "BEARER, t", "xBearer, t", "Bearer.t", ","}) {
    EXPECT_EQ(Offering(entry), "none") << entry;
  }
}

TEST(CredentialsTest, AuthorizationHeaderIsTakenVerbatim) {
  EXPECT_EQ(Find("Authorization: Basic dTpw\r\n"), "Basic dTpw");
  EXPECT_EQ(Find("authorization:   bearer  a b \r\n"), "bearer  a b");
  EXPECT_THAT(Find("Authorization: a\r\nAuthorization: b\r\n"),
              HasSubstr("401: header Authorization occurs more than once"));
  EXPECT_THAT(Find("Authorization:\r\n"), HasSubstr("401: "));
  EXPECT_THAT(Find("Authorization: sch\xC3\xB6n\r\n"), HasSubstr("401: "));
}

TEST(CredentialsTest, KubernetesTokenIsDecoded) {
  EXPECT_EQ(Offering(std::string(kK8s) + "c2VjcmV0"), "Bearer secret");
  EXPECT_EQ(Offering("v4.channel.k8s.io, " + std::string(kK8s) + "YQ"),
            "Bearer a");
  EXPECT_EQ(Offering(std::string(kK8s) + "Pz8_fn5-"), "Bearer ???~~~");
}

// "two such entries, bad base64url or invalid UTF-8"; padding and blanks are
// no base64url either.
TEST(CredentialsTest, MalformedKubernetesTokenIsRefused) {
  const std::string k8s = kK8s;
  for (const std::string& entries : {
           k8s,                           // Empty.
           k8s + "YQ==",                  // Padded.
           k8s + "YQ..",                  // Padded, in another fashion.
           k8s + "Y Q",                   // A blank.
           k8s + "a",                     // No whole byte.
           k8s + "Pz8/fn5+",              // base64, not base64url.
           k8s + "_w",                    // 0xFF: not UTF-8.
           k8s + "YQpi",                  // A line break inside.
           k8s + "w7Y",                   // UTF-8, not for a header.
           k8s + "YQ, " + k8s + "YQ",     // Twice.
           k8s + "YQ, x, " + k8s + "Yg",  // Twice, apart.
       }) {
    EXPECT_THAT(Offering(entries), HasSubstr("401: ")) << entries;
  }
  EXPECT_THAT(Find("Sec-WebSocket-Protocol: " + k8s +
                   "YQ\r\nSec-WebSocket-Protocol: " + k8s + "Yg\r\n"),
              HasSubstr("more than once"));
}

TEST(CredentialsTest, EntryAfterBearerIsTheToken) {
  EXPECT_EQ(Offering("Bearer, secret"), "Bearer secret");
  EXPECT_EQ(Offering("Bearer,secret"), "Bearer secret");
  EXPECT_EQ(Offering("  Bearer ,\tsecret  "), "Bearer secret");
  EXPECT_EQ(Offering("headgate.json.v1, Bearer, secret, other"),
            "Bearer secret");
  EXPECT_EQ(Offering("Bearer, a.b-c_d~e+f/g=="), "Bearer a.b-c_d~e+f/g==");
  // Over several lines, and the first pair of two.
  EXPECT_EQ(Find("Sec-WebSocket-Protocol: Bearer\r\nX: y\r\n"
                 "Sec-WebSocket-Protocol: secret\r\n"),
            "Bearer secret");
  EXPECT_EQ(Offering("Bearer, a, Bearer, b"), "Bearer a");
  EXPECT_EQ(Offering("Bearer, Bearer"), "Bearer Bearer");
}

TEST(CredentialsTest, BearerWithoutATokenIsRefused) {
  for (const char* entries : {"Bearer", "x, Bearer", "Bearer,", "Bearer, ,",
                              "headgate.json.v1,Bearer"}) {
    EXPECT_THAT(Offering(entries), HasSubstr("401: subprotocol Bearer has no"))
        << entries;
  }
}

TEST(CredentialsTest, CookieCountsWhereTheRouteNamesIt) {
  Route route;
  route.token_cookie = "token";
  EXPECT_EQ(Find("Cookie: token=secret\r\n", route), "Bearer secret");
  EXPECT_EQ(Find("Cookie: a=b; token=se=cret; c=d\r\n", route),
            "Bearer se=cret");
  EXPECT_EQ(Find("Cookie: token=\"secret\"\r\n", route), "Bearer secret");
  EXPECT_EQ(Find("Cookie: a=b\r\nCookie: token=x\r\n", route), "Bearer x");
  EXPECT_EQ(Find("Cookie: Token=x; atoken=y; token; a=token=z\r\n", route),
            "none");
  EXPECT_EQ(Find("", route), "none");
  EXPECT_THAT(Find("Cookie: token=\r\n", route),
              HasSubstr("401: the token in cookie token is empty"));
}

TEST(CredentialsTest, ACookieDoesNotCountForPagesOfOtherSites) {
  Route route;
  route.token_cookie = "token";
  const std::string cookie = "Cookie: token=cookie\r\n";
  for (const std::string site : {"cross-site", "same-site"}) {
    const std::string header = "Sec-Fetch-Site: " + site + "\r\n";
    EXPECT_EQ(Find(cookie + header, route), "none") << site;
    // The check of the Origin has let it through.
    EXPECT_EQ(Find(cookie + header + "Origin: http://h\r\n", route),
              "Bearer cookie");
  }
  for (const std::string site : {"same-origin", "none"}) {
    EXPECT_EQ(Find(cookie + "Sec-Fetch-Site: " + site + "\r\n", route),
              "Bearer cookie");
  }
}

TEST(CredentialsTest, QueryCountsLast) {
  Route route;
  route.token_query = "access_token";
  EXPECT_EQ(Find("", route, "secret"), "Bearer secret");
  EXPECT_THAT(Find("", route, ""), HasSubstr("401: "));
  EXPECT_THAT(Find("", route, "a\nb"), HasSubstr("401: "));
}

// "first match wins", and a malformed one is refused even when a later source
// would do.
TEST(CredentialsTest, SourcesHaveAnOrder) {
  Route route;
  route.token_cookie = "token";
  route.token_query = "q";
  const std::string k8s = kK8s;
  const std::string authorization = "Authorization: header\r\n";
  const std::string cookie = "Cookie: token=cookie\r\n";
  const auto offer = [](const std::string& entries) {
    return "Sec-WebSocket-Protocol: " + entries + "\r\n";
  };
  const std::string both = offer("Bearer, pair, " + k8s + "azhz");
  EXPECT_EQ(Find(authorization + both + cookie, route, "query"), "header");
  EXPECT_EQ(Find(both + cookie, route, "query"), "Bearer k8s");
  EXPECT_EQ(Find(offer("Bearer, pair") + cookie, route, "query"),
            "Bearer pair");
  EXPECT_EQ(Find(cookie, route, "query"), "Bearer cookie");
  EXPECT_EQ(Find("", route, "query"), "Bearer query");
  EXPECT_THAT(Find(offer(k8s + "!, Bearer, pair") + cookie, route, "query"),
              HasSubstr("401: "));
  EXPECT_THAT(Find(offer("Bearer") + cookie, route, "query"),
              HasSubstr("401: "));
}

// A token must not get into a log or an answer by way of an error.
TEST(CredentialsTest, MessagesNeverContainTheToken) {
  Route route;
  route.token_cookie = "token";
  route.token_query = "q";
  const std::string k8s = kK8s;
  for (const std::string& headers :
       {std::string("Authorization: s3cret\xFF\r\n"),
        std::string("Authorization: s3cret\r\nAuthorization: s3cret\r\n"),
        "Sec-WebSocket-Protocol: " + k8s + "s3cret=\r\n",
        "Sec-WebSocket-Protocol: " + k8s + "s3cret, " + k8s + "s3cret\r\n",
        std::string("Sec-WebSocket-Protocol: Bearer, s3cret\xFF\r\n"),
        std::string("Cookie: token=s3cret\xFF\r\n"), std::string()}) {
    const std::string found = Find(headers, route, "s3cret\x01");
    EXPECT_THAT(found, HasSubstr("401: ")) << headers;
    EXPECT_THAT(found, Not(HasSubstr("s3cret"))) << headers;
  }
}

TEST(CredentialsTest, CodecsAreFoundAmongTheEntriesInOrder) {
  const HttpRequest request = RequestWith(
      "Sec-WebSocket-Protocol: x,headgate.raw.v1 ,\r\n"
      "Sec-WebSocket-Protocol: headgate.packet.v1, HEADGATE.JSON.V1\r\n");
  EXPECT_THAT(ParseSubprotocols(request.headers).dialects,
              ElementsAre(FieldsAre(&kRawDialect, "headgate.raw.v1"),
                          FieldsAre(&kPacketDialect, "headgate.packet.v1")));
}

// The token may look like anything.
TEST(CredentialsTest, TokenIsNeverTakenForACodec) {
  const HttpRequest request =
      RequestWith("Sec-WebSocket-Protocol: Bearer, headgate.raw.v1\r\n");
  const Subprotocols found = ParseSubprotocols(request.headers);
  EXPECT_THAT(found.dialects, IsEmpty());
  EXPECT_EQ(found.bearer_token, "headgate.raw.v1");
}

}  // namespace
}  // namespace headgate
