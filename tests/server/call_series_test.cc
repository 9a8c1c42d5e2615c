#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "gateway/server/stats_recorder.h"

namespace headgate {
namespace {

Stats::CallKey Key(int method) {
  return {"up", absl::StrCat("/s/m", method), "OK"};
}

constexpr int kMost = static_cast<int>(CallSeries::kMost);

TEST(CallSeriesTest, TheFirstOnesStayAndNoOtherComes) {
  CallSeries series;
  for (int i = 0; i < kMost; ++i) ASSERT_TRUE(series.Admit(Key(i)));
  EXPECT_FALSE(series.Admit(Key(kMost)));
  EXPECT_TRUE(series.Admit(Key(0)));
}

TEST(CallSeriesTest, CallsBeyondThemAreTimedTogether) {
  CallSeries series;
  for (int i = 0; i < kMost; ++i) series.Admit(Key(i));
  StatsRecorder recorder(0, series);
  recorder.OnCallEnded("up", "/s/m0", absl::StatusCode::kOk, absl::Seconds(1));
  recorder.OnCallEnded("up", "/s/new", absl::StatusCode::kOk, absl::Seconds(1));
  recorder.OnCallEnded("up", "/s/more", absl::StatusCode::kOk,
                       absl::Seconds(2));
  const Stats& stats = recorder.stats();
  EXPECT_EQ(stats.call_durations.at(Key(0)).duration.sum(), 1);
  EXPECT_EQ(stats.call_durations.at({"up", "other", "OK"}).duration.sum(), 3);
  EXPECT_EQ(stats.call_durations.size(), 2u);
  // They are still counted by their names.
  EXPECT_EQ(stats.calls.at({"up", "/s/more", "OK"}), 1u);
}

// Two workers see the same combinations.
TEST(CallSeriesTest, WorkersShareThem) {
  CallSeries series;
  for (int i = 0; i < kMost - 1; ++i) series.Admit(Key(i));
  StatsRecorder a(0, series), b(1, series);
  a.OnCallEnded("up", "/s/last", absl::StatusCode::kOk, absl::Seconds(1));
  b.OnCallEnded("up", "/s/last", absl::StatusCode::kOk, absl::Seconds(1));
  EXPECT_TRUE(b.stats().call_durations.contains({"up", "/s/last", "OK"}));
}

}  // namespace
}  // namespace headgate
