#include "gateway/config/settings.h"

#include <algorithm>
#include <limits>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/config/check.h"

namespace headgate {

absl::string_view UpstreamSettings::needs_grpc() const {
  if (absl::StartsWith(target, "xds:")) return "target";
  // A name server of its own: "dns://8.8.8.8/host:port".
  if (absl::StartsWith(target, "dns://") &&
      !absl::StartsWith(target, "dns:///")) {
    return "target";
  }
  return "";
}

UpstreamSettings::Transport UpstreamSettings::ChosenTransport() const {
  if (transport != Transport::kAuto) return transport;
  return needs_grpc().empty() ? Transport::kH2 : Transport::kGrpc;
}

std::optional<unsigned> SocketFileSettings::ModeBits() const {
  unsigned bits = 0;
  if (mode.empty() || mode.size() > 4) return std::nullopt;
  for (const char digit : mode) {
    if (digit < '0' || digit > '7') return std::nullopt;
    bits = bits * 8 + static_cast<unsigned>(digit - '0');
  }
  if (bits > 0777) return std::nullopt;
  return bits;
}

namespace {

// By default: a connection stays open for a moment after its session has ended
// or its request was refused, also where few sessions are allowed.
constexpr int kLeastConnections = 64;

}  // namespace

int LimitSettings::connections() const {
  constexpr int kMost = std::numeric_limits<int>::max() / 2;
  return max_connections.value_or(
      std::max(kLeastConnections, 2 * std::min(max_sessions, kMost)));
}

int LimitSettings::connections_per_address() const {
  constexpr int kMost = std::numeric_limits<int>::max() / 2;
  if (max_connections_per_address) return *max_connections_per_address;
  if (max_sessions_per_address == 0) return 0;
  return std::max(kLeastConnections,
                  2 * std::min(max_sessions_per_address, kMost));
}

namespace {

// RFC 9110 section 5.6.2.
bool IsHeaderName(absl::string_view text) {
  return absl::c_all_of(text, [](char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("!#$%&'*+-.^_`|~", c);
  });
}

void CheckIdentity(const LimitSettings& limits, Faults& faults) {
  faults.Range("limits.max_sessions_per_identity",
               limits.max_sessions_per_identity, 0,
               std::numeric_limits<int>::max());
  const bool has_claim = !limits.identity_claim.empty();
  const bool has_header = !limits.identity_header.empty();
  if (has_claim && has_header) {
    faults.Add("limits.identity_header",
               "contradicts identity_claim, one of them is enough",
               "limits.identity_claim");
  }
  if (has_header && !IsHeaderName(limits.identity_header)) {
    faults.Add("limits.identity_header", "is not the name of a header");
  }
  if (limits.max_sessions_per_identity > 0 && !has_claim && !has_header) {
    faults.Add("limits.max_sessions_per_identity",
               "needs identity_claim or identity_header");
  }
}

}  // namespace

void CheckSettings(const Settings& settings, Faults& faults) {
  CheckListeners(settings, faults);
  CheckAdmin(settings, faults);
  CheckHubEngine(settings, faults);
  CheckHubApi(settings, faults);
  CheckTracing(settings, faults);
  CheckUpstreams(settings, faults);
  CheckRoutes(settings, faults);
  CheckReach(settings, faults);

  const LimitSettings& limits = settings.limits;
  faults.Range("limits.max_sessions", limits.max_sessions, 1,
               std::numeric_limits<int>::max());
  faults.Range("limits.max_sessions_per_address",
               limits.max_sessions_per_address, 0,
               std::numeric_limits<int>::max());
  CheckIdentity(limits, faults);
  // Less is what the gateway needs to begin with.
  constexpr std::size_t kLeastMemory = 16 * 1024 * 1024;
  if (limits.max_memory.value_or(0) != 0) {
    faults.Range<std::size_t>("limits.max_memory", *limits.max_memory,
                              kLeastMemory,
                              std::numeric_limits<std::size_t>::max());
  }
  faults.Range("limits.max_connections", limits.max_connections.value_or(1), 1,
               std::numeric_limits<int>::max());
  faults.Range("limits.max_connections_per_address",
               limits.max_connections_per_address.value_or(0), 0,
               std::numeric_limits<int>::max());
  faults.Range<std::size_t>("limits.max_answer_bytes", limits.max_answer_bytes,
                            1, kMostMessageBytes);
  faults.Range<std::size_t>("limits.max_header_bytes", limits.max_header_bytes,
                            256, 1024 * 1024);
  // gRPC's own fields must fit in, and HTTP/2 libraries send no more.
  faults.Range<std::size_t>("limits.max_metadata_bytes",
                            limits.max_metadata_bytes, 2048, 64 * 1024);
  faults.Range<std::size_t>("limits.max_buffered_bytes",
                            limits.max_buffered_bytes, 1, 1024 * 1024 * 1024);

  const TimeoutSettings& timeouts = settings.timeouts;
  const absl::Duration tick = absl::Milliseconds(10);
  faults.AtLeast("timeouts.handshake", timeouts.handshake, tick);
  faults.AtLeast("timeouts.send", timeouts.send, tick);
  faults.AtLeast("timeouts.stall", timeouts.stall, tick);
  faults.AtLeast("timeouts.message", timeouts.message, tick);
  faults.AtLeast("timeouts.close", timeouts.close, tick);
  faults.AtLeast("timeouts.drain_delay", timeouts.drain_delay,
                 absl::ZeroDuration());
  faults.AtLeast("timeouts.drain", timeouts.drain, absl::ZeroDuration());
  faults.AtLeast("timeouts.keep_alive", timeouts.keep_alive, tick);
  faults.AtLeast("timeouts.reflection", timeouts.reflection, tick);
  faults.AtLeast("keepalive.interval", settings.keepalive.interval, tick);
  faults.AtLeast("keepalive.timeout", settings.keepalive.timeout, tick);
  faults.Range("threads", settings.threads, 0, 1024);
}

absl::Status Validate(const Settings& settings) {
  Faults faults;
  CheckSettings(settings, faults);
  std::vector<std::string> lines;
  for (const Fault& fault : faults.list()) {
    lines.push_back(absl::StrCat(fault.field, ": ", fault.text));
  }
  return JoinLines(lines);
}

}  // namespace headgate
