#include "gateway/server/stats_recorder.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace headgate {
namespace {

// What a session has carried is what the test says.
class CountingSession final : public Session {
 public:
  CountingSession()
      : Session(RequestOf(), std::make_shared<SessionContext>()) {}

  void Carry(std::uint64_t messages) {
    report_.messages_in += messages;
    report_.bytes_in += 10 * messages;
    report_.messages_out += messages;
    report_.bytes_out += 100 * messages;
  }
  void Choose(const Dialect* codec) { report_.codec = codec; }

  void Start(absl::Time) override {}
  void OnTick(absl::Time) override {}
  void Drain(const DrainOrder&) override {}
  void CloseByOperator() override {}
  void CloseForMemory() override {}
  std::size_t held_bytes() const override { return 0; }
  Buffered buffered() const override { return {}; }
  void OnMessage(WireMessage) override {}
  void OnMessageTooBig(const AnswerWait&) override {}
  void OnViolation(const Ending&, const AnswerWait&) override {}
  void OnWritten() override {}
  void OnClosed(const TransportEnd&) override {}

 private:
  static SessionRequest RequestOf() {
    auto route = std::make_shared<Route>();
    route->path = "/chat";
    SessionRequest request;
    request.route = std::move(route);
    return request;
  }
};

class StatsRecorderTest : public ::testing::Test {
 protected:
  std::uint64_t CountedOf(const char* codec, const char* direction = "in") {
    const auto found = recorder_.stats().traffic.find({codec, direction});
    return found == recorder_.stats().traffic.end() ? 0
                                                    : found->second.messages;
  }

  CallSeries series_;
  StatsRecorder recorder_{0, series_};
  CountingSession session_;
};

// A scrape visits sessions one by one; they go on and end meanwhile.
TEST_F(StatsRecorderTest, WhatASessionCarriesIsCountedOnce) {
  recorder_.OnOpened(session_);
  session_.Choose(&kJsonDialect);
  session_.Carry(3);
  recorder_.OnVisited(session_);
  EXPECT_EQ(CountedOf("json"), 3u);
  recorder_.OnVisited(session_);
  EXPECT_EQ(CountedOf("json"), 3u);
  session_.Carry(2);
  recorder_.OnVisited(session_);
  EXPECT_EQ(CountedOf("json"), 5u);
  session_.Carry(1);
  recorder_.OnEnded(session_, absl::Now());
  EXPECT_EQ(CountedOf("json"), 6u);
  EXPECT_EQ((recorder_.stats().traffic.at({"json", "in"}).bytes), 60u);
  EXPECT_EQ((recorder_.stats().traffic.at({"json", "out"}).bytes), 600u);
}

// A count under "none" would have to go back when the codec is known.
TEST_F(StatsRecorderTest, BeforeTheCodecIsKnownNothingIsCounted) {
  recorder_.OnOpened(session_);
  session_.Carry(1);
  recorder_.OnVisited(session_);
  EXPECT_EQ(CountedOf("none"), 0u);
  session_.Choose(&kRawDialect);
  recorder_.OnVisited(session_);
  EXPECT_EQ(CountedOf("raw"), 1u);
}

TEST_F(StatsRecorderTest, ASessionThatNeverHadACodecIsCountedAtItsEnd) {
  recorder_.OnOpened(session_);
  session_.Carry(1);
  recorder_.OnEnded(session_, absl::Now());
  EXPECT_EQ(CountedOf("none"), 1u);
}

TEST_F(StatsRecorderTest, OpenSessionsAreThoseThatHaveNotEnded) {
  CountingSession other;
  recorder_.OnOpened(session_);
  recorder_.OnOpened(other);
  EXPECT_EQ(recorder_.stats().routes.at("/chat").open, 2u);
  recorder_.OnEnded(other, absl::Now());
  EXPECT_EQ(recorder_.stats().routes.at("/chat").open, 1u);
  EXPECT_EQ(recorder_.stats().routes.at("/chat").opened, 2u);
}

}  // namespace
}  // namespace headgate
