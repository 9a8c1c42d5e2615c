#include "gateway/config/settings.h"

#include <cstdint>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "gateway/base/metadata.h"
#include "gateway/config/address.h"

namespace headgate {
namespace {

// Collects faults; each check names its field.
class Faults {
 public:
  void Add(absl::string_view field, absl::string_view fault) {
    lines_.push_back(absl::StrCat(field, ": ", fault));
  }
  template <typename Number>
  void Range(absl::string_view field, Number value, Number lowest,
             Number highest) {
    if (value < lowest) {
      Add(field, absl::StrCat("must be at least ", lowest, ", is ", value));
    } else if (value > highest) {
      Add(field, absl::StrCat("must be at most ", highest, ", is ", value));
    }
  }
  void AtLeast(absl::string_view field, absl::Duration value,
               absl::Duration lowest) {
    if (value >= lowest) return;
    Add(field, absl::StrCat("must be at least ", absl::FormatDuration(lowest),
                            ", is ", absl::FormatDuration(value)));
  }
  absl::Status ToStatus() const {
    if (lines_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrJoin(lines_, "\n"));
  }

 private:
  std::vector<std::string> lines_;
};

// protobuf's own limit, and so gRPC's, on one message.
constexpr std::size_t kMostMessageBytes = std::numeric_limits<int>::max();

void CheckOrigin(absl::string_view field, absl::string_view origin,
                 Faults& faults) {
  if (origin == "*" || origin == "null") return;
  const std::size_t scheme = origin.find("://");
  const bool has_host = scheme != absl::string_view::npos && scheme > 0 &&
                        origin.size() > scheme + 3;
  if (!has_host || absl::StrContains(origin.substr(scheme + 3), '/')) {
    faults.Add(field, absl::StrCat("must be an origin such as "
                                   "https://example.com, "
                                   "https://*.example.com or *, is \"",
                                   origin, "\""));
  }
}

void CheckListener(const std::string& field, const ListenerSettings& listener,
                   Faults& faults) {
  if (const auto address = ParseAddress(listener.address); !address.ok()) {
    faults.Add(field + ".address", address.status().message());
  }
  for (std::size_t i = 0; i < listener.allowed_origins.size(); ++i) {
    CheckOrigin(absl::StrCat(field, ".allowed_origins[", i, "]"),
                listener.allowed_origins[i], faults);
  }
  for (std::size_t i = 0; i < listener.trusted_proxies.size(); ++i) {
    if (const auto network = Network::Parse(listener.trusted_proxies[i]);
        !network.ok()) {
      faults.Add(absl::StrCat(field, ".trusted_proxies[", i, "]"),
                 network.status().message());
    }
  }
}

// grpc/grpc doc/naming.md. gRPC itself takes any text for the name of a host,
// and says so only when it cannot be found.
void CheckTarget(const std::string& target, Faults& faults) {
  static constexpr absl::string_view kSchemes[] = {
      "dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "xds:"};
  for (const absl::string_view scheme : kSchemes) {
    if (!absl::StartsWith(target, scheme)) continue;
    if (target.find_first_not_of('/', scheme.size()) == std::string::npos) {
      break;
    }
    return;
  }
  const absl::StatusOr<Address> address = ParseAddress(target);
  if (address.ok() && !address->host.empty() && address->port != 0 &&
      !absl::StrContains(target, '/')) {
    return;
  }
  faults.Add("upstream.target",
             absl::StrCat("must be host:port or a gRPC name such as "
                          "dns:///host:port or unix:/path, is \"",
                          target, "\""));
}

void CheckRoute(const std::string& field, const Route& route, Faults& faults) {
  if (!route.path.empty() && route.path[0] != '/') {
    faults.Add(field + ".path",
               absl::StrCat("must begin with /, is \"", route.path, "\""));
  }
  if (!route.method.empty() && !IsMethodPath(route.method)) {
    faults.Add(field + ".method",
               absl::StrCat("must be package.Service/Method, is \"",
                            absl::StripPrefix(route.method, "/"), "\""));
  }
  if (!route.path.empty() && route.method.empty() &&
      !IsMethodPath(route.path)) {
    faults.Add(field + ".method",
               "is missing, and the path is not /package.Service/Method");
  }
  for (std::size_t i = 0; i < route.forward_headers.size(); ++i) {
    const std::string& name = route.forward_headers[i];
    if (!IsMetadataKey(name) || absl::StartsWith(name, "grpc-")) {
      faults.Add(absl::StrCat(field, ".forward_headers[", i, "]"),
                 absl::StrCat("\"", name, "\" cannot be a metadata key"));
    }
  }
  if (route.deadline <= absl::ZeroDuration()) {
    faults.Add(field + ".deadline",
               absl::StrCat("must be more than 0, is ",
                            absl::FormatDuration(route.deadline)));
  }
  faults.Range<std::size_t>(field + ".max_message_bytes",
                            route.max_message_bytes, 1, kMostMessageBytes);
  faults.Range<std::size_t>(field + ".packet.max_packet_bytes",
                            route.packet.max_packet_bytes, 1,
                            kMostMessageBytes);
  faults.Range(field + ".packet.max_depth", route.packet.max_depth, 1, 64);
  for (const std::uint32_t type : route.packet.container_types) {
    if (type == kEndPacket) {
      faults.Add(field + ".packet.container_types",
                 "the type of the end packet cannot be a container");
    }
  }
}

}  // namespace

absl::Status Validate(const Settings& settings) {
  Faults faults;
  if (settings.listeners.empty()) faults.Add("listeners", "there is none");
  for (std::size_t i = 0; i < settings.listeners.size(); ++i) {
    CheckListener(absl::StrCat("listeners[", i, "]"), settings.listeners[i],
                  faults);
  }
  CheckTarget(settings.upstream.target, faults);
  for (std::size_t i = 0; i < settings.routes.size(); ++i) {
    CheckRoute(absl::StrCat("routes[", i, "]"), settings.routes[i], faults);
  }

  const LimitSettings& limits = settings.limits;
  faults.Range("limits.max_sessions", limits.max_sessions, 1,
               std::numeric_limits<int>::max());
  faults.Range<std::size_t>("limits.max_answer_bytes", limits.max_answer_bytes,
                            1, kMostMessageBytes);
  faults.Range<std::size_t>("limits.max_header_bytes", limits.max_header_bytes,
                            256, 1024 * 1024);
  faults.Range<std::size_t>("limits.max_buffered_bytes",
                            limits.max_buffered_bytes, 1, 1024 * 1024 * 1024);

  const TimeoutSettings& timeouts = settings.timeouts;
  const absl::Duration tick = absl::Milliseconds(10);
  faults.AtLeast("timeouts.handshake", timeouts.handshake, tick);
  faults.AtLeast("timeouts.send", timeouts.send, tick);
  faults.AtLeast("timeouts.stall", timeouts.stall, tick);
  faults.AtLeast("timeouts.close", timeouts.close, tick);
  faults.AtLeast("timeouts.drain", timeouts.drain, absl::ZeroDuration());
  faults.AtLeast("timeouts.reflection", timeouts.reflection, tick);
  faults.Range("threads", settings.threads, 0, 1024);
  return faults.ToStatus();
}

}  // namespace headgate
