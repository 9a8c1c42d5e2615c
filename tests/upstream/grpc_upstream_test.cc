#include "gateway/upstream/grpc_upstream.h"

#include <utility>

#include "tests/upstream/upstream_call_contract.h"

namespace headgate {
namespace {

std::unique_ptr<Upstream> MakeGrpc(const std::string& target,
                                   std::size_t max_answer_bytes,
                                   boost::asio::io_context& worker) {
  GrpcChannelOptions options;
  options.target = target;
  options.max_answer_bytes = max_answer_bytes;
  return std::make_unique<GrpcUpstream>(MakeGrpcChannel(options), worker);
}

INSTANTIATE_TEST_SUITE_P(Grpc, UpstreamCallContract,
                         ::testing::Values(&MakeGrpc));

// A name that no resolver knows is the upstream's fault, told like any other.
TEST(GrpcUpstreamTest, TargetThatIsNoNameFailsTheCall) {
  class Observer final : public UpstreamCallObserver {
   public:
    void OnMessage(std::string) override {}
    void OnWritten() override {}
    void OnDone(CallEnd end) override { end_ = std::move(end); }
    std::optional<CallEnd> end_;
  } observer;
  boost::asio::io_context worker{1};
  const auto upstream = MakeGrpc("nowhere:///%%%", 1024, worker);
  const auto call = upstream->StartCall({"/s/m", {}}, observer);
  call->Read();
  worker.run_for(std::chrono::seconds(20));
  ASSERT_TRUE(observer.end_);
  EXPECT_FALSE(observer.end_->status.ok());
}

}  // namespace
}  // namespace headgate
