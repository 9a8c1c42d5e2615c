#include "gateway/trace/traced_upstream.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/route/route.h"
#include "tests/testing/fake_upstream.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

constexpr char kSampled[] =
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr char kNotSampled[] =
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

class TracedUpstreamTest : public ::testing::Test,
                           private UpstreamCallObserver {
 protected:
  std::unique_ptr<UpstreamCall> Start(const std::string& traceparent) {
    CallRequest request{"/demo.v1.Hello/Say", {{"traceparent", traceparent}}};
    request.route = &route_;
    request.client = "192.0.2.1";
    return traced_.StartCall(std::move(request), *this);
  }
  std::string Traceparent(std::size_t call) {
    return fake_->call(call).request().metadata.at(0).second;
  }
  std::vector<Span> Spans() {
    return spans_->Take(now_.steady + absl::Hours(1));
  }

  testing::Log log_;
  Moment now_{absl::FromUnixSeconds(50), absl::FromUnixSeconds(1000)};
  Route route_;
  const std::shared_ptr<testing::FakeUpstream> fake_ =
      std::make_shared<testing::FakeUpstream>(log_);
  const std::shared_ptr<SpanQueue> spans_ = std::make_shared<SpanQueue>();
  TracedUpstream traced_{
      fake_, CallTracing{0, spans_, [this] { return now_; }, absl::BitGen()}};

 private:
  void OnMessage(std::string payload) override {
    log_.push_back("message " + payload);
  }
  void OnWritten() override { log_.push_back("written"); }
  void OnDraining() override { log_.push_back("draining"); }
  void OnDone(CallEnd end) override {
    log_.push_back("done " + end.status.ToString());
  }
};

TEST_F(TracedUpstreamTest, ASampledCallIsASpanFromItsStartToItsStatus) {
  const auto call = Start(kSampled);
  EXPECT_THAT(Spans(), IsEmpty());
  now_.steady += absl::Seconds(3);
  fake_->call(0).observer().OnDone({absl::NotFoundError("none"), ""});
  const std::vector<Span> spans = Spans();
  ASSERT_THAT(spans, SizeIs(1));
  EXPECT_EQ(spans[0].trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(spans[0].parent_id, "00f067aa0ba902b7");
  EXPECT_THAT(spans[0].span_id, MatchesRegex("[0-9a-f]{16}"));
  EXPECT_EQ(spans[0].method, "demo.v1.Hello/Say");
  EXPECT_EQ(spans[0].route, RouteName(route_));
  EXPECT_EQ(spans[0].client, "192.0.2.1");
  EXPECT_EQ(spans[0].start, absl::FromUnixSeconds(1000));
  EXPECT_EQ(spans[0].end, absl::FromUnixSeconds(1003));
  EXPECT_EQ(spans[0].code, absl::StatusCode::kNotFound);
  EXPECT_EQ(spans[0].message, "none");
  EXPECT_EQ(Traceparent(0),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-" + spans[0].span_id + "-01");
}

TEST_F(TracedUpstreamTest, EverythingOfASampledCallIsPassedOn) {
  const auto call = Start(kSampled);
  call->Read();
  call->Write("a", WriteHint::kLast);
  fake_->call(0).observer().OnWritten();
  call->WritesDone();
  fake_->call(0).observer().OnMessage("b");
  fake_->call(0).observer().OnDraining();
  fake_->call(0).observer().OnDone({absl::OkStatus(), ""});
  EXPECT_THAT(log_, ElementsAre("start /demo.v1.Hello/Say", "read", "write a",
                                "written", "writes-done", "message b",
                                "draining", "done OK"));
}

TEST_F(TracedUpstreamTest, ACallThatIsGivenUpIsCancelled) {
  Start(kSampled).reset();
  const std::vector<Span> spans = Spans();
  ASSERT_THAT(spans, SizeIs(1));
  EXPECT_EQ(spans[0].code, absl::StatusCode::kCancelled);
  EXPECT_THAT(log_, ElementsAre("start /demo.v1.Hello/Say", "cancel"));
}

TEST_F(TracedUpstreamTest, ACallThatIsNotSampledIsLeftAlone) {
  const auto call = Start(kNotSampled);
  EXPECT_EQ(Traceparent(0), kNotSampled);
  fake_->call(0).observer().OnDone({absl::OkStatus(), ""});
  EXPECT_THAT(Spans(), IsEmpty());
}

TEST_F(TracedUpstreamTest, EachCallHasASpanOfItsOwn) {
  Start(kSampled).reset();
  Start(kSampled).reset();
  const std::vector<Span> spans = Spans();
  ASSERT_THAT(spans, SizeIs(2));
  EXPECT_NE(spans[0].span_id, spans[1].span_id);
}

}  // namespace
}  // namespace headgate
