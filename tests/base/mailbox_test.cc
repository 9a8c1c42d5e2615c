#include "gateway/base/mailbox.h"

#include <cstddef>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using Put = Mailbox<std::string>::Put;

bool Never() { return false; }
bool AtOnce() { return true; }

class MailboxTest : public ::testing::Test {
 protected:
  template <typename IsOver>
  bool Read(IsOver is_over) {
    return mailbox_.ReadSlice(
        [this](std::string element) { log_.push_back(std::move(element)); },
        is_over);
  }

  Mailbox<std::string> mailbox_{/*max_bytes=*/10};
  std::vector<std::string> log_;
};

TEST_F(MailboxTest, TheReaderIsToldOnceForAllThatHasCome) {
  EXPECT_EQ(mailbox_.Add("a", 1), Put::kFirst);
  EXPECT_EQ(mailbox_.Add("b", 1), Put::kBehindOthers);
  EXPECT_EQ(mailbox_.Add("c", 1), Put::kBehindOthers);
  EXPECT_FALSE(Read(Never));
  EXPECT_THAT(log_, ElementsAre("a", "b", "c"));
  EXPECT_EQ(mailbox_.Add("d", 1), Put::kFirst);
}

TEST_F(MailboxTest, ASliceReadsOneAndLeavesTheRestToTheNext) {
  mailbox_.Add("a", 1);
  mailbox_.Add("b", 1);
  EXPECT_TRUE(Read(AtOnce));
  EXPECT_THAT(log_, ElementsAre("a"));
  // The reader has not finished, and comes by itself.
  EXPECT_EQ(mailbox_.Add("c", 1), Put::kBehindOthers);
  EXPECT_TRUE(Read(AtOnce));
  EXPECT_FALSE(Read(AtOnce));
  EXPECT_THAT(log_, ElementsAre("a", "b", "c"));
}

TEST_F(MailboxTest, WhatExceedsTheLimitIsDroppedAndTheRestIsNot) {
  EXPECT_EQ(mailbox_.Add("a", 6), Put::kFirst);
  EXPECT_EQ(mailbox_.Add("b", 5), Put::kFull);
  EXPECT_EQ(mailbox_.Add("c", 4), Put::kBehindOthers);
  EXPECT_EQ(mailbox_.Add("d", 1), Put::kFull);
  EXPECT_TRUE(Read(AtOnce));
  EXPECT_EQ(mailbox_.Add("e", 6), Put::kBehindOthers);
  EXPECT_FALSE(Read(Never));
  EXPECT_THAT(log_, ElementsAre("a", "c", "e"));
}

TEST_F(MailboxTest, WhatComesWhileTheLastIsReadIsToldAgain) {
  mailbox_.Add("a", 1);
  Put put = Put::kFull;
  EXPECT_FALSE(mailbox_.ReadSlice(
      [&](const std::string&) { put = mailbox_.Add("b", 1); }, Never));
  EXPECT_EQ(put, Put::kFirst);
}

TEST(MailboxThreadsTest, WhatEachThreadAddsIsReadOnceAndInItsOrder) {
  constexpr int kCount = 10000;
  Mailbox<int> mailbox(/*max_bytes=*/2 * kCount);
  std::vector<int> odd, even;
  const auto write = [&mailbox](int first) {
    for (int i = first; i < kCount; i += 2) mailbox.Add(i, 1);
  };
  std::thread one(write, 0), two(write, 1);
  while (odd.size() + even.size() < kCount) {
    // An element of its own, so that there is always one to read.
    mailbox.Add(-1, 0);
    mailbox.ReadSlice(
        [&](int element) {
          if (element < 0) return;
          (element % 2 == 0 ? even : odd).push_back(element);
        },
        Never);
  }
  one.join();
  two.join();
  for (std::size_t i = 0; i < even.size(); ++i) {
    ASSERT_EQ(even[i], static_cast<int>(2 * i));
    ASSERT_EQ(odd[i], static_cast<int>(2 * i + 1));
  }
}

}  // namespace
}  // namespace headgate
