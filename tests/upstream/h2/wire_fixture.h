#ifndef TESTS_UPSTREAM_H2_WIRE_FIXTURE_H_
#define TESTS_UPSTREAM_H2_WIRE_FIXTURE_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "gateway/upstream/h2_upstream.h"
#include "gateway/upstream/loop_turn.h"
#include "tests/testing/turn_clock.h"
#include "tests/upstream/h2/raw_server.h"
#include "tests/upstream/test_call.h"

namespace headgate {

// A call that is driven by hand.
class WireCall final : private UpstreamCallObserver {
 public:
  WireCall(Upstream& upstream, CallRequest request)
      : call_(upstream.StartCall(std::move(request), *this)) {}

  void Read() { call_->Read(); }
  void Write(std::string payload, WriteHint hint = WriteHint::kLast) {
    call_->Write(std::move(payload), hint);
  }
  void WritesDone() { call_->WritesDone(); }
  void Destroy() { call_.reset(); }

  bool reads_on = true;
  std::function<void()> on_end;  // May be empty.
  std::optional<Metadata> headers;
  std::vector<std::string> messages;
  int written = 0;
  bool draining = false;
  std::optional<CallEnd> end;

 private:
  void OnHeaders(Metadata metadata) override { headers = std::move(metadata); }
  void OnMessage(std::string payload) override {
    messages.push_back(std::move(payload));
    if (reads_on) call_->Read();
  }
  void OnWritten() override { ++written; }
  void OnDraining() override { draining = true; }
  void OnDone(CallEnd call_end) override {
    end = std::move(call_end);
    if (on_end) on_end();
  }

  std::unique_ptr<UpstreamCall> call_;
};

// An upstream over h2 and a server by hand, on one thread.
class H2WireFixture : public ::testing::Test {
 protected:
  static constexpr std::size_t kMaxAnswerBytes = 100'000;

  H2WireFixture() { Connect(); }
  ~H2WireFixture() override {
    calls_.clear();
    upstream_.reset();
    server_.Close();
    for (auto& connection : server_.connections()) connection.Close();
    worker_.restart();
    worker_.run_for(std::chrono::seconds(20));
    EXPECT_TRUE(worker_.stopped()) << "something is left over";
  }

  void Connect() { Connect(server_.address()); }
  void Connect(const std::string& target) {
    options_.settings.target = target;
    options_.max_answer_bytes = kMaxAnswerBytes;
    upstream_ = std::make_unique<H2Upstream>(options_, worker_, turn_, timing_);
  }
  bool RunUntil(const std::function<bool()>& done) {
    return headgate::RunUntil(worker_, done);
  }
  // Until nothing happens any more at once.
  void Settle() {
    const auto work = boost::asio::make_work_guard(worker_);
    worker_.restart();
    while (worker_.run_for(std::chrono::milliseconds(20)) > 0) {
    }
  }
  WireCall& Start(CallRequest request = {"/s/m", {}}) {
    calls_.push_back(
        std::make_unique<WireCall>(*upstream_, std::move(request)));
    return *calls_.back();
  }
  // Starts a call and waits until the server has its head.
  WireCall& Open(CallRequest request = {"/s/m", {}}) {
    const int before = server_.StreamsOpened();
    WireCall& call = Start(std::move(request));
    call.Read();
    EXPECT_TRUE(RunUntil([&] { return server_.StreamsOpened() > before; }));
    return call;
  }
  RawServer::Connection& peer() { return server_.connections().back(); }
  RawServer::Connection& peer(std::size_t i) {
    return server_.connections()[i];
  }
  // The status of a call whose head is answered with `bytes`.
  absl::Status Answer(const std::string& bytes) {
    Connect();
    WireCall& call = Open();
    peer().Send(bytes);
    EXPECT_TRUE(RunUntil([&] { return call.end.has_value(); }));
    return call.end ? call.end->status : absl::OkStatus();
  }
  absl::StatusCode CodeOfAnswer(const std::string& bytes) {
    return Answer(bytes).code();
  }
  // The same, and the connection closes behind them.
  absl::StatusCode CodeOfLastWords(const std::string& bytes) {
    Connect();
    WireCall& call = Open();
    peer().Send(bytes);
    peer().Close();
    EXPECT_TRUE(RunUntil([&] { return call.end.has_value(); }));
    return call.end ? call.end->status.code() : absl::StatusCode::kOk;
  }

  boost::asio::io_context worker_{1};
  testing::TurnClock turn_clock_;
  LoopTurn turn_{worker_, turn_clock_.now()};
  RawServer server_{worker_};
  UpstreamOptions options_;
  H2Timing timing_;
  std::unique_ptr<H2Upstream> upstream_;
  std::vector<std::unique_ptr<WireCall>> calls_;
};

}  // namespace headgate

#endif  // TESTS_UPSTREAM_H2_WIRE_FIXTURE_H_
