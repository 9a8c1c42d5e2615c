#ifndef TESTS_UPSTREAM_TEST_CALL_H_
#define TESTS_UPSTREAM_TEST_CALL_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "gateway/upstream/upstream.h"

namespace headgate {

// One call of many: it reads all there is, and keeps it.
class TestCall final : private UpstreamCallObserver {
 public:
  TestCall(Upstream& upstream, const std::string& method)
      : call_(upstream.StartCall({method, {}}, *this)) {
    call_->Read();
  }

  void Write(std::string payload) {
    call_->Write(std::move(payload), WriteHint::kLast);
  }
  void WritesDone() { call_->WritesDone(); }
  void Destroy() { call_.reset(); }

  const std::vector<std::string>& messages() const { return messages_; }
  const std::optional<CallEnd>& end() const { return end_; }
  bool answered() const { return !messages_.empty() || end_.has_value(); }

 private:
  void OnMessage(std::string payload) override {
    messages_.push_back(std::move(payload));
    call_->Read();
  }
  void OnWritten() override {}
  void OnDone(CallEnd end) override { end_ = std::move(end); }

  std::vector<std::string> messages_;
  std::optional<CallEnd> end_;
  std::unique_ptr<UpstreamCall> call_;
};

// Runs `worker` until `done`, with or without work; gives up after some
// seconds.
inline bool RunUntil(boost::asio::io_context& worker,
                     const std::function<bool()>& done) {
  const auto work = boost::asio::make_work_guard(worker);
  const auto give_up =
      std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    worker.restart();
    worker.run_one_for(std::chrono::milliseconds(20));
  }
  return true;
}

// Makes a call with one message; the answer, or the status's text.
inline std::string Ask(boost::asio::io_context& worker, Upstream& upstream,
                       const std::string& method,
                       const std::string& message = "x") {
  TestCall call(upstream, method);
  call.Write(message);
  RunUntil(worker, [&] { return call.answered(); });
  if (!call.messages().empty()) return call.messages()[0];
  return call.end() ? call.end()->status.ToString() : "no answer";
}

}  // namespace headgate

#endif  // TESTS_UPSTREAM_TEST_CALL_H_
