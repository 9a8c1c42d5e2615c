#include "tests/session/call_fixture.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;

class CallLookupTest : public CallFixture {};

TEST_F(CallLookupTest, WaitsForTheDescriptorsBeforeItCalls) {
  schemas_->answers_at_once = false;
  Start(&kProtobufDialect);
  Binary("early");
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
  schemas_->Answer();
  EXPECT_THAT(Steps(),
              ElementsAre("start /s/m", "read", "write early", "ws read"));
}

TEST_F(CallLookupTest, SaysWhatIsUnimplementedWhenTheBackendDoesNot) {
  schemas_->why_unknown = absl::UnimplementedError("unknown method s/m");
  Start(&kProtobufDialect);
  Steps();
  backend().OnDone({absl::UnimplementedError(""), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws close 4012 unknown method s/m"));
}

// Guessing the kind of the call would leave a unary one hanging.
TEST_F(CallLookupTest, AnUpstreamThatCannotBeAskedEndsTheSession) {
  schemas_->why_unknown = absl::UnavailableError("connection refused");
  Start(&kProtobufDialect);
  EXPECT_THAT(Steps(),
              ElementsAre("ws read", "ws close 4014 connection refused"));
}

TEST_F(CallLookupTest, AClientThatLeavesWhileTheMethodIsLookedUpIsForgotten) {
  schemas_->answers_at_once = false;
  Start(&kProtobufDialect);
  session_->OnClosed(
      {TransportEnd::Cause::kClosedByClient, CloseCode::kGoingAway, "bye"});
  EXPECT_EQ(schemas_->waiting(), 0u);
  EXPECT_EQ(upstream_->call_count(), 0u);
  EXPECT_EQ(session_->report().close, CloseCode::kGoingAway);
}

TEST_F(CallLookupTest, DrainWhileTheMethodIsLookedUpCloses) {
  schemas_->answers_at_once = false;
  Start(&kProtobufDialect);
  Steps();
  Drain();
  EXPECT_THAT(Steps(),
              ElementsAre("ws close 1001 the gateway is shutting down"));
  EXPECT_EQ(schemas_->waiting(), 0u);
}

}  // namespace
}  // namespace headgate
