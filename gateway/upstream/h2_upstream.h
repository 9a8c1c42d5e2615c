#ifndef GATEWAY_UPSTREAM_H2_UPSTREAM_H_
#define GATEWAY_UPSTREAM_H2_UPSTREAM_H_

#include <cstddef>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "absl/time/time.h"
#include "gateway/base/turn.h"
#include "gateway/upstream/h2/timing.h"
#include "gateway/upstream/pooled_upstream.h"

namespace headgate {

// Upstream over HTTP/2 connections in the worker's own loop, by nghttp2: no
// thread but the worker's takes part in a call.
//
// A connection takes at most max_streams_per_channel calls at a time, or as
// many as its server says, if that is less; when all are full there is one
// more, and one that has had no call for half a minute goes again, but the
// oldest of each address. With round robin there is a connection to each
// address, and calls take turns; with pick_first all go to the first address
// that answers, the next being tried when one is silent for 250 ms. An address
// that fails is left alone for 250 ms to 1 s; calls that find none to go to
// within 5 s end with UNAVAILABLE. With health_check each connection has a
// stream more, one call less where that is the limit, by which its server says
// whether it serves; while it does not new calls go to other addresses. A call
// that the server has refused unseen goes to another connection. A connection
// that was lost is made again with the next tick.
//
// With TLS the files are looked at by the ticks; when they have changed new
// calls get new connections, and what is under way goes on.
//
// Thread: the worker's, the one that runs `worker`. A call counts as work there
// until it is done or destroyed.
class H2Upstream final : public PooledUpstream {
 public:
  // `worker` and its `turn` must outlive every call, and be run by one thread.
  H2Upstream(UpstreamOptions options, boost::asio::io_context& worker,
             Turn& turn, const H2Timing& timing = {});
  // Calls that are under way go on.
  ~H2Upstream() override;

  std::unique_ptr<UpstreamCall> StartCall(
      CallRequest request, UpstreamCallObserver& observer) override;

  std::size_t call_bytes() const override { return 3 * 1024; }

  void OnTick(absl::Time now) override;
  std::size_t channel_count() const override;
  void KeepConnected() override;
  bool is_up() const override;
  bool is_failing() const override;
  absl::Status tls_status() const override;

 private:
  const std::shared_ptr<class H2Pool> pool_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_UPSTREAM_H_
