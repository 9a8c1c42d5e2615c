#include "gateway/upstream/grpc_upstream.h"

#include <gmock/gmock.h>

#include "tests/upstream/pool_contract.h"
#include "tests/upstream/upstream_call_contract.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

INSTANTIATE_TEST_SUITE_P(Grpc, UpstreamCallContract,
                         InPlaintextAndWithTls<GrpcUpstream>(), SecurityName);
INSTANTIATE_TEST_SUITE_P(Grpc, PoolContract,
                         ::testing::Values(UpstreamSettings::Transport::kGrpc));

class GrpcUpstreamTest : public PoolFixture {
 protected:
  GrpcUpstreamTest() : PoolFixture(Transport::kGrpc) {}
};

// gRPC has not let go of the stream before it says so: a call that comes
// earlier would wait for it.
TEST_F(GrpcUpstreamTest, DestroyedCallGivesItsPlaceBackWhenGrpcIsDone) {
  Server server;
  settings().max_streams_per_channel = 1;
  Connect(server.address());
  Start("/echo").Destroy();
  Start("/echo").Destroy();
  EXPECT_EQ(upstream_->channel_count(), 2u);
  worker_.restart();
  worker_.run();
  Start("/echo");
  Start("/echo");
  EXPECT_EQ(upstream_->channel_count(), 2u);
}

}  // namespace
}  // namespace headgate
