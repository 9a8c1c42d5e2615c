#include "gateway/hub/pinned_frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/ws/shared_frame.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::size_t kLimit = 800;

using Log = std::vector<std::string>;

// A session whose connection takes everything, or nothing.
class FakeHolder final : public PinnedFrames::Holder {
 public:
  FakeHolder(std::string name, PinnedFrames& pinned, Log& log)
      : name_(std::move(name)), pinned_(pinned), log_(log) {}

  void Get(ws::FrameRef frame) {
    queue_.push_back(std::move(frame));
    pinned_.Hold(*this);
  }
  void Get(std::size_t bytes) {
    Get(ws::FrameRef(std::string(bytes, 'x'), pinned_.count()));
  }

  std::size_t pinned_bytes() const override {
    std::size_t bytes = 0;
    for (const ws::FrameRef& frame : queue_) bytes += frame.size();
    return bytes;
  }
  void SendPinned() override {
    log_.push_back("send " + name_);
    if (takes_) Empty();
  }
  void EndPinned() override {
    log_.push_back("end " + name_);
    if (on_end_ != nullptr) *on_end_ = nullptr;
    Empty();
  }
  void Empty() {
    queue_.clear();
    pinned_.Release(*this);
  }

  bool takes_ = false;
  std::unique_ptr<FakeHolder>* on_end_ = nullptr;  // Is destroyed then.

 private:
  const std::string name_;
  PinnedFrames& pinned_;
  Log& log_;
  std::vector<ws::FrameRef> queue_;
};

class PinnedFramesTest : public ::testing::Test {
 protected:
  // What Check does.
  Log Check() {
    pinned_.Check();
    return std::exchange(log_, {});
  }

  Log log_;
  PinnedFrames pinned_{kLimit};
  FakeHolder a_{"a", pinned_, log_};
  FakeHolder b_{"b", pinned_, log_};
  FakeHolder c_{"c", pinned_, log_};
};

TEST_F(PinnedFramesTest, NothingHappensUpToTheLimit) {
  a_.Get(500);
  b_.Get(300);
  EXPECT_EQ(pinned_.bytes(), kLimit);
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(PinnedFramesTest, ThoseThatHoldMostAreEndedUntilAnEighthIsFree) {
  a_.Get(150);
  b_.Get(500);
  c_.Get(300);
  EXPECT_THAT(Check(), ElementsAre("send b", "send c", "send a", "end b"));
  EXPECT_EQ(pinned_.bytes(), 450u);
  b_.Get(260);
  a_.Get(160);
  EXPECT_THAT(Check(), ElementsAre("send a", "send c", "send b", "end a"));
  EXPECT_EQ(pinned_.bytes(), 560u);
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(PinnedFramesTest, WhatAHealthySocketTakesEndsNobody) {
  a_.takes_ = true;
  a_.Get(5000);
  b_.Get(200);
  EXPECT_THAT(Check(), ElementsAre("send a"));
  EXPECT_EQ(pinned_.bytes(), 200u);
}

// Also where it holds less than those that are stuck.
TEST_F(PinnedFramesTest, AHealthySocketSendsBeforeOthersAreEnded) {
  a_.takes_ = true;
  a_.Get(200);
  b_.Get(350);
  c_.Get(300);
  EXPECT_THAT(Check(), ElementsAre("send b", "send c", "send a"));
  EXPECT_EQ(pinned_.bytes(), 650u);
}

TEST_F(PinnedFramesTest, AFrameThatWaitsForManyCountsOnce) {
  const ws::FrameRef frame(std::string(500, 'x'), pinned_.count());
  for (FakeHolder* session : {&a_, &b_, &c_}) session->Get(frame);
  EXPECT_EQ(pinned_.bytes(), 500u);
  EXPECT_THAT(Check(), IsEmpty());
}

// As where connections that are closing have the rest.
TEST_F(PinnedFramesTest, WhatEndingDoesNotFreeIsLookedAtWhenItHasGrown) {
  const ws::FrameRef outbox(std::string(kLimit, 'x'), pinned_.count());
  a_.Get(150);
  EXPECT_THAT(Check(), ElementsAre("send a", "end a"));
  EXPECT_EQ(pinned_.bytes(), kLimit);
  a_.Get(50);
  b_.Get(50);
  EXPECT_THAT(Check(), IsEmpty());  // An eighth.
  b_.Get(1);
  EXPECT_THAT(Check(), ElementsAre("send b", "send a", "end b"));
  EXPECT_EQ(pinned_.bytes(), kLimit + 50);
}

TEST_F(PinnedFramesTest, ThereIsNoUseInEndingThoseThatHoldLittle) {
  const ws::FrameRef outbox(std::string(2 * kLimit, 'x'), pinned_.count());
  a_.Get(99);
  EXPECT_THAT(Check(), ElementsAre("send a"));
  EXPECT_EQ(pinned_.bytes(), 2 * kLimit + 99);
}

TEST_F(PinnedFramesTest, TheGrowthCountsFromTheLeastThatItWas) {
  auto outbox = std::make_unique<ws::FrameRef>(std::string(2 * kLimit, 'x'),
                                               pinned_.count());
  EXPECT_THAT(Check(), IsEmpty());
  outbox.reset();
  EXPECT_THAT(Check(), IsEmpty());
  a_.Get(kLimit + 1);
  EXPECT_THAT(Check(), ElementsAre("send a", "end a"));
}

TEST_F(PinnedFramesTest, AnEndMayDestroyAnotherSession) {
  auto other = std::make_unique<FakeHolder>("other", pinned_, log_);
  a_.on_end_ = &other;
  a_.Get(600);
  other->Get(500);
  b_.Get(400);
  c_.Get(350);
  EXPECT_THAT(Check(), ElementsAre("send a", "send other", "send b", "send c",
                                   "end a", "end b"));
  EXPECT_EQ(pinned_.bytes(), 350u);
}

TEST_F(PinnedFramesTest, HoldersAndFramesMayOutliveIt) {
  auto pinned = std::make_unique<PinnedFrames>(kLimit);
  auto session = std::make_unique<FakeHolder>("x", *pinned, log_);
  session->Get(10);
  pinned.reset();
  session.reset();
  EXPECT_THAT(log_, IsEmpty());
}

}  // namespace
}  // namespace headgate
