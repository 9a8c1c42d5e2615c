#include "gateway/hub/group_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <set>
#include <string>

namespace headgate {
namespace {

using ::testing::ElementsAre;

// What a log has told: "5" for a record, "5-8" for a gap.
class Told : public GroupLog::Observer {
 public:
  void OnRecord(StoredRecord record) override {
    log.push_back(std::to_string(record.offset));
    offsets.push_back(record.offset);
    gaps_before.push_back(has_gap);
    has_gap = false;
  }
  void OnGap(std::uint64_t after, std::uint64_t before) override {
    log.push_back(std::to_string(after) + "-" + std::to_string(before));
    has_gap = true;
  }

  std::vector<std::string> log;
  std::vector<std::uint64_t> offsets;
  std::vector<bool> gaps_before;  // Of each offset.
  bool has_gap = false;
};

StoredRecord Record(std::uint64_t offset, std::uint64_t previous) {
  return {offset, previous, "x"};
}

class GroupLogTest : public ::testing::Test {
 protected:
  // Answers questions from `stored`.
  void Answer() {
    while (const auto from = log_.TakeFetch()) {
      auto found = *from == 0 ? stored_.end() : stored_.lower_bound(*from);
      if (*from == 0 && !stored_.empty()) --found;
      if (found == stored_.end()) {
        log_.OnFetched(std::nullopt);
      } else {
        log_.OnFetched(Record(*found, 0));
      }
    }
  }
  void Begin() {
    log_.Resume(false, false);
    Answer();
  }

  Told told_;
  GroupLog log_{4, told_};
  std::set<std::uint64_t> stored_;
};

TEST_F(GroupLogTest, RecordsBeforeTheFirstMemberAreNotDelivered) {
  stored_ = {3, 5};
  Begin();
  log_.OnLive(Record(8, 5));
  EXPECT_THAT(told_.log, ElementsAre("8"));
}

TEST_F(GroupLogTest, ARecordDuringTheFirstQuestionIsDelivered) {
  log_.Resume(false, false);
  ASSERT_TRUE(log_.TakeFetch());
  log_.OnLive(Record(5, 3));
  log_.OnFetched(Record(5, 0));
  log_.OnLive(Record(6, 5));
  EXPECT_THAT(told_.log, ElementsAre("5", "6"));
}

TEST_F(GroupLogTest, DuplicatesAreDropped) {
  Begin();
  log_.OnLive(Record(2, 0));
  log_.OnLive(Record(2, 0));
  log_.OnLive(Record(1, 0));
  EXPECT_THAT(told_.log, ElementsAre("2"));
}

TEST_F(GroupLogTest, OlderRecordsThatExpireWhileItListensAreNoGap) {
  Begin();
  log_.OnLive(Record(2, 0));
  log_.OnLive(Record(9, 0));
  EXPECT_THAT(told_.log, ElementsAre("2", "9"));
}

TEST_F(GroupLogTest, AHoleIsFetchedBeforeWhatFollowsIt) {
  Begin();
  log_.OnLive(Record(2, 0));
  stored_ = {2, 4, 6, 8};
  log_.OnLive(Record(8, 6));
  Answer();
  EXPECT_THAT(told_.log, ElementsAre("2", "4", "6", "8"));
}

TEST_F(GroupLogTest, AHoleThatIsNoLongerStoredIsAGap) {
  Begin();
  log_.OnLive(Record(2, 0));
  stored_ = {6, 8};
  log_.OnLive(Record(8, 6));
  Answer();
  EXPECT_THAT(told_.log, ElementsAre("2", "2-6", "6", "8"));
}

TEST_F(GroupLogTest, FewRecordsAfterAShortInterruptionAreAllOfThem) {
  Begin();
  log_.OnLive(Record(2, 0));
  log_.OnAway();
  stored_ = {6, 8};  // The one before has expired.
  log_.Resume(false, false);
  Answer();
  EXPECT_THAT(told_.log, ElementsAre("2", "6", "8"));
}

TEST_F(GroupLogTest, AsManyAsAreKeptMayNotBeAllOfThem) {
  Begin();
  log_.OnLive(Record(2, 0));
  log_.OnAway();
  stored_ = {4, 5, 6, 7};
  log_.Resume(false, false);
  Answer();
  EXPECT_THAT(told_.log, ElementsAre("2", "2-4", "4", "5", "6", "7"));
}

TEST_F(GroupLogTest, AfterALongInterruptionSilenceMayBeAGap) {
  Begin();
  log_.OnLive(Record(2, 0));
  log_.OnAway();
  log_.Resume(false, true);
  Answer();
  EXPECT_THAT(told_.log, ElementsAre("2", "2-0"));
}

TEST_F(GroupLogTest, AnotherHistoryIsAGap) {
  Begin();
  log_.OnLive(Record(9, 0));
  log_.OnAway();
  stored_ = {1};
  log_.Resume(true, true);
  Answer();
  log_.OnLive(Record(2, 1));
  EXPECT_THAT(told_.log, ElementsAre("9", "9-0", "2"));
}

TEST_F(GroupLogTest, AnAnswerToAnOldQuestionIsNotTaken) {
  Begin();
  log_.OnLive(Record(2, 0));
  log_.OnLive(Record(8, 6));
  ASSERT_TRUE(log_.TakeFetch());
  log_.OnAway();
  log_.OnFetched(std::nullopt);
  stored_ = {2, 6, 8};
  log_.Resume(false, false);
  Answer();
  EXPECT_THAT(told_.log, ElementsAre("2", "6", "8"));
}

TEST_F(GroupLogTest, MoreThanIsKeptIsFetched) {
  Begin();
  log_.OnLive(Record(1, 0));
  stored_ = {1, 2};
  log_.OnLive(Record(3, 2));
  stored_.insert(3);
  for (std::uint64_t i = 4; i < 8; ++i) {
    stored_.insert(i);
    log_.OnLive({i, i - 1, std::string(GroupLog::kMostKeptBytes / 2, 'x')});
  }
  Answer();
  EXPECT_THAT(told_.log, ElementsAre("1", "2", "3", "4", "5", "6", "7"));
}

// A stream with all that can happen to it and to what comes of it, compared
// with what was stored in it: offsets rise, and where one is missing there is a
// gap.
TEST(GroupLogModelTest, EverythingOrAGap) {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    std::mt19937 random(seed);
    const auto one_in = [&random](unsigned of) { return random() % of == 0; };
    Told told;
    GroupLog log(4, told);
    std::vector<std::uint64_t> ever;
    std::deque<std::uint64_t> stored;
    std::deque<StoredRecord> wire;
    std::optional<std::uint64_t> asked;
    std::uint64_t last = 0;
    bool is_up = true;
    bool has_expired = false;
    bool is_lost = false;
    bool is_young = true;
    log.Resume(false, false);
    const auto answer = [&] {
      if (!asked) asked = log.TakeFetch();
      if (!asked) return false;
      const std::uint64_t from = *asked;
      asked.reset();
      if (one_in(8)) {
        log.OnFetchFailed();
        return true;
      }
      std::optional<StoredRecord> found;
      for (const std::uint64_t offset : stored) {
        if (from == 0 || (!found && offset >= from)) found = Record(offset, 0);
      }
      log.OnFetched(found);
      return true;
    };
    const auto deliver = [&] {
      if (wire.empty()) return;
      const StoredRecord record = wire.front();
      wire.pop_front();
      if (one_in(10)) {
        is_lost = true;
        return;
      }
      // A loss is noticed when the next one comes, at the latest where that
      // does not show it.
      if (is_lost && (record.previous == 0 || one_in(2))) {
        log.OnAway();
        log.Resume(false, true);
      }
      is_lost = false;
      log.OnLive(record);
      if (one_in(10)) log.OnLive(record);
    };
    answer();
    while (answer()) {
    }
    for (int step = 0; step < 200; ++step) {
      switch (random() % 8) {
        case 0:
        case 1:
        case 2: {
          last += 1 + random() % 3;
          const std::uint64_t previous = stored.empty() ? 0 : stored.back();
          ever.push_back(last);
          stored.push_back(last);
          if (stored.size() > 4) stored.pop_front();
          if (is_up) wire.push_back(Record(last, previous));
          break;
        }
        case 3:
        case 4:
          deliver();
          break;
        case 5:
        case 6:
          answer();
          break;
        default:
          // Where nothing can have expired nothing does until the answer.
          if (is_young && !asked) asked = log.TakeFetch();
          if (one_in(4) && !stored.empty() && !(is_young && asked)) {
            stored.pop_front();
            has_expired = true;
          } else if (one_in(3)) {
            if (is_up) {
              log.OnAway();
              has_expired = is_lost || !wire.empty();
              wire.clear();
              is_lost = false;
            } else {
              log.Resume(false, has_expired);
              is_young = !has_expired;
            }
            is_up = !is_up;
          }
      }
    }
    if (!is_up) log.Resume(false, has_expired);
    wire.clear();
    log.OnAway();
    log.Resume(false, true);
    while (answer()) {
    }
    std::uint64_t before = 0;
    for (std::size_t i = 0; i < told.offsets.size(); ++i) {
      const std::uint64_t offset = told.offsets[i];
      ASSERT_GT(offset, before) << "seed " << seed;
      for (const std::uint64_t each : ever) {
        if (i > 0 && each > before && each < offset) {
          ASSERT_TRUE(told.gaps_before[i])
              << "seed " << seed << ": " << each << " is missing";
        }
      }
      before = offset;
    }
    for (const std::uint64_t each : ever) {
      if (!told.offsets.empty() && each > before) {
        ASSERT_TRUE(told.has_gap) << "seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace headgate
