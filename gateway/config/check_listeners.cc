#include <cstdint>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/config/address.h"
#include "gateway/config/check.h"

namespace headgate {
namespace {

// What stands for a port in an origin: a number, or any.
bool IsPort(absl::string_view text) {
  std::uint32_t port = 0;
  return text == "*" ||
         (absl::c_all_of(text, absl::ascii_isdigit) &&
          absl::SimpleAtoi(text, &port) && port > 0 && port <= 65535);
}

void CheckOrigin(absl::string_view field, absl::string_view origin,
                 Faults& faults) {
  if (origin == "*" || origin == "null") return;
  const std::size_t scheme = origin.find("://");
  const bool has_host = scheme != absl::string_view::npos && scheme > 0 &&
                        origin.size() > scheme + 3;
  absl::string_view host = has_host ? origin.substr(scheme + 3) : "";
  const std::size_t colon = host.rfind(':');
  // The colons of an IPv6 address stand inside brackets.
  const bool has_port =
      colon != host.npos && host.find(']', colon) == host.npos;
  const bool is_port = !has_port || IsPort(host.substr(colon + 1));
  if (has_port) host = host.substr(0, colon);
  // A wildcard stands for subdomains, and so before a dot, once.
  absl::ConsumePrefix(&host, "*.");
  if (host.empty() || !is_port || host.find_first_of("/?#@\\ *") != host.npos) {
    faults.Add(field, absl::StrCat("must be an origin such as "
                                   "https://example.com, "
                                   "https://*.example.com, "
                                   "http://localhost:* or *, is \"",
                                   origin, "\""));
  }
}

// Whether there is a user or group of that name is seen when it listens: on
// another machine there may be.
void CheckSocketFile(const std::string& field, const ListenerSettings& listener,
                     Faults& faults) {
  const SocketFileSettings& file = listener.file;
  const bool is_file = absl::StartsWith(listener.address, "unix:");
  for (const auto& [name, value] :
       {std::pair(".mode", &file.mode), std::pair(".user", &file.user),
        std::pair(".group", &file.group)}) {
    if (!value->empty() && !is_file) {
      faults.Add(field + name, "is for unix:/path only");
    }
  }
  if (is_file && !file.mode.empty() && !file.ModeBits()) {
    faults.Add(field + ".mode",
               absl::StrCat("must be octal digits such as 0660, is \"",
                            file.mode, "\""));
  }
}

void CheckAddress(const std::string& field, const ListenerSettings& listener,
                  absl::flat_hash_map<std::string, std::string>& by_address,
                  Faults& faults) {
  const auto address = ParseListenAddress(listener.address);
  if (!address.ok()) {
    return faults.Add(field + ".address", address.status().message());
  }
  const bool is_tcp = address->kind == ListenAddress::Kind::kTcp;
  if (listener.reuse_port && !is_tcp) {
    faults.Add(field + ".reuse_port", "is for HOST:PORT only");
  }
  if (is_tcp && address->tcp.port == 0) return;  // Each takes another one.
  const std::string name =
      is_tcp ? FormatAddress(address->tcp.host, address->tcp.port)
             : listener.address;
  const auto [first, is_new] = by_address.emplace(name, field);
  if (!is_new) {
    faults.Add(field + ".address",
               absl::StrCat("is that of ", first->second, " too"));
  }
}

// The one in use, the one before and the next, several times over.
constexpr std::size_t kMaxTicketKeys = 16;
constexpr int kMostHandshakesPerSecond = 1'000'000;

void CheckTls(const std::string& field, const ListenerTlsSettings& tls,
              Faults& faults) {
  using ClientCertificates = ListenerTlsSettings::ClientCertificates;
  CheckPem(field + ".certificate", tls.certificate, faults);
  CheckPem(field + ".key", tls.key, faults);
  CheckPem(field + ".client_ca", tls.client_ca, faults);
  if (tls.certificate.empty()) faults.Add(field + ".certificate", "is missing");
  if (tls.key.empty()) faults.Add(field + ".key", "is missing");
  for (std::size_t i = 0; i < tls.certificates.size(); ++i) {
    const TlsCertificateSettings& more = tls.certificates[i];
    const std::string name = absl::StrCat(field, ".certificates[", i, "]");
    CheckPem(name + ".certificate", more.certificate, faults);
    CheckPem(name + ".key", more.key, faults);
    if (more.certificate.empty()) {
      faults.Add(name + ".certificate", "is missing");
    }
    if (more.key.empty()) faults.Add(name + ".key", "is missing");
  }
  faults.Range(field + ".handshakes_per_second", tls.handshakes_per_second, 0,
               kMostHandshakesPerSecond);
  const std::string keys = field + ".session_ticket_keys";
  if (tls.session_ticket_keys.size() > kMaxTicketKeys) {
    faults.Add(keys, absl::StrCat("has more than ", kMaxTicketKeys));
  }
  for (std::size_t i = 0; i < tls.session_ticket_keys.size(); ++i) {
    if (tls.session_ticket_keys[i].empty()) {
      faults.Add(absl::StrCat(keys, "[", i, "]"), "is empty");
    }
  }
  const bool asks = tls.client_certificates != ClientCertificates::kNone;
  if (asks && tls.client_ca.empty()) {
    faults.Add(field + ".client_ca",
               "is missing, while client_certificates are asked for");
  }
  if (!asks && !tls.client_ca.empty()) {
    faults.Add(field + ".client_ca",
               "means nothing without client_certificates");
  }
}

void CheckCompression(const std::string& field,
                      const CompressionSettings& compression, Faults& faults) {
  faults.Range(field + ".level", compression.level, 1, 9);
  faults.Range(field + ".server_max_window_bits",
               compression.server_max_window_bits, 9, 15);
  faults.Range(field + ".client_max_window_bits",
               compression.client_max_window_bits, 9, 15);
}

void CheckListener(const std::string& field, const ListenerSettings& listener,
                   absl::flat_hash_map<std::string, std::string>& by_address,
                   Faults& faults) {
  CheckAddress(field, listener, by_address, faults);
  CheckSocketFile(field, listener, faults);
  if (listener.tls) CheckTls(field + ".tls", *listener.tls, faults);
  CheckCompression(field + ".compression", listener.compression, faults);
  faults.Range(field + ".http2_max_streams", listener.http2_max_streams, 1,
               10'000);
  for (std::size_t i = 0; i < listener.allowed_origins.size(); ++i) {
    CheckOrigin(absl::StrCat(field, ".allowed_origins[", i, "]"),
                listener.allowed_origins[i], faults);
  }
  for (std::size_t i = 0; i < listener.allowed_hosts.size(); ++i) {
    const std::string& host = listener.allowed_hosts[i];
    if (host == "*" || IsHostPattern(host)) continue;
    faults.Add(absl::StrCat(field, ".allowed_hosts[", i, "]"),
               absl::StrCat("must be a host without a port, such as "
                            "app.example.com, *.example.com or *, is \"",
                            host, "\""));
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

void CheckListeners(const Settings& settings, Faults& faults) {
  if (settings.listeners.empty()) faults.Add("listeners", "there is none");
  absl::flat_hash_map<std::string, std::string> by_address;
  for (std::size_t i = 0; i < settings.listeners.size(); ++i) {
    CheckListener(absl::StrCat("listeners[", i, "]"), settings.listeners[i],
                  by_address, faults);
  }
}

}  // namespace headgate
