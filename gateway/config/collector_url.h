#ifndef GATEWAY_CONFIG_COLLECTOR_URL_H_
#define GATEWAY_CONFIG_COLLECTOR_URL_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headgate {

// Where an OpenTelemetry collector takes traces.
struct CollectorUrl {
  std::string host;       // Without brackets.
  std::string port;       // "80" where the URL has none.
  std::string authority;  // As it is written, for the Host header.
  std::string target;     // Path and query; at least "/".
};

// "http://HOST[:PORT][/PATH]". The error completes "endpoint: ".
absl::StatusOr<CollectorUrl> ParseCollectorUrl(absl::string_view text);

}  // namespace headgate

#endif  // GATEWAY_CONFIG_COLLECTOR_URL_H_
