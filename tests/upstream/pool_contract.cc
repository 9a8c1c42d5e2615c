#include "tests/upstream/pool_contract.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "tests/upstream/raw_peer.h"

namespace headgate {

PoolFixture::PoolFixture(Transport transport) {
  settings().transport = transport;
}

PoolFixture::~PoolFixture() {
  calls_.clear();
  upstream_.reset();
  worker_.restart();
  worker_.run_for(std::chrono::seconds(20));
  EXPECT_TRUE(worker_.stopped()) << "a call is left over";
}

void PoolFixture::Connect(const std::string& target) {
  settings().target = target;
  upstream_ = MakePooledUpstream(options_, worker_, turn_);
}

std::size_t PoolFixture::Answered() const {
  std::size_t count = 0;
  for (const TestCall& call : calls_) count += !call.messages().empty();
  return count;
}

bool PoolFixture::CallsReachBoth(Server& a, Server& b) {
  const int a_before = a.service.calls();
  const int b_before = b.service.calls();
  for (int i = 0; i < 500; ++i) {
    if (a.service.calls() > a_before && b.service.calls() > b_before) {
      return true;
    }
    Ask("/echo");
  }
  return false;
}

bool PoolFixture::CallsAvoid(Server& server) {
  return RunUntil([&] {
    const int before = server.service.calls();
    for (int i = 0; i < 10; ++i) Ask("/echo");
    return server.service.calls() == before;
  });
}

namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::function<void(grpc::ServerBuilder&)> AllowStreams(int streams) {
  return [streams](grpc::ServerBuilder& builder) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, streams);
  };
}

// The worker that watches an upstream connects to it without a call, and again
// when the connection was lost.
TEST_P(PoolContract, IsKeptConnectedWithoutCalls) {
  auto server = std::make_unique<Server>();
  const std::string target = server->address();
  Connect(target);
  const auto watch_until = [&](const std::function<bool()>& done) {
    return RunUntil([&] {
      upstream_->OnTick(now_);
      upstream_->KeepConnected();
      return done();
    });
  };
  EXPECT_FALSE(upstream_->is_up());
  EXPECT_TRUE(watch_until([&] { return upstream_->is_up(); }));
  EXPECT_FALSE(upstream_->is_failing());
  server.reset();
  EXPECT_TRUE(watch_until([&] { return upstream_->is_failing(); }));
  EXPECT_FALSE(upstream_->is_up());
  server = std::make_unique<Server>(target);
  EXPECT_TRUE(watch_until([&] { return upstream_->is_up(); }));
  EXPECT_FALSE(upstream_->is_failing());
}

// A name that no resolver knows is the upstream's fault, told like any other.
TEST_P(PoolContract, TargetThatIsNoNameFailsTheCall) {
  Connect("nowhere:///%%%");
  TestCall& call = Start("/s/m");
  ASSERT_TRUE(RunUntil([&] { return call.end().has_value(); }));
  EXPECT_FALSE(call.end()->status.ok());
}

// --- the pool ---

// At the server's MAX_CONCURRENT_STREAMS gRPC lets calls wait without a word.
TEST_P(PoolContract, FiveHundredCallsProceedWhereAConnectionTakesAHundred) {
  Server server("127.0.0.1:0", AllowStreams(100));
  settings().max_streams_per_channel = 100;
  Connect(server.address());
  for (int i = 0; i < 500; ++i) Start("/echo").Write("x");
  EXPECT_EQ(upstream_->channel_count(), 5u);
  EXPECT_TRUE(RunUntil([&] { return Answered() == 500; })) << Answered();
}

TEST_P(PoolContract, ChannelsAreMadeOnlyWhenTheFirstIsFull) {
  Server server;
  settings().max_streams_per_channel = 2;
  Connect(server.address());
  EXPECT_EQ(upstream_->channel_count(), 0u);
  Start("/echo");
  Start("/echo");
  EXPECT_EQ(upstream_->channel_count(), 1u);
  Start("/echo");
  EXPECT_EQ(upstream_->channel_count(), 2u);
}

TEST_P(PoolContract, ChannelsWithoutCallsGoAfterAWhileButTheLast) {
  Server server;
  settings().max_streams_per_channel = 2;
  Connect(server.address());
  for (int i = 0; i < 6; ++i) Start("/echo").Write("x");
  ASSERT_TRUE(RunUntil([&] { return Answered() == 6; }));
  upstream_->OnTick(now_);
  calls_.clear();
  worker_.restart();
  worker_.run();
  now_ += absl::Minutes(1);
  upstream_->OnTick(now_);  // Only now it is seen that they have no calls.
  EXPECT_EQ(upstream_->channel_count(), 3u);
  now_ += absl::Seconds(29);
  upstream_->OnTick(now_);
  EXPECT_EQ(upstream_->channel_count(), 3u);
  now_ += absl::Seconds(1);
  upstream_->OnTick(now_);
  EXPECT_EQ(upstream_->channel_count(), 1u);
  now_ += absl::Hours(1);
  upstream_->OnTick(now_);
  EXPECT_EQ(upstream_->channel_count(), 1u);
  EXPECT_EQ(Ask("/echo"), "x");
}

// The oldest channel with room is taken, so that the newer ones run empty.
TEST_P(PoolContract, NewCallsFillTheOldestChannelAndTheNewerGo) {
  Server server;
  settings().max_streams_per_channel = 1;
  Connect(server.address());
  {
    TestCall first(*upstream_, "/echo");
    TestCall second(*upstream_, "/echo");
  }
  worker_.restart();
  worker_.run();
  for (int i = 0; i <= 60; ++i) {
    Ask("/echo");
    worker_.restart();
    worker_.run();
    upstream_->OnTick(now_ += absl::Seconds(1));
  }
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

TEST_P(PoolContract, ChannelThatIsUsedAgainIsNotIdle) {
  Server server;
  settings().max_streams_per_channel = 1;
  Connect(server.address());
  Start("/echo").Destroy();
  Start("/echo").Destroy();
  worker_.restart();
  worker_.run();
  Start("/echo");
  upstream_->OnTick(now_);
  upstream_->OnTick(now_ += absl::Seconds(29));
  TestCall again(*upstream_, "/echo");
  upstream_->OnTick(now_ += absl::Seconds(29));
  EXPECT_EQ(upstream_->channel_count(), 2u);
  again.Write("x");
  EXPECT_TRUE(RunUntil([&] { return again.answered(); }));
  EXPECT_EQ(again.messages().size(), 1u);
}

TEST_P(PoolContract, EndedCallGivesItsPlaceBackBeforeItsOwnerHears) {
  Server server;
  settings().max_streams_per_channel = 1;
  Connect(server.address());
  TestCall& call = Start("/ok");
  ASSERT_TRUE(RunUntil([&] { return call.end().has_value(); }));
  Start("/echo");
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

// A reload takes the upstream away from new sessions only.
TEST_P(PoolContract, CallsOutliveTheirUpstream) {
  Server server;
  Connect(server.address());
  TestCall& call = Start("/echo");
  TestCall& dropped = Start("/silent");
  upstream_.reset();
  dropped.Destroy();
  call.Write("x");
  ASSERT_TRUE(RunUntil([&] { return call.answered(); }));
  call.WritesDone();
  ASSERT_TRUE(RunUntil([&] { return call.end().has_value(); }));
  EXPECT_TRUE(call.end()->status.ok());
}

// --- names ---

TEST_P(PoolContract, UnixSocketIsATarget) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "headgate-", getpid(), ".sock");
  Server server("unix:" + path);
  Connect("unix:" + path);
  EXPECT_EQ(Ask("/echo"), "x");
  unlink(path.c_str());
}

TEST_P(PoolContract, HostNameIsLookedUp) {
  Server server;
  Connect(absl::StrCat("dns:///localhost:", server.port));
  EXPECT_EQ(Ask("/echo"), "x");
}

TEST_P(PoolContract, AuthorityIsTheTargetsUnlessSet) {
  Server server;
  Connect(server.address());
  EXPECT_EQ(Ask("/host"), server.address());
  settings().authority = "chat.internal";
  Connect(server.address());
  EXPECT_EQ(Ask("/host"), "chat.internal");
}

// --- several addresses ---

TEST_P(PoolContract, RoundRobinReachesAllAddresses) {
  Server a, b;
  Connect(absl::StrCat("ipv4:", a.address(), ",", b.address()));
  EXPECT_TRUE(CallsReachBoth(a, b));
  EXPECT_TRUE(CallsReachBoth(a, b));
}

TEST_P(PoolContract, PickFirstStaysWithOneAddress) {
  Server a, b;
  settings().load_balancing = UpstreamSettings::LoadBalancing::kPickFirst;
  Connect(absl::StrCat("ipv4:", a.address(), ",", b.address()));
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Ask("/echo"), "x");
  EXPECT_TRUE(a.service.calls() == 0 || b.service.calls() == 0);
}

TEST_P(PoolContract, CallsGoToTheAddressThatIsLeft) {
  Server a, b;
  Connect(absl::StrCat("ipv4:", a.address(), ",", b.address()));
  ASSERT_TRUE(CallsReachBoth(a, b));
  a.server->Shutdown(std::chrono::system_clock::now());
  // The connection's end may be noticed a moment later.
  int in_a_row = 0;
  EXPECT_TRUE(RunUntil([&] {
    in_a_row = Ask("/echo") == "x" ? in_a_row + 1 : 0;
    return in_a_row == 10;
  }));
}

// --- the wire ---

TEST_P(PoolContract, GzipGoesBothWays) {
  Server server("127.0.0.1:0", [](grpc::ServerBuilder& builder) {
    builder.SetDefaultCompressionAlgorithm(GRPC_COMPRESS_GZIP);
  });
  settings().compression = UpstreamSettings::Compression::kGzip;
  Connect(server.address());
  const std::string message(100'000, 'x');
  EXPECT_EQ(Ask("/echo", message), message);
}

// Answers in gzip are taken whatever is sent.
TEST_P(PoolContract, GzipAnswersAreTakenUnasked) {
  Server server("127.0.0.1:0", [](grpc::ServerBuilder& builder) {
    builder.SetDefaultCompressionAlgorithm(GRPC_COMPRESS_GZIP);
  });
  Connect(server.address());
  const std::string message(100'000, 'x');
  EXPECT_EQ(Ask("/echo", message), message);
}

// grpc/grpc doc/PROTOCOL-HTTP2.md: a message begins with its compressed flag.
TEST_P(PoolContract, RequestsAreCompressedOnlyWhenAskedFor) {
  for (const bool compressed : {false, true}) {
    RawPeer peer(worker_);
    settings().compression = compressed ? UpstreamSettings::Compression::kGzip
                                        : UpstreamSettings::Compression::kNone;
    Connect(peer.address());
    TestCall call(*upstream_, "/echo");
    call.Write(std::string(1000, 'x'));
    ASSERT_TRUE(RunUntil([&] { return peer.data().size() > 5; }));
    EXPECT_EQ(peer.data()[0], compressed ? '\1' : '\0');
    EXPECT_EQ(peer.data().find("xxxxxxxx") == std::string::npos, compressed);
  }
}

// A connection that takes everything and never answers is dead; only a ping
// finds out (grpc/grpc doc/keepalive.md).
TEST_P(PoolContract, KeepaliveFindsADeadConnection) {
  RawPeer peer(worker_);
  settings().keepalive_interval = absl::Seconds(1);
  settings().keepalive_timeout = absl::Milliseconds(100);
  Connect(peer.address());
  TestCall& call = Start("/echo");
  call.Write("x");
  ASSERT_TRUE(RunUntil([&] { return call.end().has_value(); }));
  EXPECT_EQ(call.end()->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(call.end()->status.message()),
              HasSubstr("keepalive"));
}

// --- health (grpc/grpc doc/health-checking.md) ---

void SetHealth(ScriptedServer& server, const std::string& service,
               bool serving) {
  server.server->GetHealthCheckService()->SetServingStatus(service, serving);
}

TEST_P(PoolContract, AddressThatDoesNotServeGetsNoCalls) {
  Server a, b;
  // A name that has to be quoted in the service config.
  const std::string name = "chat\"\\";
  SetHealth(a, name, true);
  SetHealth(b, name, true);
  settings().health_check = name;
  Connect(absl::StrCat("ipv4:", a.address(), ",", b.address()));
  ASSERT_TRUE(CallsReachBoth(a, b));
  SetHealth(a, name, false);
  EXPECT_TRUE(CallsAvoid(a));
  EXPECT_EQ(Ask("/echo"), "x");
  SetHealth(a, name, true);
  EXPECT_TRUE(RunUntil([&] { return CallsReachBoth(a, b); }));
}

TEST_P(PoolContract, EmptyNameIsTheServerAsAWhole) {
  Server a, b;
  settings().health_check = "";
  Connect(absl::StrCat("ipv4:", a.address(), ",", b.address()));
  ASSERT_TRUE(CallsReachBoth(a, b));
  a.server->GetHealthCheckService()->SetServingStatus(false);
  EXPECT_TRUE(CallsAvoid(a));
}

TEST_P(PoolContract, NobodyServingIsUnavailable) {
  Server a;
  SetHealth(a, "chat", false);
  settings().health_check = "chat";
  Connect(a.address());
  EXPECT_THAT(Ask("/echo"),
              StartsWith("UNAVAILABLE: the upstream cannot be reached"));
}

// The check of each connection is a stream of its own.
TEST_P(PoolContract, ChecksCountAmongTheStreamsOfAConnection) {
  Server server("127.0.0.1:0", AllowStreams(3));
  settings().health_check = "";
  settings().max_streams_per_channel = 3;
  Connect(server.address());
  for (int i = 0; i < 6; ++i) Start("/echo").Write("x");
  EXPECT_EQ(upstream_->channel_count(), 3u);
  EXPECT_TRUE(RunUntil([&] { return Answered() == 6; })) << Answered();
}

// Only calls are.
TEST_P(PoolContract, HealthChecksAreNoWorkOfTheLoops) {
  Server server;
  settings().health_check = "";
  Connect(server.address());
  EXPECT_EQ(Ask("/echo"), "x");
  worker_.restart();
  worker_.run_for(std::chrono::seconds(20));
  EXPECT_TRUE(worker_.stopped());
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

}  // namespace
}  // namespace headgate
