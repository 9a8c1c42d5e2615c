#include "gateway/hub/history_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>
#include <vector>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Records of one group, and others' offsets between them.
class HistoryPageTest : public ::testing::Test {
 protected:
  HistoryPageTest() {
    for (const std::uint64_t offset : {3, 5, 6, 9}) Add(offset);
  }
  void Add(std::uint64_t offset, std::size_t bytes = 1) {
    stored_[offset] = std::string(bytes, 'x');
  }
  // What NATS answers.
  std::optional<StoredRecord> Fetch(std::uint64_t from) const {
    if (stored_.empty()) return std::nullopt;
    if (from == 0) {
      return StoredRecord{stored_.rbegin()->first, 0, stored_.rbegin()->second};
    }
    const auto found = stored_.lower_bound(from);
    if (found == stored_.end()) return std::nullopt;
    return StoredRecord{found->first, 0, found->second};
  }
  void Step(HistoryPage& page) const { page.OnFetched(Fetch(page.next())); }
  void Finish(HistoryPage& page) const {
    while (!page.is_done()) Step(page);
  }
  static std::vector<std::uint64_t> OffsetsOf(HistoryPage& page) {
    std::vector<std::uint64_t> offsets;
    for (const StoredRecord& record : page.TakeRecords()) {
      offsets.push_back(record.offset);
    }
    return offsets;
  }

  std::map<std::uint64_t, std::string> stored_;
};

TEST_F(HistoryPageTest, HasWhatIsStoredBehindAnOffset) {
  HistoryPage page(3, 10);
  Finish(page);
  EXPECT_TRUE(page.is_complete());
  EXPECT_EQ(page.last_offset(), 9u);
  EXPECT_THAT(OffsetsOf(page), ElementsAre(5, 6, 9));
}

TEST_F(HistoryPageTest, FromTheOldestOnItIsNotKnownWhatWasBefore) {
  HistoryPage page(0, 10);
  Finish(page);
  EXPECT_FALSE(page.is_complete());
  EXPECT_THAT(OffsetsOf(page), ElementsAre(3, 5, 6, 9));
}

TEST_F(HistoryPageTest, EndsWithTheLimit) {
  HistoryPage page(3, 2);
  Finish(page);
  EXPECT_TRUE(page.is_complete());
  EXPECT_EQ(page.last_offset(), 9u);
  EXPECT_THAT(OffsetsOf(page), ElementsAre(5, 6));
}

TEST_F(HistoryPageTest, EndsWithItsBytes) {
  Add(6, HistoryPage::kMostBytes);
  HistoryPage page(3, 10);
  Finish(page);
  EXPECT_THAT(OffsetsOf(page), ElementsAre(5, 6));
}

TEST_F(HistoryPageTest, WithoutEntriesAsksForTheLastOneOnly) {
  HistoryPage page(3, 0);
  EXPECT_EQ(page.next(), 0u);
  Step(page);
  ASSERT_TRUE(page.is_done());
  EXPECT_EQ(page.last_offset(), 9u);
  EXPECT_THAT(OffsetsOf(page), IsEmpty());
}

TEST_F(HistoryPageTest, AtTheLastOneNothingIsMissing) {
  HistoryPage page(9, 10);
  Finish(page);
  EXPECT_TRUE(page.is_complete());
  EXPECT_EQ(page.last_offset(), 9u);
  EXPECT_THAT(OffsetsOf(page), IsEmpty());
}

TEST_F(HistoryPageTest, BehindTheHighestOffsetThereIsNothing) {
  HistoryPage page(std::numeric_limits<std::uint64_t>::max(), 10);
  Finish(page);
  EXPECT_FALSE(page.is_complete());
  EXPECT_EQ(page.last_offset(), 9u);
  EXPECT_THAT(OffsetsOf(page), IsEmpty());
}

TEST_F(HistoryPageTest, WithoutTheRecordAtTheOffsetSomethingMayBeMissing) {
  HistoryPage page(2, 10);
  Finish(page);
  EXPECT_FALSE(page.is_complete());
  EXPECT_THAT(OffsetsOf(page), ElementsAre(3, 5, 6, 9));
}

TEST_F(HistoryPageTest, OfAnEmptyGroupThereIsNothing) {
  stored_.clear();
  HistoryPage page(2, 10);
  Finish(page);
  EXPECT_FALSE(page.is_complete());
  EXPECT_EQ(page.last_offset(), 0u);
  EXPECT_THAT(OffsetsOf(page), IsEmpty());
}

TEST_F(HistoryPageTest, WhatIsDeletedMeanwhileLeavesNoHole) {
  HistoryPage page(3, 10);
  Step(page);  // 5.
  stored_.erase(3);
  stored_.erase(5);
  stored_.erase(6);
  Finish(page);
  EXPECT_FALSE(page.is_complete());
  EXPECT_THAT(OffsetsOf(page), ElementsAre(9));
}

TEST_F(HistoryPageTest, WhereAllThatWasReadIsDeletedTheNextOneIsThere) {
  HistoryPage page(3, 2);
  Step(page);
  Step(page);  // 5 and 6.
  stored_.clear();
  Add(20);
  Add(21);
  Finish(page);
  EXPECT_FALSE(page.is_complete());
  EXPECT_EQ(page.last_offset(), 21u);
  EXPECT_THAT(OffsetsOf(page), ElementsAre(20));
}

TEST_F(HistoryPageTest, TheLastOffsetIsNotBelowAnEntry) {
  HistoryPage page(3, 10);
  for (int i = 0; i < 5; ++i) Step(page);  // Up to the check.
  stored_.clear();
  Finish(page);
  EXPECT_EQ(page.last_offset(), 9u);
}

}  // namespace
}  // namespace headgate
