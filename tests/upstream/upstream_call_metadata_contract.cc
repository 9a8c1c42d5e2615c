#include <gmock/gmock.h>

#include "tests/upstream/upstream_call_contract.h"

namespace headgate {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

namespace {

auto IsMetadata(const std::string& key, const std::string& first,
                const std::string& second) {
  return UnorderedElementsAre(
      Pair(key, first), Pair(key, second),
      Pair(key + "-bin", ScriptedService::BinaryValue()));
}

}  // namespace

TEST_P(UpstreamCallContract, MetadataOfBothEndsArrivesWhenAskedFor) {
  StartWithMetadata("/headers");
  Read();
  WriteAll({"a", "b"});
  Run();
  EXPECT_THAT(messages_, ElementsAre("a", "b"));
  ASSERT_TRUE(headers_);
  EXPECT_THAT(*headers_, IsMetadata("x-first", "1", "one"));
  ASSERT_TRUE(end_);
  EXPECT_TRUE(status().ok()) << status();
  EXPECT_THAT(end_->trailers, IsMetadata("x-last", "2", "two"));
}

// A stream's first answer may be far away: who waits for the headers has them.
TEST_P(UpstreamCallContract, HeadersComeBeforeAnyMessageIsSent) {
  StartWithMetadata("/headers");
  Read();
  ASSERT_TRUE(RunUntil([&] { return headers_.has_value(); }));
  EXPECT_THAT(messages_, IsEmpty());
  EXPECT_FALSE(end_);
}

// Headers are no answer to a Read.
TEST_P(UpstreamCallContract, HeadersComeUnasked) {
  StartWithMetadata("/headers");
  EXPECT_TRUE(RunUntil([&] { return headers_.has_value(); }));
}

// A head without metadata says that the response has begun, too.
TEST_P(UpstreamCallContract, HeadWithoutMetadataComesBeforeAnyMessageIsSent) {
  StartWithMetadata("/begin");
  Read();
  ASSERT_TRUE(RunUntil([&] { return headers_.has_value(); }));
  EXPECT_THAT(*headers_, IsEmpty());
  EXPECT_THAT(messages_, IsEmpty());
  EXPECT_FALSE(end_);
  WriteAll({"a"});
  Run();
  EXPECT_THAT(messages_, ElementsAre("a"));
  ASSERT_TRUE(end_);
  EXPECT_TRUE(status().ok()) << status();
}

TEST_P(UpstreamCallContract, HeadWithoutMetadataComesUnasked) {
  StartWithMetadata("/begin");
  EXPECT_TRUE(RunUntil([&] { return headers_.has_value(); }));
}

// A status without anything before it is all trailers (grpc/grpc
// doc/PROTOCOL-HTTP2.md, "Trailers-Only"). "grpc-..." keys are the protocol's.
TEST_P(UpstreamCallContract, StatusAloneHasTrailersAndNoHeaders) {
  StartWithMetadata("/trailers");
  Read();
  Run();
  EXPECT_FALSE(headers_);
  ASSERT_TRUE(end_);
  EXPECT_EQ(status(), absl::AbortedError("no"));
  EXPECT_EQ(end_->details, "details");
  EXPECT_THAT(end_->trailers, IsMetadata("x-last", "2", "two"));
}

TEST_P(UpstreamCallContract, HeadWithoutMetadataComesBeforeTheFirstMessage) {
  StartWithMetadata("/echo");
  Read();
  WriteAll({"a"});
  Run();
  ASSERT_TRUE(headers_);
  EXPECT_THAT(*headers_, IsEmpty());
  EXPECT_THAT(messages_, ElementsAre("a"));
  ASSERT_TRUE(end_);
  EXPECT_THAT(end_->trailers, IsEmpty());
}

TEST_P(UpstreamCallContract, CallThatReachesNobodyHasNoMetadata) {
  Connect("unix:/nobody/is/here");
  StartWithMetadata("/echo");
  Read();
  Run();
  EXPECT_FALSE(headers_);
  ASSERT_TRUE(end_);
  EXPECT_EQ(status().code(), absl::StatusCode::kUnavailable) << status();
  EXPECT_THAT(end_->trailers, IsEmpty());
}

TEST_P(UpstreamCallContract, NoMetadataArrivesUnlessAskedFor) {
  Start("/headers");
  Read();
  WriteAll({"a", "b"});
  Run();
  EXPECT_THAT(messages_, ElementsAre("a", "b"));
  EXPECT_FALSE(headers_);
  ASSERT_TRUE(end_);
  EXPECT_TRUE(status().ok()) << status();
  EXPECT_THAT(end_->trailers, IsEmpty());
}

// In the event of the first message, or of a time that has passed.
TEST_P(UpstreamCallContract, MayBeDestroyedInOnHeadersWithoutMetadata) {
  on_headers_ = [&] { Destroy(); };
  for (const std::string method : {"/echo", "/begin"}) {
    headers_.reset();
    StartWithMetadata(method);
    Read();
    if (method == "/echo") WriteAll({"a"});
    Run();
    EXPECT_TRUE(headers_) << method;
    EXPECT_THAT(messages_, IsEmpty());
    EXPECT_FALSE(end_);
  }
}

// No event follows: the head may have been on its way.
TEST_P(UpstreamCallContract, MayBeDestroyedWhileItsHeadComes) {
  StartWithMetadata("/begin");
  ASSERT_TRUE(CallsBegin(1));
  Destroy();
  Run();
}

TEST_P(UpstreamCallContract, MayBeDestroyedInOnHeaders) {
  on_headers_ = [&] { Destroy(); };
  StartWithMetadata("/headers");
  Read();
  WriteAll({"a"});
  Run();
  EXPECT_TRUE(headers_);
  EXPECT_THAT(messages_, IsEmpty());
  EXPECT_FALSE(end_);
}

}  // namespace headgate
