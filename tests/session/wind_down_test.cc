#include "gateway/session/wind_down.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

class WindDownTest : public ::testing::Test {
 protected:
  // What a session would ask after so many milliseconds.
  std::optional<Ending> At(int ms, const Outlook& outlook) {
    return wind_down_.Check(begin_ + absl::Milliseconds(ms), outlook);
  }
  void Drain(absl::Duration limit = absl::Seconds(10)) {
    wind_down_.Drain({begin_, begin_ + limit, "bye"});
  }
  void Part(absl::Duration limit = absl::Seconds(10)) {
    wind_down_.Part({CloseCode::kProtocolError, {}}, {begin_, begin_ + limit});
  }

  const absl::Time begin_ = absl::UnixEpoch();
  WindDown wind_down_;
};

constexpr Outlook kOpen = {.may_respond = true};

TEST_F(WindDownTest, DoesNothingUnlessItIsTold) {
  EXPECT_FALSE(wind_down_.is_active());
  EXPECT_FALSE(At(0, {.has_ended = true}));
}

TEST_F(WindDownTest, ADrainEndsAfterSilence) {
  Drain();
  EXPECT_FALSE(At(99, kOpen));
  const auto ending = At(100, kOpen);
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->close, CloseCode::kGoingAway);
  EXPECT_EQ(ending->end.status, absl::UnavailableError("bye"));
}

TEST_F(WindDownTest, AResponseBeginsTheSilenceAgain) {
  Drain();
  wind_down_.OnResponse();
  EXPECT_FALSE(At(90, kOpen));
  EXPECT_FALSE(At(189, kOpen));
  EXPECT_TRUE(At(190, kOpen));
}

TEST_F(WindDownTest, WithheldReadsAreNoSilence) {
  Drain();
  EXPECT_FALSE(At(150, {.may_respond = true, .reads_are_withheld = true}));
  EXPECT_FALSE(At(249, kOpen));
  EXPECT_TRUE(At(250, kOpen));
}

TEST_F(WindDownTest, ADrainLosesPatienceWithATalkativeBackend) {
  Drain();
  for (int ms = 50; ms < 2000; ms += 50) {
    wind_down_.OnResponse();
    EXPECT_FALSE(At(ms, kOpen)) << ms;
  }
  wind_down_.OnResponse();
  EXPECT_TRUE(At(2000, kOpen));
}

TEST_F(WindDownTest, ADrainWaitsForTheOnlyResponseUntilTheDeadline) {
  Drain();
  const Outlook outlook = {.may_respond = true, .only_response_is_due = true};
  EXPECT_FALSE(At(9999, outlook));
  EXPECT_TRUE(At(10000, outlook));
}

TEST_F(WindDownTest, WithoutACallADrainEndsAtOnce) {
  Drain();
  EXPECT_TRUE(At(0, {.has_ended = true}));
}

TEST_F(WindDownTest, AFaultEndsAtOnceWhereNothingCanCome) {
  Part();
  const auto ending = At(0, {});
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->close, CloseCode::kProtocolError);
}

TEST_F(WindDownTest, AFaultWaitsForADueResponseUntilTheDeadline) {
  Part();
  const Outlook outlook = {.may_respond = true, .response_is_due = true};
  EXPECT_FALSE(At(9999, outlook));
  EXPECT_TRUE(At(10000, outlook));
}

TEST_F(WindDownTest, AFaultWaitsForSilenceWhereSomethingMayCome) {
  Part();
  EXPECT_FALSE(At(99, kOpen));
  EXPECT_TRUE(At(100, kOpen));
}

TEST_F(WindDownTest, AFaultIsWhatASessionEndsWith) {
  Drain();
  Part();
  const auto ending = At(100, kOpen);
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->close, CloseCode::kProtocolError);
}

}  // namespace
}  // namespace headgate
