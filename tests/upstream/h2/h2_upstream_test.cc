#include "gateway/upstream/h2_upstream.h"

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <utility>

#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <boost/asio/ip/tcp.hpp>

#include "absl/strings/str_cat.h"
#include "tests/upstream/raw_peer.h"
#include "tests/upstream/scripted_service.h"
#include "tests/upstream/test_call.h"
#include "tests/upstream/upstream_call_contract.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

INSTANTIATE_TEST_SUITE_P(H2, UpstreamCallContract,
                         InPlaintextAndWithTls<H2Upstream>(), SecurityName);

// A backend with the scripted service.
struct Server {
  explicit Server(
      const std::string& address = "127.0.0.1:0",
      const std::function<void(grpc::ServerBuilder&)>& configure = {}) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
    builder.RegisterCallbackGenericService(&service);
    if (configure) configure(builder);
    server = builder.BuildAndStart();
  }
  // Calls that are still open are cut off.
  ~Server() { server->Shutdown(std::chrono::system_clock::now()); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port); }

  ScriptedService service;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
};

std::function<void(grpc::ServerBuilder&)> AllowStreams(int streams) {
  return [streams](grpc::ServerBuilder& builder) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, streams);
  };
}

class H2UpstreamTest : public ::testing::Test {
 protected:
  ~H2UpstreamTest() override {
    calls_.clear();
    upstream_.reset();
    worker_.restart();
    worker_.run_for(std::chrono::seconds(20));
    EXPECT_TRUE(worker_.stopped()) << "a call is left over";
  }

  UpstreamSettings& settings() { return options_.settings; }

  void Connect(const std::string& target) {
    settings().target = target;
    upstream_ = std::make_unique<H2Upstream>(options_, worker_);
  }
  TestCall& Start(const std::string& method) {
    return calls_.emplace_back(*upstream_, method);
  }
  std::string Ask(const std::string& method, const std::string& message = "x") {
    return headgate::Ask(worker_, *upstream_, method, message);
  }
  bool RunUntil(const std::function<bool()>& done) {
    return headgate::RunUntil(worker_, done);
  }
  // How many calls have an answer.
  std::size_t Answered() const {
    std::size_t count = 0;
    for (const TestCall& call : calls_) count += !call.messages().empty();
    return count;
  }
  // Calls until the first messages have come from both; whether they did.
  bool CallsReachBoth(Server& a, Server& b) {
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

  boost::asio::io_context worker_{1};
  UpstreamOptions options_;
  std::unique_ptr<H2Upstream> upstream_;
  std::deque<TestCall> calls_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
};

// A name that no resolver knows is the upstream's fault, told like any other.
TEST_F(H2UpstreamTest, TargetThatIsNoNameFailsTheCall) {
  Connect("nowhere:///%%%");
  TestCall& call = Start("/s/m");
  ASSERT_TRUE(RunUntil([&] { return call.end().has_value(); }));
  EXPECT_FALSE(call.end()->status.ok());
}

TEST_F(H2UpstreamTest, NoCallGoesInPlaintextWhereTlsIsAskedFor) {
  Server server;
  settings().tls = UpstreamTlsSettings{};
  Connect(server.address());
  EXPECT_THAT(Ask("/echo"), AllOf(StartsWith("UNAVAILABLE"),
                                  HasSubstr("the server does not speak TLS")));
  EXPECT_EQ(server.service.calls(), 0);
}

// A backend that is back is found by the ticks, without a call.
TEST_F(H2UpstreamTest, TicksTryAnewWhatHasFailed) {
  boost::asio::ip::tcp::acceptor bound(worker_);
  bound.open(boost::asio::ip::tcp::v4());
  bound.set_option(boost::asio::ip::tcp::acceptor::reuse_address(true));
  bound.bind({boost::asio::ip::address_v4::loopback(), 0});
  const std::string address =
      absl::StrCat("127.0.0.1:", bound.local_endpoint().port());
  Connect(address);
  EXPECT_FALSE(upstream_->is_failing());
  EXPECT_THAT(Ask("/echo"),
              StartsWith("UNAVAILABLE: the upstream cannot be reached"));
  EXPECT_TRUE(upstream_->is_failing());
  EXPECT_EQ(upstream_->channel_count(), 0u);
  bound.close();
  Server server(address);
  EXPECT_TRUE(RunUntil([&] {
    upstream_->OnTick(now_ += absl::Milliseconds(20));
    return !upstream_->is_failing();
  }));
  EXPECT_EQ(server.service.calls(), 0);
  EXPECT_EQ(Ask("/echo"), "x");
}

// And one that goes is missed by them, though nobody calls it meanwhile.
TEST_F(H2UpstreamTest, TicksMakeALostConnectionAgain) {
  auto server = std::make_unique<Server>();
  const std::string address = server->address();
  Connect(address);
  EXPECT_EQ(Ask("/echo"), "x");
  const auto tick_until = [&](const std::function<bool()>& done) {
    return RunUntil([&] {
      upstream_->OnTick(now_ += absl::Milliseconds(20));
      return done();
    });
  };
  server.reset();
  EXPECT_TRUE(tick_until([&] { return upstream_->is_failing(); }));
  server = std::make_unique<Server>(address);
  EXPECT_TRUE(tick_until([&] { return !upstream_->is_failing(); }));
  EXPECT_EQ(server->service.calls(), 0);
}

// --- the pool ---

// At the server's MAX_CONCURRENT_STREAMS gRPC lets calls wait without a word.
TEST_F(H2UpstreamTest, FiveHundredCallsProceedWhereAConnectionTakesAHundred) {
  Server server("127.0.0.1:0", AllowStreams(100));
  settings().max_streams_per_channel = 100;
  Connect(server.address());
  for (int i = 0; i < 500; ++i) Start("/echo").Write("x");
  EXPECT_EQ(upstream_->channel_count(), 5u);
  EXPECT_TRUE(RunUntil([&] { return Answered() == 500; })) << Answered();
}

TEST_F(H2UpstreamTest, ChannelsAreMadeOnlyWhenTheFirstIsFull) {
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

TEST_F(H2UpstreamTest, ChannelsWithoutCallsGoAfterAWhileButTheLast) {
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
TEST_F(H2UpstreamTest, NewCallsFillTheOldestChannelAndTheNewerGo) {
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

TEST_F(H2UpstreamTest, ChannelThatIsUsedAgainIsNotIdle) {
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

// What comes behind RST_STREAM on the wire comes behind it at the server.
TEST_F(H2UpstreamTest, DestroyedCallGivesItsPlaceBackAtOnce) {
  Server server;
  settings().max_streams_per_channel = 1;
  Connect(server.address());
  for (int i = 0; i < 10; ++i) {
    TestCall call(*upstream_, "/echo");
    call.Write("x");
    ASSERT_TRUE(RunUntil([&] { return call.answered(); }));
    EXPECT_EQ(call.messages().size(), 1u);
  }
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

TEST_F(H2UpstreamTest, EndedCallGivesItsPlaceBackBeforeItsOwnerHears) {
  Server server;
  settings().max_streams_per_channel = 1;
  Connect(server.address());
  TestCall& call = Start("/ok");
  ASSERT_TRUE(RunUntil([&] { return call.end().has_value(); }));
  Start("/echo");
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

// A reload takes the upstream away from new sessions only.
TEST_F(H2UpstreamTest, CallsOutliveTheirUpstream) {
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

TEST_F(H2UpstreamTest, UnixSocketIsATarget) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "headgate-", getpid(), ".sock");
  Server server("unix:" + path);
  Connect("unix:" + path);
  EXPECT_EQ(Ask("/echo"), "x");
  unlink(path.c_str());
}

TEST_F(H2UpstreamTest, HostNameIsLookedUp) {
  Server server;
  Connect(absl::StrCat("dns:///localhost:", server.port));
  EXPECT_EQ(Ask("/echo"), "x");
}

TEST_F(H2UpstreamTest, AuthorityIsTheTargetsUnlessSet) {
  Server server;
  Connect(server.address());
  EXPECT_EQ(Ask("/host"), server.address());
  settings().authority = "chat.internal";
  Connect(server.address());
  EXPECT_EQ(Ask("/host"), "chat.internal");
}

// --- several addresses ---

TEST_F(H2UpstreamTest, RoundRobinReachesAllAddresses) {
  Server a, b;
  Connect(absl::StrCat("ipv4:", a.address(), ",", b.address()));
  EXPECT_TRUE(CallsReachBoth(a, b));
  EXPECT_TRUE(CallsReachBoth(a, b));
}

TEST_F(H2UpstreamTest, PickFirstStaysWithOneAddress) {
  Server a, b;
  settings().load_balancing = UpstreamSettings::LoadBalancing::kPickFirst;
  Connect(absl::StrCat("ipv4:", a.address(), ",", b.address()));
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Ask("/echo"), "x");
  EXPECT_TRUE(a.service.calls() == 0 || b.service.calls() == 0);
}

TEST_F(H2UpstreamTest, CallsGoToTheAddressThatIsLeft) {
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

TEST_F(H2UpstreamTest, GzipGoesBothWays) {
  Server server("127.0.0.1:0", [](grpc::ServerBuilder& builder) {
    builder.SetDefaultCompressionAlgorithm(GRPC_COMPRESS_GZIP);
  });
  settings().compression = UpstreamSettings::Compression::kGzip;
  Connect(server.address());
  const std::string message(100'000, 'x');
  EXPECT_EQ(Ask("/echo", message), message);
}

// Answers in gzip are taken whatever is sent.
TEST_F(H2UpstreamTest, GzipAnswersAreTakenUnasked) {
  Server server("127.0.0.1:0", [](grpc::ServerBuilder& builder) {
    builder.SetDefaultCompressionAlgorithm(GRPC_COMPRESS_GZIP);
  });
  Connect(server.address());
  const std::string message(100'000, 'x');
  EXPECT_EQ(Ask("/echo", message), message);
}

// grpc/grpc doc/PROTOCOL-HTTP2.md: a message begins with its compressed flag.
TEST_F(H2UpstreamTest, RequestsAreCompressedOnlyWhenAskedFor) {
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
TEST_F(H2UpstreamTest, KeepaliveFindsADeadConnection) {
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

}  // namespace
}  // namespace headgate
