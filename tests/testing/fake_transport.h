#ifndef TESTS_TESTING_FAKE_TRANSPORT_H_
#define TESTS_TESTING_FAKE_TRANSPORT_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/session/transport.h"
#include "tests/testing/fake_upstream.h"

namespace headgate::testing {

// A WebSocket whose client is the test, which calls the session itself. What
// the session does is in the log: "ws read", "ws binary PAYLOAD",
// "ws close 1000 REASON".
class FakeTransport final : public Transport {
 public:
  using Describe = std::function<std::string(const std::string& payload)>;

  // `describe` says how the log shows payloads; absent: as they are.
  explicit FakeTransport(Log& log, Describe describe = nullptr)
      : log_(log), describe_(std::move(describe)) {}

  void Read() override { log_.push_back("ws read"); }
  void Write(WireMessage message) override {
    log_.push_back(absl::StrCat(
        "ws ", message.opcode == Opcode::kText ? "text " : "binary ",
        describe_ ? describe_(message.payload) : message.payload));
  }
  // As an HTTP response has it: "ws head 404 FIELD=VALUE,...".
  void SendHead(OutHead head) override {
    log_.push_back(absl::StrCat(
        "ws head ", head.http_status, " ",
        absl::StrJoin(head.metadata, ",", absl::PairFormatter("="))));
  }
  bool head_is_sent() const override { return head_is_sent_; }
  void Close(const OutEnd& end) override {
    const Ending& ending = end.ending;
    log_.push_back(absl::StrCat("ws close ", static_cast<int>(ending.close),
                                " ", ending.end.status.message()));
  }

  bool head_is_sent_ = true;

 private:
  Log& log_;
  const Describe describe_;
};

}  // namespace headgate::testing

#endif  // TESTS_TESTING_FAKE_TRANSPORT_H_
