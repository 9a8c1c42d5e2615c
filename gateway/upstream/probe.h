#ifndef GATEWAY_UPSTREAM_PROBE_H_
#define GATEWAY_UPSTREAM_PROBE_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/upstream/upstream.h"

namespace headgate {

// One call of grpc.health.v1.Health/Check, which every server answers in some
// way: those without the service with UNIMPLEMENTED. The status alone is of
// interest, as it shows whether the backend is there.
//
// Thread: that of its upstream. Lifetime: destroying it cancels the call.
class UpstreamProbe {
 public:
  virtual ~UpstreamProbe() = default;
};

// `upstream` must outlive the probe. `done` is called once, and may destroy it.
std::unique_ptr<UpstreamProbe> StartProbe(
    Upstream& upstream, absl::Duration timeout,
    std::function<void(const absl::Status&)> done);

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_PROBE_H_
