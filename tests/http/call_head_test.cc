#include "gateway/http/call_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

constexpr char kHandshakesParent[] =
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr char kCallsParent[] =
    "00-11111111111111111111111111111111-2222222222222222-01";

class CallHeadTest : public ::testing::Test {
 protected:
  CallHeadTest() {
    session_.metadata = {{"traceparent", kHandshakesParent},
                         {"tracestate", "a=1"},
                         {"x-request-id", "one"},
                         {"x-forwarded-for", "192.0.2.1"}};
    session_.route = route_;
  }
  absl::StatusOr<CallHead> Judge(
      const std::vector<std::pair<std::string, std::string>>& fields) {
    HeaderList headers;
    for (const auto& [name, value] : fields) headers.Add(name, value);
    return JudgeCallHead(headers, session_, *route_, "/p.S/M", {now_, now_});
  }
  Metadata Accepted(
      const std::vector<std::pair<std::string, std::string>>& fields) {
    absl::StatusOr<CallHead> head = Judge(fields);
    EXPECT_TRUE(head.ok()) << head.status();
    return head.ok() ? head->metadata : Metadata();
  }

  absl::Time now_ = absl::UnixEpoch();
  std::shared_ptr<Route> route_ = std::make_shared<Route>();
  SessionRequest session_;
};

// SPEC of the dialects: headers are metadata, but for those of HTTP, of gRPC
// and of the gateway.
TEST_F(CallHeadTest, HeadersAreAddedToTheHandshakesMetadata) {
  session_.metadata = {{"x-headgate-session", "s"}};
  EXPECT_THAT(Accepted({{"A", "1"},
                        {"b-bin", "eA==, eQ"},
                        {"Content-Type", "application/grpc-web+proto"},
                        {"Cookie", "c"},
                        {"Host", "h"},
                        {"Origin", "o"},
                        {"grpc-websockets-path", "p.S/M"},
                        {"x-forwarded-for", "spoofed"},
                        {"x-headgate-session", "spoofed"},
                        {"x-headgate-client-subject", "spoofed"},
                        {"sec-fetch-site", "x"},
                        {"connection", "close"}}),
              ElementsAre(Pair("x-headgate-session", "s"), Pair("a", "1"),
                          Pair("b-bin", "x"), Pair("b-bin", "y")));
}

TEST_F(CallHeadTest, AHeaderThatCannotBeSentIsNamed) {
  EXPECT_EQ(Judge({{"a", "\xC3\xA4"}}).status(),
            absl::InvalidArgumentError("header a: the value has characters "
                                       "other than printable ASCII"));
  EXPECT_EQ(
      Judge({{"a-bin", "?"}}).status(),
      absl::InvalidArgumentError("header a-bin: the value is not base64"));
}

// --- Credentials

// {"exp":100}
TEST_F(CallHeadTest, ATokenThatHasExpiredIsRefusedAsInTheHandshake) {
  const std::vector<std::pair<std::string, std::string>> token = {
      {"authorization", "Bearer e30.eyJleHAiOjEwMH0.x"}};
  now_ = absl::FromUnixSeconds(110);
  EXPECT_TRUE(Judge(token).ok());  // The route does not ask.
  route_->token = {TokenRule::Expiry::kCloses, absl::Seconds(10)};
  EXPECT_EQ(Judge(token).status(),
            absl::UnauthenticatedError("the token has expired"));
  now_ = absl::FromUnixSeconds(109);
  EXPECT_EQ(Judge(token)->token_expiry, absl::FromUnixSeconds(100));
}

TEST_F(CallHeadTest, AuthorizationInBandCounts) {
  EXPECT_THAT(Accepted({{"Authorization", "Bearer x"}}),
              Contains(Pair("authorization", "Bearer x")));
}

TEST_F(CallHeadTest, ItComesBeforeSubprotocolCookieAndQuery) {
  session_.metadata.emplace_back("authorization", "Bearer of the cookie");
  const Metadata metadata = Accepted({{"authorization", "Bearer x"}});
  EXPECT_THAT(metadata, Contains(Pair("authorization", "Bearer x")));
  EXPECT_THAT(metadata,
              Not(Contains(Pair("authorization", "Bearer of the cookie"))));
}

// A proxy may have set it for the whole connection.
TEST_F(CallHeadTest, TheHandshakesOwnHeaderComesFirst) {
  session_.metadata.emplace_back("authorization", "Bearer of the proxy");
  session_.has_authorization_header = true;
  const Metadata metadata = Accepted({{"authorization", "Bearer x"}});
  EXPECT_THAT(metadata, Contains(Pair("authorization", "Bearer of the proxy")));
  EXPECT_THAT(metadata, Not(Contains(Pair("authorization", "Bearer x"))));
}

TEST_F(CallHeadTest, MalformedCredentialsAreUnauthenticated) {
  for (const auto& fields :
       {std::vector<std::pair<std::string, std::string>>{
            {"authorization", "a"}, {"Authorization", "b"}},
        {{"authorization", ""}},
        {{"authorization", "s3cret\xFF"}}}) {
    const absl::Status status = Judge(fields).status();
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
    EXPECT_THAT(status.message(), Not(HasSubstr("s3cret")));
  }
}

TEST_F(CallHeadTest, GrpcMetadataAuthorizationIsNone) {
  EXPECT_THAT(Accepted({{"grpc-metadata-authorization", "Bearer x"}}),
              Not(Contains(Pair("authorization", "Bearer x"))));
}

// --- Tracing

TEST_F(CallHeadTest, ATraceOfTheCallsOwnTakesThePlaceOfTheHandshakes) {
  EXPECT_THAT(Accepted({{"traceparent", kCallsParent}}),
              AllOf(Contains(Pair("traceparent", kCallsParent)),
                    Not(Contains(Pair("traceparent", kHandshakesParent))),
                    Not(Contains(Pair("tracestate", "a=1")))));
}

TEST_F(CallHeadTest, WhatIsNoTraceDoesNot) {
  for (const auto& fields :
       {std::vector<std::pair<std::string, std::string>>{
            {"traceparent", "00-x"}, {"tracestate", "b=2"}},
        {{"traceparent", kCallsParent}, {"traceparent", kCallsParent}},
        {{"tracestate", "b=2"}}}) {
    EXPECT_EQ(Accepted(fields), session_.metadata);
  }
}

TEST_F(CallHeadTest, TheRequestsIdMayBeTheCallsOwn) {
  EXPECT_THAT(Accepted({{"X-Request-Id", "two"}}),
              AllOf(Contains(Pair("x-request-id", "two")),
                    Not(Contains(Pair("x-request-id", "one")))));
}

// --- Limits

TEST_F(CallHeadTest, TheTimeoutIsTheShorter) {
  session_.timeout = absl::Seconds(5);
  EXPECT_EQ(Judge({})->timeout, absl::Seconds(5));
  EXPECT_EQ(Judge({{"grpc-timeout", "2S"}})->timeout, absl::Seconds(2));
  EXPECT_EQ(Judge({{"grpc-timeout", "9S"}})->timeout, absl::Seconds(5));
  EXPECT_TRUE(absl::IsInvalidArgument(Judge({{"grpc-timeout", "x"}}).status()));
}

TEST_F(CallHeadTest, TheMetadataIsBounded) {
  session_.metadata.clear();
  route_->max_metadata_bytes = 100;
  route_->own_metadata_bytes = 50;
  // The path has 6 bytes, the field counts 32 besides.
  EXPECT_TRUE(Judge({{"a", std::string(11, 'x')}}).ok());
  EXPECT_EQ(Judge({{"a", std::string(12, 'x')}}).status(),
            absl::ResourceExhaustedError(
                "the call's metadata would make 101 bytes of headers, "
                "max_metadata_bytes is 100"));
}

}  // namespace
}  // namespace headgate
