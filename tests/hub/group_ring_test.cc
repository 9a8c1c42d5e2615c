#include "gateway/hub/group_ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

GroupRing::Entry Entry(std::uint64_t offset) {
  auto publication = std::make_shared<v1::EnginePublication>();
  publication->mutable_position()->set_offset(offset);
  return {offset, publication, 10};
}

std::vector<std::uint64_t> Offsets(
    const std::vector<SharedPublication>& publications) {
  std::vector<std::uint64_t> offsets;
  for (const SharedPublication& each : publications) {
    offsets.push_back(each->position().offset());
  }
  return offsets;
}

TEST(GroupRingTest, CoversWhatFollowsItsBeginning) {
  GroupRing ring(4);
  EXPECT_FALSE(ring.Covers(7));
  ring.StartAt(7);
  EXPECT_TRUE(ring.Covers(7));
  EXPECT_FALSE(ring.Covers(6));
  ring.Append(Entry(9));
  ring.Append(Entry(12));
  EXPECT_THAT(Offsets(ring.Behind(7)), ElementsAre(9, 12));
  EXPECT_THAT(Offsets(ring.Behind(9)), ElementsAre(12));
  EXPECT_THAT(Offsets(ring.Behind(12)), IsEmpty());
}

TEST(GroupRingTest, TheFirstEntryBeginsARow) {
  GroupRing ring(4);
  ring.Append(Entry(9));
  EXPECT_TRUE(ring.Covers(8));
  EXPECT_FALSE(ring.Covers(7));
  ring.Break();
  EXPECT_FALSE(ring.Covers(9));
  EXPECT_EQ(ring.bytes(), 0u);
  ring.Append(Entry(20));
  EXPECT_TRUE(ring.Covers(19));
}

TEST(GroupRingTest, WhatIsDroppedIsNotCovered) {
  GroupRing ring(2);
  for (std::uint64_t offset = 1; offset <= 4; ++offset) {
    ring.Append(Entry(offset));
  }
  EXPECT_TRUE(ring.Covers(2));
  EXPECT_FALSE(ring.Covers(1));
  EXPECT_EQ(ring.bytes(), 20u);
  EXPECT_TRUE(ring.DropOldest());
  EXPECT_FALSE(ring.Covers(2));
  EXPECT_TRUE(ring.DropOldest());
  EXPECT_FALSE(ring.DropOldest());
  EXPECT_TRUE(ring.Covers(4));
}

TEST(GroupRingTest, OlderOnesAreAddedAndStrangersLeftOut) {
  GroupRing ring(9);
  ring.StartAt(10);
  ring.Append({11, nullptr, 10});
  ring.Append(Entry(12));
  ring.Prepend({Entry(5), Entry(8)});
  EXPECT_TRUE(ring.Covers(4));
  EXPECT_FALSE(ring.Covers(3));
  EXPECT_THAT(Offsets(ring.Behind(5)), ElementsAre(8, 12));
}

class RingFillTest : public ::testing::Test {
 protected:
  // Answers what it asks for; `delete_after`: after so many answers what is
  // stored up to `gone` is deleted.
  std::vector<std::uint64_t> Run(RingFill& fill, int delete_after = -1,
                                 std::uint64_t gone = 0) {
    while (!fill.is_done()) {
      if (delete_after-- == 0) {
        stored_.erase(stored_.begin(), stored_.upper_bound(gone));
      }
      ++questions_;
      const auto found = stored_.lower_bound(fill.next());
      if (found == stored_.end()) {
        fill.OnFetched(std::nullopt, base_);
      } else {
        fill.OnFetched(StoredRecord{*found, 0, "x"}, base_);
      }
    }
    std::vector<std::uint64_t> offsets;
    for (const StoredRecord& record : fill.TakeRow()) {
      offsets.push_back(record.offset);
    }
    return offsets;
  }

  std::set<std::uint64_t> stored_ = {2, 4, 6, 8, 10};
  std::optional<std::uint64_t> base_ = 7;
  int questions_ = 0;
};

TEST_F(RingFillTest, FetchesUpToTheBase) {
  RingFill fill(3, 7, 100);
  EXPECT_THAT(Run(fill), ElementsAre(4, 6));
  EXPECT_EQ(questions_, 4);
}

TEST_F(RingFillTest, WhatIsDeletedMeanwhileIsLeftOut) {
  RingFill first(1, 7, 100);
  EXPECT_THAT(Run(first, 2, 3), ElementsAre(4, 6));
  stored_ = {2, 4, 6, 8, 10};
  RingFill all(1, 7, 100);
  EXPECT_THAT(Run(all, 2, 9), IsEmpty());
}

TEST_F(RingFillTest, NothingIsAnAnswerToo) {
  stored_.clear();
  RingFill fill(1, 7, 100);
  EXPECT_THAT(Run(fill), IsEmpty());
  EXPECT_EQ(questions_, 1);
}

TEST_F(RingFillTest, TheOldestAreLeftOut) {
  RingFill fill(1, 7, 2);
  EXPECT_THAT(Run(fill), ElementsAre(4, 6));
}

TEST_F(RingFillTest, ARingThatHasMovedIsNotFilled) {
  RingFill fill(1, 7, 100);
  base_ = 9;
  EXPECT_THAT(Run(fill), IsEmpty());
  RingFill broken(1, 7, 100);
  base_.reset();
  EXPECT_THAT(Run(broken), IsEmpty());
}

}  // namespace
}  // namespace headgate
