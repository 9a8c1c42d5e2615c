#ifndef GATEWAY_UPSTREAM_POOLED_UPSTREAM_H_
#define GATEWAY_UPSTREAM_POOLED_UPSTREAM_H_

#include <cstddef>
#include <limits>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/base/turn.h"
#include "gateway/config/settings.h"
#include "gateway/upstream/upstream.h"

namespace headgate {

struct UpstreamOptions {
  UpstreamSettings settings;
  // A longer answer ends its call with RESOURCE_EXHAUSTED.
  std::size_t max_answer_bytes = 4 * 1024 * 1024;
  // What is taken of a call's answers ahead of Read: the HTTP/2 window of a
  // stream, at least the 64 KiB of RFC 9113 section 6.9.2.
  std::size_t read_ahead_bytes = 64 * 1024;
  // Beside the first to each address further connections are opened while there
  // are fewer than so many: a server may allow few calls on each.
  std::size_t max_connections = std::numeric_limits<std::size_t>::max();
};

// An Upstream as its worker keeps it: with connections that come and go.
//
// Thread: the worker's, the one that runs its io_context. A call counts as work
// there until it is done with, so that run() returns no sooner.
class PooledUpstream : public Upstream {
 public:
  // To be called now and then: lets go of connections that are idle.
  virtual void OnTick(absl::Time now) = 0;

  // Connections there are; for metrics and the tests.
  virtual std::size_t channel_count() const = 0;
  // Connects where there is no connection, unless that has just failed; to be
  // called with each tick by the worker that watches whether the upstream can
  // be reached. Others connect when a call needs it.
  virtual void KeepConnected() = 0;
  // Whether there is a connection that takes calls.
  virtual bool is_up() const = 0;
  // Whether it has tried to connect and failed, and tries again.
  virtual bool is_failing() const = 0;
  // Why the files of TLS, as they are now, cannot be used; what they were
  // before then goes on being used. OK without TLS.
  virtual absl::Status tls_status() const = 0;
};

// What the header list of a call holds besides its metadata and the path of its
// method, at most, as RFC 9113 section 10.5.1 counts it: the same for every
// transport.
std::size_t OwnHeaderListBytes(const UpstreamSettings& settings);

// Over the transport that the settings choose. `worker` and its `turn` must
// outlive every call, and be run by one thread.
std::unique_ptr<PooledUpstream> MakePooledUpstream(
    UpstreamOptions options, boost::asio::io_context& worker, Turn& turn);

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_POOLED_UPSTREAM_H_
