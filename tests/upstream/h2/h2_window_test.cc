// How far the windows of streams open: enough for a backend that is far away.

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

class H2WindowTest : public H2WireFixture {
 protected:
  static constexpr std::int64_t kWindow = 64 * 1024;
  static constexpr std::int64_t kMaxGrowth = 4 * 1024 * 1024;
  static constexpr std::chrono::milliseconds kLong{500};

  // A call on a connection whose SETTINGS are acknowledged after `round_trip`.
  WireCall& OpenOver(std::chrono::milliseconds round_trip) {
    server_.set_acknowledges(false);
    WireCall& call = Open();
    Pass(round_trip);
    peer().Send(h2::Frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "") +
                h2::Head(1));
    return call;
  }
  void Pass(std::chrono::milliseconds time) {
    const auto work = boost::asio::make_work_guard(worker_);
    worker_.restart();
    worker_.run_for(time);
  }
  // What the server may send on a stream by now.
  std::int64_t Window(int id = 1) {
    return kWindow + peer().WindowGiven(id) - sent_[id];
  }
  // Sends a message of 16 KiB, and waits until it is taken.
  void SendOne(WireCall& call, int id = 1) {
    constexpr std::size_t kBytes = 16 * 1024;
    const std::size_t before = call.messages.size();
    peer().Send(
        h2::Message(id, std::string(kBytes - kMessagePrefixBytes, 'x')));
    sent_[id] += kBytes;
    ASSERT_TRUE(RunUntil([&] { return call.messages.size() > before; }));
  }

  std::map<int, std::int64_t> sent_;
};

TEST_F(H2WindowTest, OfABackendFarAwayGrowsUpToALimit) {
  WireCall& call = OpenOver(kLong);
  std::int64_t widest = 0;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_NO_FATAL_FAILURE(SendOne(call));
    widest = std::max(widest, Window());
  }
  EXPECT_GT(widest, kMaxGrowth / 2);
  EXPECT_LE(widest, kWindow + kMaxGrowth);
}

TEST_F(H2WindowTest, OfABackendNearbyStays) {
  WireCall& call = OpenOver(std::chrono::milliseconds(0));
  for (int i = 0; i < 6; ++i) {
    ASSERT_NO_FATAL_FAILURE(SendOne(call));
    ASSERT_NO_FATAL_FAILURE(SendOne(call));
    Pass(kLong);
    EXPECT_LE(Window(), kWindow);
  }
}

// What a stream has grown by is there for others once it has ended.
TEST_F(H2WindowTest, GrowsForOneStreamAfterTheOther) {
  WireCall& first = OpenOver(kLong);
  for (int i = 0; i < 1000; ++i) ASSERT_NO_FATAL_FAILURE(SendOne(first));
  first.Destroy();
  WireCall& second = Open();
  peer().Send(h2::Head(3));
  for (int i = 0; i < 20; ++i) ASSERT_NO_FATAL_FAILURE(SendOne(second, 3));
  EXPECT_GT(Window(3), 2 * kWindow);
}

}  // namespace
}  // namespace headgate
