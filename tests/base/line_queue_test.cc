#include "gateway/base/line_queue.h"

#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::size_t kMax = 20;

class LineQueueTest : public ::testing::Test {
 protected:
  // Writes all that waits.
  std::vector<std::string> Drain() {
    std::vector<std::string> lines;
    while (const std::optional<LineQueue::Entry> entry = queue_.Pop()) {
      lines.push_back(entry->text);
      queue_.OnWritten();
    }
    return lines;
  }

  LineQueue queue_{kMax, [](std::uint64_t dropped) {
                     return absl::StrCat("dropped ", dropped);
                   }};
};

TEST_F(LineQueueTest, LinesComeInTheirOrder) {
  EXPECT_TRUE(queue_.Push("a"));
  EXPECT_TRUE(queue_.Push("b"));
  EXPECT_THAT(Drain(), ElementsAre("a", "b"));
  EXPECT_EQ(queue_.dropped(), 0u);
}

TEST_F(LineQueueTest, BytesThatWaitAreBounded) {
  while (queue_.Push("12345")) {
  }
  EXPECT_EQ(queue_.bytes(), kMax);
  EXPECT_EQ(queue_.dropped(), 1u);
}

TEST_F(LineQueueTest, ALineThatIsLongerThanTheBoundIsDropped) {
  EXPECT_FALSE(queue_.Push(std::string(kMax + 1, 'x')));
  EXPECT_THAT(Drain(), ElementsAre("dropped 1"));
}

// The gap is reported where it is, once.
TEST_F(LineQueueTest, DroppedLinesAreReportedBehindThoseBefore) {
  EXPECT_TRUE(queue_.Push("1234567890"));
  EXPECT_TRUE(queue_.Push("123456789"));
  EXPECT_FALSE(queue_.Push("lost"));
  EXPECT_FALSE(queue_.Push("lost"));
  EXPECT_THAT(Drain(), ElementsAre("1234567890", "123456789", "dropped 2"));
  EXPECT_TRUE(queue_.Push("a"));
  EXPECT_THAT(Drain(), ElementsAre("a"));
}

TEST_F(LineQueueTest, AfterADropItTakesNoneUntilItIsHalfEmpty) {
  for (const char* line : {"aaaaa", "bbbbb", "ccccc", "ddddd"}) {
    EXPECT_TRUE(queue_.Push(line));
  }
  EXPECT_FALSE(queue_.Push("e"));
  queue_.Pop();
  EXPECT_FALSE(queue_.Push("f"));
  queue_.Pop();
  EXPECT_TRUE(queue_.Push("g"));
  EXPECT_THAT(Drain(), ElementsAre("ccccc", "ddddd", "dropped 2", "g"));
}

TEST_F(LineQueueTest, ALineThatCannotBeWrittenCounts) {
  queue_.Push("a");
  queue_.OnFailed(*queue_.Pop());
  EXPECT_EQ(queue_.dropped(), 1u);
  // The report would fail as well.
  EXPECT_EQ(queue_.Pop(), std::nullopt);
  queue_.Push("b");
  EXPECT_THAT(Drain(), ElementsAre("dropped 1", "b"));
}

// A report is no line, and what it reported is reported again.
TEST_F(LineQueueTest, AReportThatCannotBeWrittenIsMadeAgain) {
  queue_.Push("a");
  queue_.OnFailed(*queue_.Pop());
  queue_.Push("b");
  queue_.OnFailed(*queue_.Pop());
  EXPECT_EQ(queue_.dropped(), 1u);
  queue_.OnFailed(*queue_.Pop());
  EXPECT_EQ(queue_.dropped(), 2u);
  queue_.Push("c");
  EXPECT_THAT(Drain(), ElementsAre("dropped 2", "c"));
  EXPECT_THAT(Drain(), IsEmpty());
}

}  // namespace
}  // namespace headgate
