#ifndef GATEWAY_ADMIN_METRICS_TEXT_H_
#define GATEWAY_ADMIN_METRICS_TEXT_H_

#include <cstdint>
#include <string>

#include "gateway/admin/gateway.h"
#include "gateway/admin/process_metrics.h"
#include "gateway/admin/stats.h"

namespace headgate {

// All that is told at one time.
struct MetricsSource {
  Stats stats;
  Readiness readiness;
  bool draining = false;
  ProcessMetrics process;
  std::uint64_t log_lines_dropped = 0;
};

// As Prometheus reads it, version 0.0.4 of its text format. Each metric is
// described in docs/operations.md, and each that has no samples yet is
// announced.
std::string MetricsText(const MetricsSource& source);

}  // namespace headgate

#endif  // GATEWAY_ADMIN_METRICS_TEXT_H_
