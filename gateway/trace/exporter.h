#ifndef GATEWAY_TRACE_EXPORTER_H_
#define GATEWAY_TRACE_EXPORTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/config/collector_url.h"
#include "gateway/config/settings.h"
#include "gateway/trace/collector_request.h"
#include "gateway/trace/span_queue.h"

namespace headgate {

// Sends spans to a collector, a batch at a time. A batch that the collector
// does not take is not sent again.
//
// Thread: the control thread's. Nothing waits for it.
class SpanExporter {
 public:
  // `control` must outlive it.
  SpanExporter(boost::asio::io_context& control,
               std::shared_ptr<SpanQueue> spans);

  // Absent: nothing is sent from now on, and what waits is discarded.
  // Requires: settings that Validate accepts.
  void Configure(const std::optional<TracingSettings>& settings);

  // Spans, since the start.
  std::uint64_t exported() const { return exported_; }
  std::uint64_t failed() const { return failed_; }

 private:
  void Wait();
  // Sends a batch, if one is due and none is on its way.
  void SendSome();
  void OnSent(std::size_t spans, const absl::Status& status);
  void LogFailure(const absl::Status& status);

  boost::asio::io_context& control_;
  const std::shared_ptr<SpanQueue> spans_;
  std::optional<TracingSettings> settings_;
  CollectorUrl url_;  // Of settings_.
  boost::asio::steady_timer timer_;
  std::size_t sending_ = 0;  // Spans in request_.
  std::unique_ptr<CollectorRequest> request_;
  std::uint64_t exported_ = 0;
  std::uint64_t failed_ = 0;
  absl::Time last_logged_ = absl::InfinitePast();
};

}  // namespace headgate

#endif  // GATEWAY_TRACE_EXPORTER_H_
