#include "gateway/config/check.h"
#include "gateway/config/collector_url.h"

namespace headgate {

void CheckTracing(const Settings& settings, Faults& faults) {
  if (!settings.tracing) return;
  const auto url = ParseCollectorUrl(settings.tracing->endpoint);
  if (!url.ok()) faults.Add("tracing.endpoint", url.status().message());
  const double ratio = settings.tracing->sample_ratio;
  // Also not a NaN.
  if (!(ratio >= 0 && ratio <= 1)) {
    faults.Add("tracing.sample_ratio", "must be a number from 0 to 1");
  }
}

}  // namespace headgate
