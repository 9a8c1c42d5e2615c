#ifndef TESTS_UPSTREAM_POOL_CONTRACT_H_
#define TESTS_UPSTREAM_POOL_CONTRACT_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "absl/time/time.h"
#include "gateway/upstream/loop_turn.h"
#include "gateway/upstream/pooled_upstream.h"
#include "tests/upstream/scripted_server.h"
#include "tests/upstream/test_call.h"

namespace headgate {

// An upstream of one transport with its connections, in front of real gRPC
// servers.
class PoolFixture : public ::testing::Test {
 protected:
  using Server = ScriptedServer;
  using Transport = UpstreamSettings::Transport;

  explicit PoolFixture(Transport transport);
  ~PoolFixture() override;

  UpstreamSettings& settings() { return options_.settings; }

  void Connect(const std::string& target);
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
  std::size_t Answered() const;
  // Calls until the first messages have come from both; whether they did.
  bool CallsReachBoth(Server& a, Server& b);
  // Whether there come ten calls in a row that leave `server` alone.
  bool CallsAvoid(Server& server);

  boost::asio::io_context worker_{1};
  LoopTurn turn_{worker_};
  UpstreamOptions options_;
  std::unique_ptr<PooledUpstream> upstream_;
  std::deque<TestCall> calls_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
};

// What every transport does with its connections, addresses and settings. The
// tests are in pool_contract.cc; a transport runs them with
//
//   INSTANTIATE_TEST_SUITE_P(H2, PoolContract, Values(Transport::kH2));
class PoolContract
    : public PoolFixture,
      public ::testing::WithParamInterface<UpstreamSettings::Transport> {
 protected:
  PoolContract() : PoolFixture(GetParam()) {}
};

}  // namespace headgate

#endif  // TESTS_UPSTREAM_POOL_CONTRACT_H_
