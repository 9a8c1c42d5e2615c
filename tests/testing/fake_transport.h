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

  // From now on it has a place for metadata, as an HTTP answer has: "ws headers
  // KEY=VALUE,...", "ws ending 4005".
  void DeliverMetadata() { delivery_ = MetadataDelivery::kDelivered; }

  void Read() override { log_.push_back("ws read"); }
  void Write(WireMessage message) override {
    log_.push_back(absl::StrCat(
        "ws ", message.opcode == Opcode::kText ? "text " : "binary ",
        describe_ ? describe_(message.payload) : message.payload));
  }
  void Close(const Ending& ending) override {
    log_.push_back(absl::StrCat("ws close ", static_cast<int>(ending.close),
                                " ", ending.end.status.message()));
  }

  MetadataDelivery metadata_delivery() const override { return delivery_; }
  void OnCallHeaders(const Metadata& headers) override {
    if (delivery_ == MetadataDelivery::kDropped) return;
    log_.push_back(absl::StrCat(
        "ws headers ", absl::StrJoin(headers, ",", absl::PairFormatter("="))));
  }
  void OnEnding(const Ending& ending) override {
    if (delivery_ == MetadataDelivery::kDropped) return;
    log_.push_back(absl::StrCat("ws ending ", static_cast<int>(ending.close)));
  }

 private:
  Log& log_;
  const Describe describe_;
  MetadataDelivery delivery_ = MetadataDelivery::kDropped;
};

}  // namespace headgate::testing

#endif  // TESTS_TESTING_FAKE_TRANSPORT_H_
