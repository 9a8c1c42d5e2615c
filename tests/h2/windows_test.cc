#include "gateway/h2/windows.h"

#include <chrono>

#include <gtest/gtest.h>

namespace headgate::h2 {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kKiB = 1024;

class ReceiveWindowsTest : public ::testing::Test {
 protected:
  // A round trip of so long is measured.
  void Measure(milliseconds round_trip) {
    windows_.round_trip().OnData();
    windows_.round_trip().Start(now_);
    windows_.round_trip().Stop(now_ += round_trip);
  }
  // How much is given back when so much was taken.
  std::size_t Take(StreamWindow& stream, std::size_t bytes) {
    return windows_.Take(stream, bytes, &may_grow_);
  }
  // Half the window is taken at once, twice; by how much it grows.
  std::size_t Fill(StreamWindow& stream) {
    std::size_t grown = 0;
    for (int i = 0; i < 2; ++i) {
      Take(stream, windows_.size_of(stream) / 2);
      if (may_grow_) grown += windows_.Grow(stream, now_).bytes;
    }
    return grown;
  }

  Time now_{seconds(1000)};
  ReceiveWindows windows_{64 * kKiB};
  StreamWindow stream_;
  bool may_grow_ = false;
};

TEST_F(ReceiveWindowsTest, IsAtLeastHttp2s) {
  EXPECT_EQ(ReceiveWindows(1).initial_bytes(), 64 * kKiB);
  EXPECT_EQ(ReceiveWindows(100 * kKiB).initial_bytes(), 100 * kKiB);
}

TEST_F(ReceiveWindowsTest, NearbyItIsGivenBackByHalves) {
  EXPECT_EQ(Take(stream_, 32 * kKiB - 1), 0u);
  EXPECT_EQ(Take(stream_, 1), 32 * kKiB);
  EXPECT_EQ(Take(stream_, 32 * kKiB), 32 * kKiB);
  EXPECT_FALSE(may_grow_);
}

TEST_F(ReceiveWindowsTest, FarAwayByEighths) {
  Measure(milliseconds(50));
  EXPECT_EQ(Take(stream_, 8 * kKiB - 1), 0u);
  EXPECT_EQ(Take(stream_, 1), 8 * kKiB);
}

TEST_F(ReceiveWindowsTest, GrowsWithEachMeasurement) {
  Measure(milliseconds(50));
  EXPECT_EQ(Fill(stream_), 0u);  // One alone is not enough.
  Measure(milliseconds(50));
  EXPECT_EQ(Fill(stream_), 64 * kKiB);
  EXPECT_EQ(windows_.size_of(stream_), 128 * kKiB);
  EXPECT_EQ(Fill(stream_), 0u);
}

TEST_F(ReceiveWindowsTest, AllGrowByALimitAndShareWhatIsReleased) {
  Measure(milliseconds(50));
  StreamWindow streams[6];
  for (StreamWindow& stream : streams) {
    for (int i = 0; i < 10; ++i) {
      Measure(milliseconds(50));
      Fill(stream);
    }
  }
  EXPECT_EQ(windows_.size_of(streams[0]), 1024 * kKiB);
  EXPECT_EQ(windows_.size_of(streams[3]), 1024 * kKiB);
  std::size_t growth = 0;
  for (const StreamWindow& stream : streams) growth += stream.growth_bytes;
  EXPECT_EQ(growth, 4096 * kKiB);
  windows_.Release(streams[0]);
  Measure(milliseconds(50));
  EXPECT_GT(Fill(streams[5]), 0u);
}

}  // namespace
}  // namespace headgate::h2
