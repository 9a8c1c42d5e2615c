#include "gateway/upstream/h2/dial.h"

#include <chrono>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace headgate {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<H2Endpoint> Endpoints(const std::string& target) {
  return ParseH2Target("ipv4:" + target)->endpoints;
}
std::vector<std::string> Texts(const std::vector<H2Endpoint>& endpoints) {
  std::vector<std::string> texts;
  for (const H2Endpoint& one : endpoints) texts.push_back(FormatEndpoint(one));
  return texts;
}

// RFC 8305 section 4.
TEST(InterleaveFamiliesTest, FamiliesTakeTurns) {
  EXPECT_THAT(
      Texts(InterleaveFamilies(
          Endpoints("[::1]:1,[::2]:1,[::3]:1,1.1.1.1:1,2.2.2.2:1"))),
      ElementsAre("[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"));
  EXPECT_THAT(
      Texts(InterleaveFamilies(Endpoints("1.1.1.1:1,2.2.2.2:1,[::1]:1"))),
      ElementsAre("1.1.1.1:1", "[::1]:1", "2.2.2.2:1"));
}

TEST(InterleaveFamiliesTest, OneFamilyStaysAsItIs) {
  EXPECT_THAT(
      Texts(InterleaveFamilies(Endpoints("2.2.2.2:1,1.1.1.1:1,3.3.3.3:1"))),
      ElementsAre("2.2.2.2:1", "1.1.1.1:1", "3.3.3.3:1"));
  EXPECT_THAT(InterleaveFamilies({}), IsEmpty());
}

// RFC 8305 section 5.
class DialTest : public ::testing::Test {
 protected:
  static constexpr const char* kThree = "1.1.1.1:1,2.2.2.2:1,3.3.3.3:1";

  DialTest() {
    timing_.attempt_delay = milliseconds(250);
    timing_.connect_timeout = milliseconds(5000);
  }

  // What is tried `ms` after the beginning.
  std::vector<std::string> At(Dial& dial, int ms) {
    std::vector<std::string> tried;
    while (const auto endpoint = dial.Next(start_ + milliseconds(ms))) {
      tried.push_back(FormatEndpoint(*endpoint));
    }
    return tried;
  }

  const Dial::Clock::time_point start_ =
      Dial::Clock::time_point(std::chrono::hours(1));
  H2Timing timing_;
};

TEST_F(DialTest, NextIsTriedAfterAMoment) {
  Dial dial(Endpoints(kThree), start_, timing_);
  EXPECT_THAT(At(dial, 0), ElementsAre("1.1.1.1:1"));
  EXPECT_THAT(At(dial, 249), IsEmpty());
  EXPECT_EQ(dial.due(start_ + milliseconds(249)), start_ + milliseconds(250));
  EXPECT_THAT(At(dial, 250), ElementsAre("2.2.2.2:1"));
  EXPECT_THAT(At(dial, 499), IsEmpty());
  EXPECT_THAT(At(dial, 600), ElementsAre("3.3.3.3:1"));
  EXPECT_EQ(dial.due(start_ + milliseconds(600)), std::nullopt);
  EXPECT_THAT(At(dial, 2000), IsEmpty());
}

TEST_F(DialTest, NextIsTriedAtOnceWhenOneHasFailed) {
  Dial dial(Endpoints(kThree), start_, timing_);
  EXPECT_THAT(At(dial, 0), ElementsAre("1.1.1.1:1"));
  dial.OnFailed();
  EXPECT_THAT(At(dial, 10), ElementsAre("2.2.2.2:1"));
  // It has its own moment.
  EXPECT_THAT(At(dial, 259), IsEmpty());
  dial.OnFailed();
  dial.OnFailed();
  EXPECT_THAT(At(dial, 259), ElementsAre("3.3.3.3:1"));
  dial.OnFailed();
  EXPECT_THAT(At(dial, 259), IsEmpty());
}

// Many addresses take no longer than one.
TEST_F(DialTest, NothingIsTriedWhenTheTimeIsOver) {
  timing_.connect_timeout = milliseconds(400);
  Dial dial(Endpoints(kThree), start_, timing_);
  EXPECT_EQ(dial.deadline(), start_ + milliseconds(400));
  EXPECT_THAT(At(dial, 0), ElementsAre("1.1.1.1:1"));
  EXPECT_THAT(At(dial, 250), ElementsAre("2.2.2.2:1"));
  // Its moment would come too late.
  EXPECT_EQ(dial.due(start_ + milliseconds(250)), std::nullopt);
  dial.OnFailed();
  EXPECT_EQ(dial.due(start_ + milliseconds(400)), std::nullopt);
  EXPECT_THAT(At(dial, 400), IsEmpty());
}

}  // namespace
}  // namespace headgate
