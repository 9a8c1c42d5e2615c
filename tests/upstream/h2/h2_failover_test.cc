// Several addresses, of which some do not answer.

#include <chrono>
#include <string>

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/base/status.h"
#include "tests/upstream/black_hole.h"
#include "tests/upstream/h2/wire_fixture.h"

namespace headgate {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

using LoadBalancing = UpstreamSettings::LoadBalancing;

class H2FailoverTest : public H2WireFixture {
 protected:
  // Nothing happens by the time alone, unless a test says so.
  H2FailoverTest() {
    timing_.connect_timeout = hours(1);
    timing_.attempt_delay = hours(1);
    timing_.connect_backoff = {milliseconds(1), milliseconds(1)};
  }
  ~H2FailoverTest() override {
    calls_.clear();
    upstream_.reset();
    silent_.Close();
    for (auto& connection : silent_.connections()) connection.Close();
  }

  void ConnectTo(const std::vector<std::string>& addresses) {
    Connect(absl::StrCat("ipv4:", absl::StrJoin(addresses, ",")));
  }
  void PickFirst() {
    options_.settings.load_balancing = LoadBalancing::kPickFirst;
  }
  // Nobody listens there.
  std::string Refusing() {
    boost::asio::ip::tcp::acceptor acceptor(
        worker_, {boost::asio::ip::address_v4::loopback(), 0});
    return absl::StrCat("127.0.0.1:", acceptor.local_endpoint().port());
  }
  // Ticks until `done`.
  bool TickUntil(const std::function<bool()>& done) {
    return RunUntil([&] {
      upstream_->OnTick(now_ += absl::Milliseconds(10));
      return done();
    });
  }
  WireCall& Failed() {
    WireCall& call = Start();
    call.Read();
    EXPECT_TRUE(RunUntil([&] { return call.end.has_value(); }));
    return call;
  }

  BlackHole black_hole_{worker_};
  // It takes connections and says nothing.
  RawServer silent_{worker_, ""};
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
};

// RFC 8305 section 5.
TEST_F(H2FailoverTest, PickFirstTriesTheNextAfterAMoment) {
  PickFirst();
  timing_.attempt_delay = milliseconds(10);
  ConnectTo({black_hole_.address(), silent_.address(), server_.address()});
  Open();
  EXPECT_EQ(server_.StreamsOpened(), 1);
  // The others have lost, and are closed.
  EXPECT_EQ(upstream_->channel_count(), 1u);
  EXPECT_TRUE(RunUntil([&] { return silent_.connections().at(0).ended(); }));
  Settle();
  EXPECT_EQ(server_.connections().size(), 1u);
}

TEST_F(H2FailoverTest, PickFirstTriesTheNextAtOnceWhenOneRefuses) {
  PickFirst();
  ConnectTo({Refusing(), Refusing(), server_.address(), silent_.address()});
  Open();
  EXPECT_EQ(upstream_->channel_count(), 1u);
  EXPECT_TRUE(silent_.connections().empty());
}

// What connects and takes no call is as good as what refuses.
TEST_F(H2FailoverTest, PickFirstGoesOnWhenTheFirstIsNoHttp2Server) {
  PickFirst();
  RawServer other(worker_, "SSH-2.0-OpenSSH_9.2p1\r\n");
  ConnectTo({other.address(), server_.address()});
  Open();
  EXPECT_EQ(server_.StreamsOpened(), 1);
  other.Close();
}

TEST_F(H2FailoverTest, PickFirstPutsFurtherConnectionsWhereTheFirstIs) {
  PickFirst();
  options_.settings.max_streams_per_channel = 1;
  ConnectTo({Refusing(), server_.address(), silent_.address()});
  for (int i = 0; i < 4; ++i) Start();
  ASSERT_TRUE(RunUntil([&] { return server_.StreamsOpened() == 4; }));
  EXPECT_EQ(server_.connections().size(), 4u);
  EXPECT_EQ(upstream_->channel_count(), 4u);
  EXPECT_TRUE(silent_.connections().empty());
}

// A server may allow one call a connection, and descriptors are few.
TEST_F(H2FailoverTest, CallsWaitWhereNoFurtherConnectionIsOpened) {
  for (const auto& policy : {UpstreamSettings::LoadBalancing::kPickFirst,
                             UpstreamSettings::LoadBalancing::kRoundRobin}) {
    options_.settings.load_balancing = policy;
    options_.settings.max_streams_per_channel = 1;
    options_.max_connections = 2;
    Connect();
    const int before = server_.StreamsOpened();
    for (int i = 0; i < 3; ++i) Start();
    WireCall& first = *calls_[calls_.size() - 3];
    WireCall& last = *calls_.back();
    ASSERT_TRUE(
        RunUntil([&] { return server_.StreamsOpened() == before + 2; }));
    Settle();
    EXPECT_EQ(upstream_->channel_count(), 2u);
    EXPECT_FALSE(last.end);
    first.Destroy();
    ASSERT_TRUE(
        RunUntil([&] { return server_.StreamsOpened() == before + 3; }));
    EXPECT_EQ(upstream_->channel_count(), 2u);
    EXPECT_FALSE(last.end);
    // Those for whom there is none in time are told.
    timing_.connect_timeout = milliseconds(50);
    Connect();
    for (int i = 0; i < 3; ++i) Start();
    WireCall& late = *calls_.back();
    late.Read();
    ASSERT_TRUE(RunUntil([&] { return late.end.has_value(); }));
    EXPECT_EQ(late.end->status.code(), absl::StatusCode::kUnavailable);
    timing_ = {};
  }
}

// "pick-first stays with the first that answers", though one before it is back.
TEST_F(H2FailoverTest, PickFirstStaysWhereItIs) {
  PickFirst();
  RawServer first(worker_, "");
  timing_.attempt_delay = milliseconds(10);
  ConnectTo({first.address(), server_.address()});
  Open();
  first.set_greeting(h2::Settings());
  for (int i = 0; i < 20; ++i) {
    upstream_->OnTick(now_ += absl::Minutes(1));
    Settle();
  }
  Open();
  EXPECT_EQ(first.connections().size(), 1u);
  EXPECT_EQ(server_.StreamsOpened(), 2);
  EXPECT_FALSE(upstream_->is_failing());
  first.Close();
  for (auto& connection : first.connections()) connection.Close();
}

TEST_F(H2FailoverTest, PickFirstMovesOnWhenItsServerGoes) {
  PickFirst();
  RawServer second(worker_);
  ConnectTo({server_.address(), second.address()});
  WireCall& lost = Open();
  server_.Close();
  peer().Close();
  ASSERT_TRUE(RunUntil([&] { return lost.end.has_value(); }));
  WireCall& call = Start();
  call.Read();
  EXPECT_TRUE(RunUntil([&] { return second.StreamsOpened() == 1; }));
  EXPECT_EQ(upstream_->channel_count(), 1u);
  second.Close();
  for (auto& connection : second.connections()) connection.Close();
}

// A connection that stood makes the pauses start again from the first.
TEST_F(H2FailoverTest, SuccessEndsTheBackoff) {
  const std::string address = Refusing();
  ConnectTo({address});
  Failed();
  ASSERT_TRUE(upstream_->is_failing());
  RawServer back(worker_, h2::Settings(), ParseH2Target(address)->endpoints[0]);
  ASSERT_TRUE(TickUntil([&] { return upstream_->is_up(); }));
  WireCall& call = Start();
  call.Read();
  ASSERT_TRUE(RunUntil([&] { return back.StreamsOpened() == 1; }));
  back.connections()[0].Close();
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(upstream_->channel_count(), 0u);
  EXPECT_FALSE(upstream_->is_failing());
  back.Close();
}

// Without a call it is known again what has become of the upstream.
TEST_F(H2FailoverTest, TicksDialAnew) {
  PickFirst();
  ConnectTo({Refusing(), server_.address()});
  Open().Destroy();
  peer().Close();
  ASSERT_TRUE(RunUntil([&] { return upstream_->channel_count() == 0; }));
  EXPECT_TRUE(TickUntil([&] { return server_.connections().size() == 2; }));
  EXPECT_TRUE(TickUntil([&] { return !upstream_->is_failing(); }));
  for (int i = 0; i < 10; ++i) {
    upstream_->OnTick(now_ += absl::Seconds(1));
    Settle();
  }
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

TEST_F(H2FailoverTest, NobodyThatAnswersIsUnavailableWithinTheTimeout) {
  for (const LoadBalancing policy :
       {LoadBalancing::kPickFirst, LoadBalancing::kRoundRobin}) {
    options_.settings.load_balancing = policy;
    timing_.connect_timeout = milliseconds(60);
    timing_.attempt_delay = milliseconds(20);
    ConnectTo({black_hole_.address(), silent_.address(), black_hole_.address(),
               Refusing()});
    const auto before = std::chrono::steady_clock::now();
    const WireCall& call = Failed();
    // No multiple of it; what is left is room for a busy machine.
    EXPECT_LT(std::chrono::steady_clock::now() - before,
              std::chrono::seconds(5));
    EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(call.end->status.message(), "the upstream cannot be reached");
    EXPECT_TRUE(RunUntil([&] { return upstream_->is_failing(); }));
  }
}

// The same of one address, that does not even take the connection, or takes it
// and has no SETTINGS for it (RFC 9113 section 3.4).
TEST_F(H2FailoverTest, SilentAddressIsUnavailableWithinTheTimeout) {
  timing_.connect_timeout = milliseconds(50);
  for (const std::string& address :
       {black_hole_.address(), silent_.address()}) {
    ConnectTo({address});
    const WireCall& call = Failed();
    EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(MessageForLog(call.end->status),
                AllOf(HasSubstr(address), HasSubstr(" in time")));
    EXPECT_TRUE(RunUntil([&] { return upstream_->channel_count() == 0; }));
  }
}

// A call does not wait for attempt after attempt.
TEST_F(H2FailoverTest, CallWaitsNoLongerThanTheTimeout) {
  timing_.connect_timeout = milliseconds(100);
  ConnectTo({black_hole_.address(), silent_.address()});
  WireCall& first = Start();
  first.Read();
  // One address or the other is being tried all the time.
  int ticks = 0;
  ASSERT_TRUE(RunUntil([&] {
    if (++ticks % 3 == 0 && !silent_.connections().empty()) {
      silent_.connections().back().Close();
    }
    upstream_->OnTick(now_ += absl::Milliseconds(10));
    return first.end.has_value();
  }));
  EXPECT_EQ(first.end->status.code(), absl::StatusCode::kUnavailable);
}

// --- round robin ---

TEST_F(H2FailoverTest, RoundRobinDoesNotWaitForTheDead) {
  timing_.attempt_delay = milliseconds(10);
  options_.settings.max_streams_per_channel = 1;
  ConnectTo({black_hole_.address(), server_.address(), silent_.address(),
             Refusing()});
  for (int i = 0; i < 6; ++i) Start();
  ASSERT_TRUE(RunUntil([&] { return server_.StreamsOpened() == 6; }));
  // By now it is known who works.
  timing_.attempt_delay = hours(1);
  for (int i = 0; i < 6; ++i) Start();
  ASSERT_TRUE(RunUntil([&] { return server_.StreamsOpened() == 12; }));
  EXPECT_FALSE(upstream_->is_failing());
}

// Rather late than not at all.
TEST_F(H2FailoverTest, RoundRobinWaitsForTheSlowWhenTheOthersTakeNoMore) {
  timing_.attempt_delay = milliseconds(1);
  options_.settings.max_streams_per_channel = 1;
  ConnectTo({server_.address(), silent_.address()});
  Open();
  server_.Close();
  WireCall& call = Start();
  call.Read();
  Settle();
  EXPECT_FALSE(call.end);
  silent_.connections().at(0).Send(h2::Settings());
  EXPECT_TRUE(RunUntil([&] { return silent_.StreamsOpened() == 1; }));
}

// One that has failed is tried again by ticks, and no call is sent to wait for
// it.
TEST_F(H2FailoverTest, RoundRobinTriesTheDeadWithoutCalls) {
  options_.settings.max_streams_per_channel = 1;
  RawServer sick(worker_, "no HTTP/2 at all, but many words of greeting");
  ConnectTo({sick.address(), server_.address()});
  Open();
  ASSERT_TRUE(RunUntil([&] { return upstream_->channel_count() == 1; }));
  sick.set_greeting("");  // From now on it only takes connections.
  ASSERT_TRUE(TickUntil([&] { return upstream_->channel_count() == 2; }));
  for (int i = 0; i < 5; ++i) Open();
  EXPECT_EQ(server_.connections().size(), 6u);
  sick.Close();
  for (auto& connection : sick.connections()) connection.Close();
}

TEST_F(H2FailoverTest, RoundRobinTakesTheDeadBackWhenItLives) {
  RawServer sick(worker_, "no HTTP/2 at all, but many words of greeting");
  ConnectTo({sick.address(), server_.address()});
  Open();
  sick.set_greeting(h2::Settings());
  EXPECT_TRUE(TickUntil([&] {
    Start();
    return sick.StreamsOpened() > 0;
  }));
  sick.Close();
  for (auto& connection : sick.connections()) connection.Close();
}

}  // namespace
}  // namespace headgate
