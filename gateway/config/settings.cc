#include "gateway/config/settings.h"

#include <limits>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/config/address.h"
#include "gateway/config/check.h"
#include "gateway/route/path_template.h"

namespace headgate {
namespace {

void CheckOrigin(absl::string_view field, absl::string_view origin,
                 Faults& faults) {
  if (origin == "*" || origin == "null") return;
  const std::size_t scheme = origin.find("://");
  const bool has_host = scheme != absl::string_view::npos && scheme > 0 &&
                        origin.size() > scheme + 3;
  // A wildcard stands for subdomains, and so before a dot, once.
  absl::string_view host = has_host ? origin.substr(scheme + 3) : "";
  absl::ConsumePrefix(&host, "*.");
  if (host.empty() || host.find_first_of("/*") != host.npos) {
    faults.Add(field, absl::StrCat("must be an origin such as "
                                   "https://example.com, "
                                   "https://*.example.com or *, is \"",
                                   origin, "\""));
  }
}

void CheckListener(const std::string& field, const ListenerSettings& listener,
                   absl::flat_hash_map<std::string, std::string>& by_address,
                   Faults& faults) {
  const auto address = ParseAddress(listener.address);
  if (!address.ok()) {
    faults.Add(field + ".address", address.status().message());
  } else if (address->port != 0) {  // Of port 0 each takes another one.
    const auto [first, is_new] =
        by_address.emplace(FormatAddress(address->host, address->port), field);
    if (!is_new) {
      faults.Add(field + ".address",
                 absl::StrCat("is that of ", first->second, " too"));
    }
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

}  // namespace

void CheckSettings(const Settings& settings, Faults& faults) {
  if (settings.listeners.empty()) faults.Add("listeners", "there is none");
  absl::flat_hash_map<std::string, std::string> by_address;
  for (std::size_t i = 0; i < settings.listeners.size(); ++i) {
    CheckListener(absl::StrCat("listeners[", i, "]"), settings.listeners[i],
                  by_address, faults);
  }
  CheckUpstreams(settings, faults);
  CheckRoutes(settings, faults);
  CheckReach(settings, faults);

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
  faults.AtLeast("timeouts.keep_alive", timeouts.keep_alive, tick);
  faults.AtLeast("timeouts.reflection", timeouts.reflection, tick);
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

void SetCodecs(Route& route) {
  SetCodecsFor(route.method.empty() ? route.path : route.method, route);
  if (!route.multiplex.methods.empty()) {
    if (!route.codec) route.codec = CodecKind::kPacket;
    route.binary_codec = CodecKind::kPacket;
    route.allowed_codecs = {CodecKind::kPacket};
  } else if (TakesPathAndQuery(route)) {
    if (!route.codec) route.codec = CodecKind::kJson;
    route.binary_codec = CodecKind::kJson;
    route.allowed_codecs = {CodecKind::kJson};
  } else if (route.codec &&
             !absl::c_linear_search(route.allowed_codecs, *route.codec)) {
    route.allowed_codecs.insert(route.allowed_codecs.begin(), *route.codec);
  }
}

bool TakesPathAndQuery(const Route& route) {
  if (route.http_rules) return true;
  if (route.path_template.empty()) return false;
  const auto path_template = PathTemplate::Parse(route.path_template);
  return path_template.ok() && !path_template->variables.empty();
}

}  // namespace headgate
