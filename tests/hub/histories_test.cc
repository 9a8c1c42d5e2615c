#include "gateway/hub/histories.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/hub/cluster_link.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class HistoriesTest : public ::testing::Test {
 protected:
  using Node = FakeBroker::Node;

  HistoriesTest() {
    a_.cluster().OnInterest(HubScope::kGroup, "h:1", true);
    b_.cluster().OnInterest(HubScope::kGroup, "h:1", true);
  }

  void Store(const std::string& text) {
    v1::EnginePublication publication;
    publication.mutable_to()->add_groups("h:1");
    publication.mutable_payload()->set_text(text);
    a_.cluster().Store(publication, {},
                       [](const absl::StatusOr<HubEngine::Stored>& stored) {
                         EXPECT_TRUE(stored.ok()) << stored.status();
                       });
  }
  void Lose(Node& node) {
    node.up = false;
    node.cluster().OnDown(broker_.now);
  }
  void Return(Node& node, const std::string& epoch = "epoch") {
    node.up = true;
    node.cluster().OnUp(broker_.now, {epoch, false});
  }

  FakeBroker broker_;
  Node a_{broker_, "a"};
  Node b_{broker_, "b"};
};

TEST_F(HistoriesTest, AllGatewaysHearItThePublishersToo) {
  Store("one");
  Store("two");
  EXPECT_THAT(a_.delivered, ElementsAre("one", "two"));
  EXPECT_THAT(b_.delivered, ElementsAre("one", "two"));
}

TEST_F(HistoriesTest, ThePatternThatFitsFirstDecides) {
  EXPECT_TRUE(a_.cluster().HasHistory("h:1"));
  EXPECT_FALSE(a_.cluster().HasHistory("live:1"));
  EXPECT_FALSE(a_.cluster().HasHistory("other"));
}

TEST_F(HistoriesTest, WhatIsMissedIsFetchedInOrder) {
  Store("one");
  Lose(b_);
  Store("two");
  Store("three");
  Return(b_);
  Store("four");
  EXPECT_THAT(b_.delivered, ElementsAre("one", "two", "three", "four"));
}

TEST_F(HistoriesTest, AHoleInWhatComesIsFilled) {
  Store("one");
  b_.is_deaf = true;
  Store("two");
  b_.is_deaf = false;
  Store("three");
  EXPECT_THAT(b_.delivered, ElementsAre("one", "two", "three"));
}

TEST_F(HistoriesTest, TheLastOfThoseThatWereLostIsFetchedToo) {
  Store("one");
  b_.is_deaf = true;
  Store("two");
  b_.cluster().OnLost();
  EXPECT_THAT(b_.delivered, ElementsAre("one", "two"));
}

TEST_F(HistoriesTest, AFailedQuestionIsAskedAgain) {
  Store("one");
  b_.is_deaf = true;
  Store("two");
  b_.up = false;  // Which nobody has noticed.
  b_.cluster().OnLost();
  EXPECT_THAT(b_.delivered, ElementsAre("one"));
  b_.up = true;
  broker_.Advance(absl::Seconds(1));
  EXPECT_THAT(b_.delivered, ElementsAre("one", "two"));
}

TEST_F(HistoriesTest, WhatSomebodyHasDeletedIsAGap) {
  Store("one");
  Lose(b_);
  Store("two");
  broker_.DeleteAll();
  Store("three");
  Return(b_);
  EXPECT_THAT(b_.delivered, ElementsAre("one", "h:1 gap 1-3", "three"));
}

TEST_F(HistoriesTest, ARecordThatHasExpiredAfterALongSilenceIsNoGap) {
  Store("one");
  broker_.Advance(absl::Hours(1));
  broker_.DeleteAll();
  Lose(b_);
  Store("two");
  Return(b_);
  EXPECT_THAT(b_.delivered, ElementsAre("one", "two"));
}

TEST_F(HistoriesTest, AnotherStreamIsAGap) {
  Store("one");
  Lose(b_);
  Return(b_, "another");
  EXPECT_THAT(b_.delivered, ElementsAre("one", "h:1 gap 1-0"));
}

TEST_F(HistoriesTest, OffsetsThatAreGivenAgainAreAGap) {
  Store("one");
  Store("two");
  Lose(b_);
  Lose(a_);
  broker_.Undo();  // The server has crashed.
  for (Node* node : {&a_, &b_}) {
    node->up = true;
    node->cluster().OnUp(broker_.now, {"epoch", false, 1});
  }
  Store("three");
  EXPECT_THAT(b_.delivered, ElementsAre("one", "two", "h:1 gap 2-0", "three"));
}

TEST_F(HistoriesTest, OffsetsThatBeginAnewHaveTheStreamLookedAt) {
  Store("one");
  Store("two");
  v1::EngineRecord record;
  record.mutable_publication();
  b_.cluster().OnStored("hg.out.g.h=3A1", {1, 0, record.SerializeAsString()},
                        broker_.now);
  EXPECT_THAT(b_.log, Contains("renew"));
}

// Of two that are stored at once the server may say that both follow the same.
TEST_F(HistoriesTest, ARecordThatComesTooLateIsAGap) {
  Store("one");
  v1::EngineRecord record;
  record.mutable_publication()->mutable_to()->add_groups("h:1");
  record.mutable_publication()->mutable_payload()->set_text("three");
  const std::string bytes = record.SerializeAsString();
  b_.cluster().OnStored("hg.out.g.h=3A1", {3, 1, bytes}, broker_.now);
  b_.cluster().OnStored("hg.out.g.h=3A1", {2, 1, bytes}, broker_.now);
  EXPECT_THAT(b_.delivered, ElementsAre("one", "three", "h:1 gap 1-3"));
  EXPECT_THAT(b_.log, Contains("renew"));
  // One that was delivered is none.
  b_.cluster().OnStored("hg.out.g.h=3A1", {3, 1, bytes}, broker_.now);
  EXPECT_THAT(b_.delivered, ElementsAre("one", "three", "h:1 gap 1-3"));
}

TEST_F(HistoriesTest, StrangersRecordsAreNotDelivered) {
  b_.cluster().OnStored("hg.out.g.h=3A1", {0, 0, "x"}, broker_.now);
  b_.cluster().OnStored("hg.out.g.h=3A1", {7, 0, "\xff\xff"}, broker_.now);
  b_.cluster().OnStored("hg.out.g.other", {8, 0, ""}, broker_.now);
  EXPECT_THAT(b_.delivered, IsEmpty());
  EXPECT_EQ(b_.cluster().malformed(), 2u);
}

TEST_F(HistoriesTest, WithoutTheBrokerNothingIsStored) {
  Lose(a_);
  absl::Status status;
  v1::EnginePublication publication;
  publication.mutable_to()->add_groups("h:1");
  a_.cluster().Store(publication, {},
                     [&](const absl::StatusOr<HubEngine::Stored>& stored) {
                       status = stored.status();
                     });
  EXPECT_TRUE(absl::IsUnavailable(status));
}

TEST_F(HistoriesTest, AnotherStreamsOffsetsAreNoPositionsOfThisOne) {
  std::vector<std::string> log;
  const auto store = [&] {
    v1::EnginePublication publication;
    publication.mutable_to()->add_groups("h:2");
    a_.cluster().Store(
        publication, {}, [&](const absl::StatusOr<HubEngine::Stored>& stored) {
          log.push_back(stored.ok()
                            ? absl::StrCat(stored->epoch, " ", stored->offset)
                            : "failed");
        });
  };
  store();
  broker_.Replace();
  store();
  EXPECT_THAT(a_.log, Contains("renew"));
  // Nothing more until it is known which stream it is.
  store();
  EXPECT_THAT(log, ElementsAre("epoch 1", "failed"));
  Lose(a_);
  Return(a_, "another");
  store();
  EXPECT_THAT(log, ElementsAre("epoch 1", "failed", "another 1", "another 2"));
  // That does not become known.
  broker_.Replace();
  store();
  broker_.Advance(Histories::kDoubt);
  EXPECT_EQ(log.size(), 5u);
  EXPECT_EQ(log.back(), "failed");
}

class RecoveryTest : public HistoriesTest {
 protected:
  // What a client on `node` gets that was at `offset`: "+" if nothing is
  // missing, the texts, and up to where.
  std::vector<std::string> Recover(Node& node, std::uint64_t offset,
                                   const std::string& epoch = "epoch") {
    v1::Position after;
    after.set_epoch(epoch);
    after.set_offset(offset);
    std::vector<std::string> log;
    node.cluster().Recover(
        "h:1", after, [&](const absl::StatusOr<HubEngine::Recovery>& recovery) {
          if (!recovery.ok()) {
            log.emplace_back("failed");
            return;
          }
          log.emplace_back(recovery->is_recovered ? "+" : "-");
          for (const SharedPublication& each : recovery->missed) {
            log.push_back(each->payload().text());
          }
          log.push_back(std::to_string(recovery->position.offset()));
        });
    return log;
  }
};

TEST_F(RecoveryTest, WhatTheGatewayHasSeenCostsNoQuestion) {
  Store("one");
  Store("two");
  const int before = a_.fetches;
  EXPECT_THAT(Recover(a_, 0), ElementsAre("+", "one", "two", "2"));
  EXPECT_THAT(Recover(a_, 1), ElementsAre("+", "two", "2"));
  EXPECT_THAT(Recover(a_, 2), ElementsAre("+", "2"));
  EXPECT_EQ(a_.fetches, before);
}

TEST_F(RecoveryTest, WhatANewGatewayHasNotSeenIsFetchedOnce) {
  for (const char* text : {"one", "two", "three"}) Store(text);
  Node c(broker_, "c");
  c.cluster().OnInterest(HubScope::kGroup, "h:1", true);
  EXPECT_THAT(Recover(c, 1), ElementsAre("+", "two", "three", "3"));
  const int before = c.fetches;
  EXPECT_THAT(Recover(c, 1), ElementsAre("+", "two", "three", "3"));
  EXPECT_THAT(Recover(c, 2), ElementsAre("+", "three", "3"));
  EXPECT_EQ(c.fetches, before);
}

TEST_F(RecoveryTest, WhatIsNotStoredAnyMoreIsNotRecovered) {
  Store("one");
  Store("two");
  broker_.DeleteAll();
  Store("three");
  Node c(broker_, "c");
  c.cluster().OnInterest(HubScope::kGroup, "h:1", true);
  EXPECT_THAT(Recover(c, 1), ElementsAre("-", "3"));
  EXPECT_THAT(Recover(c, 3), ElementsAre("+", "3"));
  // Others have it still.
  EXPECT_THAT(Recover(a_, 1), ElementsAre("+", "two", "three", "3"));
}

TEST_F(RecoveryTest, WhereNothingWasStoredAnyMoreNothingOlderIsKnown) {
  for (const char* text : {"one", "two", "three"}) Store(text);
  broker_.DeleteAll();
  Node c(broker_, "c");
  c.cluster().OnInterest(HubScope::kGroup, "h:1", true);
  std::vector<std::string> log;
  v1::Position after;
  after.set_epoch("epoch");
  after.set_offset(1);
  c.cluster().Recover("h:1", after,
                      [&](const absl::StatusOr<HubEngine::Recovery>& recovery) {
                        log.push_back(recovery->is_recovered ? "+" : "-");
                      });
  Store("four");
  EXPECT_THAT(log, ElementsAre("-"));
  EXPECT_THAT(Recover(c, 2), ElementsAre("-", "4"));
  EXPECT_THAT(Recover(c, 3), ElementsAre("+", "four", "4"));
  EXPECT_THAT(Recover(a_, 1), ElementsAre("+", "two", "three", "four", "4"));
  // Of one that was there when the group was empty.
  EXPECT_THAT(Recover(c, 0), ElementsAre("+", "four", "4"));
}

TEST_F(RecoveryTest, AnotherEpochIsNotRecovered) {
  Store("one");
  EXPECT_THAT(Recover(a_, 1, "another"), ElementsAre("-", "1"));
}

TEST_F(RecoveryTest, BehindAGapNothingOlderIsKnown) {
  Store("one");
  Lose(b_);
  Store("two");
  broker_.DeleteAll();
  Store("three");
  Return(b_);
  EXPECT_THAT(Recover(b_, 1), ElementsAre("-", "3"));
  EXPECT_THAT(Recover(b_, 3), ElementsAre("+", "3"));
}

TEST_F(RecoveryTest, AClientThatIsAheadWaitsForTheGateway) {
  Store("one");
  b_.is_deaf = true;
  Store("two");
  std::vector<std::string> log;
  v1::Position after;
  after.set_epoch("epoch");
  after.set_offset(2);
  b_.cluster().Recover(
      "h:1", after, [&](const absl::StatusOr<HubEngine::Recovery>& recovery) {
        log.push_back(recovery->is_recovered ? "+" : "-");
      });
  EXPECT_THAT(log, IsEmpty());
  b_.is_deaf = false;
  Store("three");
  EXPECT_THAT(log, ElementsAre("+"));
  // A position that is nobody's.
  after.set_offset(1000);
  b_.cluster().Recover(
      "h:1", after, [&](const absl::StatusOr<HubEngine::Recovery>& recovery) {
        log.push_back(recovery->is_recovered ? "+" : "-");
      });
  broker_.Advance(Histories::kPatience + absl::Seconds(1));
  EXPECT_THAT(log, ElementsAre("+", "-"));
}

TEST_F(RecoveryTest, WithoutTheBrokerItIsAskedForAgain) {
  Store("one");
  Lose(b_);
  std::vector<std::string> log;
  b_.cluster().Recover(
      "h:1", std::nullopt,
      [&](const absl::StatusOr<HubEngine::Recovery>& recovery) {
        log.emplace_back(recovery.status().code() ==
                                 absl::StatusCode::kUnavailable
                             ? "unavailable"
                             : "known");
      });
  broker_.Advance(Histories::kPatience + absl::Seconds(1));
  EXPECT_THAT(log, ElementsAre("unavailable"));
}

TEST_F(RecoveryTest, AGroupWithoutMembersEndsWhatWaits) {
  Store("one");
  Lose(b_);
  bool has_ended = false;
  b_.cluster().Recover(
      "h:1", std::nullopt,
      [&](const absl::StatusOr<HubEngine::Recovery>& recovery) {
        has_ended = !recovery.ok();
      });
  b_.cluster().OnInterest(HubScope::kGroup, "h:1", false);
  broker_.Advance(Cluster::kLinger + absl::Seconds(1));
  EXPECT_TRUE(has_ended);
  v1::Position after;
  b_.cluster().Recover(
      "h:1", after, [&](const absl::StatusOr<HubEngine::Recovery>& recovery) {
        has_ended = absl::IsFailedPrecondition(recovery.status());
      });
  EXPECT_TRUE(has_ended);
}

// --- Pages ---

class ReadTest : public HistoriesTest {
 protected:
  absl::StatusOr<HubEngine::Page> Read(const std::string& group,
                                       std::optional<std::uint64_t> after = {},
                                       const std::string& epoch = "epoch") {
    std::optional<v1::Position> position;
    if (after) {
      position.emplace();
      position->set_epoch(epoch);
      position->set_offset(*after);
    }
    absl::StatusOr<HubEngine::Page> page = absl::UnknownError("no answer");
    b_.cluster().Read(
        group, position, 10,
        [&](const absl::StatusOr<HubEngine::Page>& result) { page = result; });
    return page;
  }
  static std::vector<std::string> TextsOf(const HubEngine::Page& page) {
    std::vector<std::string> texts;
    for (const HubEngine::Page::Entry& entry : page.entries) {
      texts.push_back(entry.publication->payload().text());
    }
    return texts;
  }
};

TEST_F(ReadTest, APageHasPublicationsAndTheirOffsets) {
  Store("one");
  Store("two");
  Store("three");
  const absl::StatusOr<HubEngine::Page> page = Read("h:1", 1);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(TextsOf(*page), ElementsAre("two", "three"));
  EXPECT_EQ(page->entries[0].offset, 2u);
  EXPECT_EQ(page->top.epoch(), "epoch");
  EXPECT_EQ(page->top.offset(), 3u);
  EXPECT_TRUE(page->is_complete);
}

TEST_F(ReadTest, WhatAnotherEpochSaysCountsForNothing) {
  Store("one");
  Store("two");
  const absl::StatusOr<HubEngine::Page> page = Read("h:1", 1, "another");
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(TextsOf(*page), ElementsAre("one", "two"));
  EXPECT_FALSE(page->is_complete);
}

TEST_F(ReadTest, TheGroupNeedsNoMembersButAHistory) {
  EXPECT_TRUE(Read("h:2").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Read("live:1").status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(Read("h:" + std::string(1000, 'x')).status()));
}

TEST_F(ReadTest, WithoutNatsThereIsNothingToRead) {
  Lose(b_);
  EXPECT_TRUE(absl::IsUnavailable(Read("h:1").status()));
}

TEST_F(ReadTest, SoManyAtATime) {
  b_.is_slow = true;
  std::vector<absl::Status> ends;
  const auto read = [&] {
    b_.cluster().Read("h:1", {}, 1,
                      [&](const absl::StatusOr<HubEngine::Page>& page) {
                        ends.push_back(page.status());
                      });
  };
  for (std::size_t i = 0; i < Cluster::kMostReads; ++i) read();
  EXPECT_THAT(ends, IsEmpty());
  read();
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_TRUE(absl::IsResourceExhausted(ends[0]));
  b_.AnswerFetches();
  EXPECT_EQ(ends.size(), Cluster::kMostReads + 1);
  EXPECT_TRUE(Read("h:1").ok());
}

TEST_F(ReadTest, AStreamThatIsReplacedMeanwhileHasNoPage) {
  Store("one");
  b_.is_slow = true;
  absl::Status end;
  b_.cluster().Read("h:1", {}, 1,
                    [&](const absl::StatusOr<HubEngine::Page>& page) {
                      end = page.status();
                    });
  Lose(b_);
  Return(b_, "another");
  b_.AnswerFetches();
  EXPECT_TRUE(absl::IsUnavailable(end)) << end;
}

}  // namespace
}  // namespace headgate
