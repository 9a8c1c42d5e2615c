#include "cmd/headgate/bench/ledger.h"

#include <cstdint>
#include <deque>
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
using ::testing::Optional;

// One thread with its ledger and accounts.
class LedgerTest : public testing::Test {
 protected:
  void Begin(const LoadOptions& options, const LoadPlan& plan) {
    options_ = options;
    ledger_.emplace(options_, Share{}, counts_);
    ledger_->set_message_bytes(10);
    ledger_->Begin(plan);
    for (std::size_t i = 0; i < options.connections; ++i) {
      accounts_.emplace_back(i);
      ledger_->Enter(accounts_.back());
    }
  }

  // "connection: messages that it sends" for all that is due by `now`.
  std::vector<std::string> Due(std::int64_t now) {
    std::vector<std::string> sent;
    while (const auto due = ledger_->TakeDue(now)) {
      sent.push_back(
          absl::StrCat(due->connection, ": ",
                       ledger_->OnDue(accounts_[due->connection], due->at_ns)));
    }
    return sent;
  }

  LoadOptions options_;
  LoadCounts counts_;
  std::optional<Ledger> ledger_;
  std::deque<Ledger::Account> accounts_;
};

// ---- Closed loop

TEST_F(LedgerTest, ClosedLoopKeepsSoManyOutstanding) {
  Begin({.connections = 1, .in_flight = 3}, {});
  EXPECT_EQ(ledger_->OnStart(accounts_[0], 100), 3u);
  EXPECT_THAT(ledger_->OnAnswers(accounts_[0], 2, 150), Optional(2u));
  EXPECT_EQ(ledger_->outstanding(), 3u);
  EXPECT_EQ(counts_.messages, 2u);
  EXPECT_EQ(counts_.latency.max(), 50);
  EXPECT_EQ(counts_.bytes_sent, 50u);
}

TEST_F(LedgerTest, LatencyIsThatOfTheOldestMessageFirst) {
  Begin({.connections = 1, .in_flight = 2}, {});
  ledger_->OnStart(accounts_[0], 0);
  ledger_->OnAnswers(accounts_[0], 1, 10);  // Sent at 0, the next one at 10.
  ledger_->OnAnswers(accounts_[0], 1, 30);  // 0
  ledger_->OnAnswers(accounts_[0], 1, 70);  // 10
  EXPECT_EQ(counts_.latency.min(), 10);
  EXPECT_EQ(counts_.latency.Percentile(50), 30);
  EXPECT_EQ(counts_.latency.max(), 60);
}

TEST_F(LedgerTest, AnswersBeforeAndAfterTheWindowAreNotCounted) {
  Begin({.connections = 1, .in_flight = 1},
        {.end_ns = 200, .count_from_ns = 100, .count_until_ns = 200});
  ledger_->OnStart(accounts_[0], 0);
  for (const std::int64_t time : {99, 100, 199, 200}) {
    ledger_->OnAnswers(accounts_[0], 1, time);
    ledger_->OnBytesReceived(7, time);
  }
  EXPECT_EQ(counts_.messages, 2u);
  EXPECT_EQ(counts_.latency.count(), 2u);
  EXPECT_EQ(counts_.bytes_received, 14u);
  EXPECT_EQ(counts_.bytes_sent, 20u);
}

TEST_F(LedgerTest, NothingIsSentAfterStopSending) {
  Begin({.connections = 1, .in_flight = 1}, {});
  ledger_->OnStart(accounts_[0], 0);
  ledger_->StopSending();
  EXPECT_THAT(ledger_->OnAnswers(accounts_[0], 1, 10), Optional(0u));
}

TEST_F(LedgerTest, MoreAnswersThanMessagesAreAFault) {
  Begin({.connections = 1, .in_flight = 2}, {});
  ledger_->OnStart(accounts_[0], 0);
  EXPECT_EQ(ledger_->OnAnswers(accounts_[0], 3, 10), std::nullopt);
}

TEST_F(LedgerTest, MessagesAreDealtOutAndEnd) {
  Begin({.connections = 2, .in_flight = 2}, {.messages = 5});
  EXPECT_EQ(ledger_->OnStart(accounts_[0], 0), 2u);
  EXPECT_EQ(ledger_->OnStart(accounts_[1], 0), 2u);
  EXPECT_THAT(ledger_->OnAnswers(accounts_[0], 2, 1), Optional(1u));
  EXPECT_THAT(ledger_->OnAnswers(accounts_[1], 2, 1), Optional(0u));
  EXPECT_FALSE(ledger_->IsFinished());
  EXPECT_THAT(ledger_->OnAnswers(accounts_[0], 1, 2), Optional(0u));
  EXPECT_TRUE(ledger_->IsFinished());
  EXPECT_EQ(counts_.messages, 5u);
}

TEST_F(LedgerTest, FewerMessagesThanConnections) {
  Begin({.connections = 3, .in_flight = 4}, {.messages = 2});
  EXPECT_EQ(ledger_->OnStart(accounts_[0], 0), 1u);
  EXPECT_EQ(ledger_->OnStart(accounts_[1], 0), 1u);
  EXPECT_EQ(ledger_->OnStart(accounts_[2], 0), 0u);
}

TEST_F(LedgerTest, WhatAConnectionThatIsGoneHadToSendIsNotAwaited) {
  Begin({.connections = 2, .in_flight = 1}, {.messages = 10});
  ledger_->OnStart(accounts_[0], 0);
  ledger_->OnStart(accounts_[1], 0);
  ledger_->Leave(accounts_[1]);
  EXPECT_EQ(ledger_->outstanding(), 1u);
  for (int i = 0; i < 5; ++i) ledger_->OnAnswers(accounts_[0], 1, 1);
  EXPECT_TRUE(ledger_->IsFinished());
}

TEST_F(LedgerTest, ARunFillsUpWhatTheOneBeforeLeftOutstanding) {
  Begin({.connections = 1, .in_flight = 3}, {});
  ledger_->OnStart(accounts_[0], 0);
  ledger_->StopSending();
  ledger_->OnAnswers(accounts_[0], 1, 1);
  ledger_->End(accounts_[0]);
  ledger_->Begin({});
  ledger_->Enter(accounts_[0]);
  EXPECT_EQ(ledger_->OnStart(accounts_[0], 2), 1u);
}

// ---- Open loop

TEST_F(LedgerTest, OpenLoopSendsWhatIsDueInTurn) {
  Begin({.connections = 2, .in_flight = 10, .rate = 1e8}, {});  // Every 10 ns.
  EXPECT_THAT(Due(0), ElementsAre("0: 1"));
  EXPECT_THAT(Due(9), IsEmpty());
  EXPECT_EQ(ledger_->NextDueNs(), 10);
  EXPECT_THAT(Due(30), ElementsAre("1: 1", "0: 1", "1: 1"));
  EXPECT_EQ(ledger_->NextDueNs(), 40);
}

// No coordinated omission: who is sent late has waited since it was due.
TEST_F(LedgerTest, LatencyCountsFromWhenAMessageWasDue) {
  Begin({.connections = 1, .in_flight = 10, .rate = 1e8}, {});
  EXPECT_THAT(Due(25), ElementsAre("0: 1", "0: 1", "0: 1"));
  ledger_->OnAnswers(accounts_[0], 3, 100);
  EXPECT_EQ(counts_.latency.max(), 100);
  EXPECT_EQ(counts_.latency.Percentile(50), 90);
  EXPECT_EQ(counts_.latency.min(), 80);
  EXPECT_EQ(counts_.late, 0u);
}

TEST_F(LedgerTest, WhatIsOverTheBoundIsSentLateAndCountsSinceItWasDue) {
  Begin({.connections = 1, .in_flight = 2, .rate = 1e8}, {});
  EXPECT_THAT(Due(30), ElementsAre("0: 1", "0: 1", "0: 0", "0: 0"));
  EXPECT_EQ(counts_.late, 2u);
  EXPECT_THAT(ledger_->OnAnswers(accounts_[0], 2, 50), Optional(2u));
  ledger_->OnAnswers(accounts_[0], 2, 60);
  EXPECT_EQ(counts_.latency.count(), 4u);
  EXPECT_EQ(counts_.latency.min(), 30);  // Due at 30, answered at 60.
  EXPECT_EQ(counts_.latency.max(), 50);
}

TEST_F(LedgerTest, MessagesDueInTheWindowCountWhenTheirAnswersComeAfterIt) {
  Begin({.connections = 1, .in_flight = 10, .rate = 1e8},
        {.end_ns = 30, .count_from_ns = 10, .count_until_ns = 30});
  EXPECT_EQ(Due(100).size(), 3u);  // At 0, 10 and 20.
  ledger_->OnAnswers(accounts_[0], 1, 5);
  ledger_->OnAnswers(accounts_[0], 1, 25);
  ledger_->OnAnswers(accounts_[0], 1, 35);
  EXPECT_EQ(counts_.messages, 1u);
  EXPECT_EQ(counts_.latency.count(), 2u);
}

TEST_F(LedgerTest, TellsWhatWasNotAnsweredAndNotSent) {
  Begin({.connections = 1, .in_flight = 2, .rate = 1e8},
        {.end_ns = 50, .count_from_ns = 10, .count_until_ns = 50});
  Due(100);  // At 0, 10 to 40, the first two of which are sent.
  ledger_->StopSending();
  ledger_->End(accounts_[0]);
  EXPECT_EQ(counts_.unanswered, 1u);
  EXPECT_EQ(counts_.unsent, 3u);
  EXPECT_EQ(counts_.late, 3u);
}

TEST_F(LedgerTest, WhatIsLeftBehindIsCountedOnce) {
  Begin({.connections = 1, .in_flight = 1, .rate = 1e8},
        {.end_ns = 20, .count_until_ns = 20});
  Due(100);
  ledger_->StopSending();
  ledger_->End(accounts_[0]);
  ledger_->Leave(accounts_[0]);
  EXPECT_EQ(counts_.unanswered, 1u);
  EXPECT_EQ(counts_.unsent, 1u);
  EXPECT_EQ(ledger_->outstanding(), 0u);
}

TEST_F(LedgerTest, OpenLoopEndsWithItsMessages) {
  Begin({.connections = 1, .in_flight = 1, .rate = 1e8}, {.messages = 2});
  EXPECT_THAT(Due(1000), ElementsAre("0: 1", "0: 0"));
  EXPECT_EQ(ledger_->NextDueNs(), kNeverNs);
  EXPECT_THAT(ledger_->OnAnswers(accounts_[0], 1, 1000), Optional(1u));
  EXPECT_FALSE(ledger_->IsFinished());
  ledger_->OnAnswers(accounts_[0], 1, 1001);
  EXPECT_TRUE(ledger_->IsFinished());
}

TEST_F(LedgerTest, OpenLoopForgetsAConnectionThatIsGone) {
  Begin({.connections = 2, .in_flight = 1, .rate = 1e8}, {.messages = 4});
  Due(1000);
  ledger_->Leave(accounts_[1]);
  ledger_->OnAnswers(accounts_[0], 1, 1000);
  ledger_->OnAnswers(accounts_[0], 1, 1000);
  EXPECT_TRUE(ledger_->IsFinished());
  EXPECT_EQ(counts_.unanswered, 1u);
  EXPECT_EQ(counts_.unsent, 1u);
}

// ---- Waiting

TEST_F(LedgerTest, WaitsSinceTheLastAnswerOrTheFirstMessageAfterIt) {
  Begin({.connections = 1, .in_flight = 1, .rate = 1}, {});
  Due(0);
  ledger_->OnAnswers(accounts_[0], 1, 500);
  EXPECT_EQ(ledger_->waiting_since_ns(), 500);
  Due(1'000'000'000);
  EXPECT_EQ(ledger_->waiting_since_ns(), 1'000'000'000);
}

TEST(ShareTest, SharesAddUp) {
  EXPECT_EQ((Share{0, 3}.Of(7)), 3u);
  EXPECT_EQ((Share{1, 3}.Of(7)), 2u);
  EXPECT_EQ((Share{2, 3}.Of(7)), 2u);
  EXPECT_EQ((Share{2, 3}.Of(0)), 0u);
}

TEST(TimeQueueTest, IsFirstInFirstOutWhileItGrows) {
  TimeQueue queue;
  std::int64_t next = 0;
  for (std::int64_t i = 0; i < 1000; ++i) {
    queue.Push(2 * i);
    queue.Push(2 * i + 1);
    EXPECT_EQ(queue.Pop(), next++);
  }
  EXPECT_EQ(queue.size(), 1000u);
  while (queue.size() > 0) EXPECT_EQ(queue.Pop(), next++);
  EXPECT_EQ(next, 2000);
}

}  // namespace
}  // namespace headgate
