#include "gateway/upstream/probe.h"

#include <string>
#include <utility>

namespace headgate {
namespace {

class HealthProbe final : public UpstreamProbe, private UpstreamCallObserver {
 public:
  HealthProbe(Upstream& upstream, absl::Duration timeout,
              std::function<void(const absl::Status&)> done)
      : done_(std::move(done)),
        call_(upstream.StartCall({"/grpc.health.v1.Health/Check", {}, timeout},
                                 *this)) {
    call_->Read();
    // An empty HealthCheckRequest: the server as a whole.
    call_->Write("", WriteHint::kLast);
  }

 private:
  void OnMessage(std::string /*payload*/) override { call_->Read(); }
  void OnWritten() override { call_->WritesDone(); }
  void OnDone(CallEnd end) override {
    const auto done = std::move(done_);
    done(end.status);
  }

  std::function<void(const absl::Status&)> done_;
  const std::unique_ptr<UpstreamCall> call_;
};

}  // namespace

std::unique_ptr<UpstreamProbe> StartProbe(
    Upstream& upstream, absl::Duration timeout,
    std::function<void(const absl::Status&)> done) {
  return std::make_unique<HealthProbe>(upstream, timeout, std::move(done));
}

}  // namespace headgate
