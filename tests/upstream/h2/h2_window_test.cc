// How far the windows of streams open: enough for a backend that is far away,
// no farther for one that is near. And what is kept of what came through.

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "tests/upstream/h2/raw_server.h"
#include "tests/upstream/h2/wire_fixture.h"

namespace headgate {
namespace {

constexpr std::int64_t kWindow = 64 * 1024;
constexpr std::int64_t kMaxWindow = 1024 * 1024;
constexpr std::int64_t kMaxGrowth = 4 * 1024 * 1024;
constexpr std::int64_t kMessage = 16 * 1024;
// The round trip to a server that is far away.
constexpr std::chrono::milliseconds kLong{50};

// Bytes; 0 under sanitizers.
std::size_t Allocated() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

class H2WindowTest : public H2WireFixture {
 protected:
  // A call on a connection whose SETTINGS are acknowledged late.
  WireCall& OpenLate() {
    server_.set_acknowledges(false);
    WireCall& call = Open();
    Pass(kLong);
    peer().Send(h2::Frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "") +
                h2::Head(1));
    return call;
  }
  WireCall& OpenNext(int id) {
    WireCall& call = Open();
    peer().Send(h2::Head(id));
    return call;
  }
  void Pass(std::chrono::milliseconds time) {
    const auto work = boost::asio::make_work_guard(worker_);
    worker_.restart();
    worker_.run_for(time);
  }
  int Pings() { return peer().Count(NGHTTP2_PING); }
  // Answers the PINGs that have come, after `time`.
  void AnswerPings(std::chrono::milliseconds time) {
    if (Pings() == answered_) return;
    if (time.count() > 0) Pass(time);
    int seen = 0;
    for (const RawServer::Frame& frame : peer().frames()) {
      if (frame.type != NGHTTP2_PING || ++seen <= answered_) continue;
      peer().Send(h2::Frame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, frame.payload));
      ++answered_;
    }
  }
  // What the server may send on a stream by now, and what is on its way to be
  // taken.
  std::int64_t Window(int id = 1) {
    return kWindow + peer().WindowGiven(id) - sent_[id];
  }
  // Sends a message of 16 KiB, and waits until it is taken.
  void SendOne(WireCall& call, int id = 1) {
    const std::size_t before = call.messages.size();
    peer().Send(
        h2::Message(id, std::string(kMessage - kMessagePrefixBytes, 'x')));
    sent_[id] += kMessage;
    ASSERT_TRUE(RunUntil([&] { return call.messages.size() > before; }));
    call.messages.back().clear();
  }
  // Sends so much as fast as it is taken, over a round trip that is so long;
  // the widest that the window was.
  std::int64_t Widest(WireCall& call, std::int64_t bytes,
                      std::chrono::milliseconds round_trip, int id = 1) {
    std::int64_t widest = 0;
    for (; bytes > 0; bytes -= kMessage) {
      SendOne(call, id);
      if (HasFatalFailure()) break;
      widest = std::max(widest, Window(id));
      AnswerPings(round_trip);
    }
    return widest;
  }

  std::map<int, std::int64_t> sent_;
  int answered_ = 0;
};

TEST_F(H2WindowTest, OfABackendFarAwayGrowsUpToALimit) {
  WireCall& call = OpenLate();
  const std::int64_t widest = Widest(call, 6 * kMaxWindow, kLong);
  EXPECT_GT(widest, kMaxWindow / 2);
  EXPECT_LE(widest, kMaxWindow);
}

// Otherwise a part of it is always missing from the path. One message is less
// than the half after which a nearby backend gets it back.
TEST_F(H2WindowTest, OfABackendFarAwayIsGivenBackInSmallParts) {
  WireCall& call = OpenLate();
  ASSERT_NO_FATAL_FAILURE(SendOne(call));
  EXPECT_TRUE(RunUntil([&] { return peer().WindowGiven(1) >= kWindow / 8; }));
}

// On a busy machine the first answer may have been late for any reason.
TEST_F(H2WindowTest, OfABackendThatWasLateOnceStays) {
  std::int64_t widest = 0;
  // The machine may be busy now.
  for (int attempt = 0; attempt < 3; ++attempt) {
    Connect();
    sent_.clear();
    answered_ = 0;
    WireCall& call = OpenLate();
    widest = Widest(call, 2 * kMaxWindow, std::chrono::milliseconds(0));
    ASSERT_GT(Pings(), 0);
    if (widest <= kWindow) break;
  }
  EXPECT_LE(widest, kWindow);
}

// A growth without a PING's answer would rest on one measurement alone.
TEST_F(H2WindowTest, StaysWithoutAnAnswerToPings) {
  WireCall& call = OpenLate();
  for (int i = 0; i < 100; ++i) ASSERT_NO_FATAL_FAILURE(SendOne(call));
  EXPECT_LE(Window(), kWindow);
  EXPECT_EQ(Pings(), 1);
}

TEST_F(H2WindowTest, OfAStreamThatIsTakenSlowlyStays) {
  const Alarms::Clock::time_point start = Alarms::Clock::now();
  WireCall& call = OpenLate();
  ASSERT_NO_FATAL_FAILURE(SendOne(call));
  // At most: what was measured is part of it.
  const auto round_trip = std::chrono::ceil<std::chrono::milliseconds>(
      Alarms::Clock::now() - start);
  for (int i = 0; i < 4; ++i) {
    ASSERT_NO_FATAL_FAILURE(SendOne(call));
    Pass(2 * round_trip);
    ASSERT_NO_FATAL_FAILURE(SendOne(call));
    AnswerPings(kLong);
  }
  EXPECT_LE(Window(), kWindow);
  EXPECT_EQ(Pings(), 0);
}

// Who takes nothing holds what the window has let through by then.
TEST_F(H2WindowTest, OfAStreamThatIsNotReadFromStays) {
  WireCall& call = OpenLate();
  call.reads_on = false;
  ASSERT_NO_FATAL_FAILURE(SendOne(call));
  for (int i = 1; i < kWindow / kMessage; ++i) {
    peer().Send(h2::Message(1, std::string(kMessage - kMessagePrefixBytes, 0)));
  }
  Settle();
  EXPECT_LE(peer().WindowGiven(1), kMessage);
  EXPECT_EQ(Pings(), 0);
}

TEST_F(H2WindowTest, OfAllStreamsTogetherGrowUpToALimit) {
  std::int64_t growth = Widest(OpenLate(), 4 * kMaxWindow, kLong) - kWindow;
  int count = 1;
  for (; count < 6; ++count) {
    const int id = 2 * count + 1;
    growth += Widest(OpenNext(id), 4 * kMaxWindow, kLong, id) - kWindow;
  }
  EXPECT_GT(growth, kMaxGrowth / 2);
  EXPECT_LE(growth, kMaxGrowth);
}

// What a stream has grown by is there for others once it has ended.
TEST_F(H2WindowTest, GrowsForOneStreamAfterTheOther) {
  OpenLate();
  int id = 1;
  for (; id < 12; id += 2) {
    Widest(*calls_.back(), 4 * kMaxWindow, kLong, id);
    calls_.back()->Destroy();
    OpenNext(id + 2);
  }
  EXPECT_GT(Widest(*calls_.back(), 4 * kMaxWindow, kLong, id), kMaxWindow / 2);
}

// A client that takes what comes, and is always behind.
TEST_F(H2WindowTest, WhatWasTakenIsNotKept) {
  WireCall& call = Open();
  call.reads_on = false;
  const std::string message =
      h2::Message(1, std::string(kMessage - kMessagePrefixBytes, 'x'));
  peer().Send(h2::Head(1) + message + message + message);
  ASSERT_TRUE(RunUntil([&] { return call.messages.size() == 1; }));
  const std::size_t before = Allocated();
  for (int i = 0; i < 500; ++i) {
    call.messages.clear();
    peer().Send(message);
    worker_.restart();
    worker_.poll();
    call.Read();
    ASSERT_TRUE(RunUntil([&] { return !call.messages.empty(); }));
  }
  EXPECT_LT(Allocated(), before + kMaxWindow);
}

// What was under way in a window that had grown is no flood.
TEST_F(H2WindowTest, WhatCameForAStreamThatIsGoneIsNoFlood) {
  WireCall& call = OpenLate();
  Widest(call, 4 * kMaxWindow, kLong);
  const std::int64_t window = Window();
  ASSERT_GT(window, kMaxWindow / 4);
  call.Destroy();
  for (std::int64_t sent = 0; sent < window; sent += kMessage) {
    peer().Send(h2::Data(1, std::string(kMessage, 'x')));
    Settle();
  }
  EXPECT_FALSE(peer().ended());
}

}  // namespace
}  // namespace headgate
