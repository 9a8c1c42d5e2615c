#include "gateway/upstream/h2_upstream.h"

#include <chrono>

#include <gmock/gmock.h>
#include <boost/asio/ip/tcp.hpp>

#include "absl/strings/str_cat.h"
#include "tests/upstream/pool_contract.h"
#include "tests/upstream/upstream_call_contract.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

INSTANTIATE_TEST_SUITE_P(H2, UpstreamCallContract,
                         InPlaintextAndWithTls<H2Upstream>(), SecurityName);
INSTANTIATE_TEST_SUITE_P(H2, PoolContract,
                         ::testing::Values(UpstreamSettings::Transport::kH2));

class H2UpstreamTest : public PoolFixture {
 protected:
  H2UpstreamTest() : PoolFixture(Transport::kH2) {}
};

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

// A server of gRPC's with its own rules, whose 5 min are half a second here.
TEST_F(H2UpstreamTest, PingsByDefaultAreNotTooManyForAServer) {
  Server server("127.0.0.1:0", [](grpc::ServerBuilder& builder) {
    builder.AddChannelArgument(
        GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
  });
  UpstreamOptions options;
  options.settings.target = server.address();
  H2Timing timing;
  timing.ping_after_answer = std::chrono::milliseconds(20);
  timing.ping_pause = std::chrono::milliseconds(550);
  H2Upstream upstream(options, worker_, turn_, timing);
  TestCall call(upstream, "/echo");
  for (std::size_t i = 1; i <= 10; ++i) {
    call.Write("x");
    ASSERT_TRUE(RunUntil([&] { return call.messages().size() == i; }));
    worker_.restart();
    worker_.run_for(std::chrono::milliseconds(60));  // For a ping.
  }
  worker_.restart();
  worker_.run_for(std::chrono::seconds(2));  // For three.
  call.Write("y");
  EXPECT_TRUE(RunUntil([&] { return call.messages().size() == 11; }));
  EXPECT_FALSE(call.end());
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

}  // namespace
}  // namespace headgate
