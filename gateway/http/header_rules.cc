#include "gateway/http/header_rules.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace headgate {
namespace {

constexpr absl::string_view kMetadataPrefix = "grpc-metadata-";
// All clients whose address a proxy does not know; they are counted together.
constexpr char kUnknownClient[] = "unknown";
constexpr std::size_t kMaxRequestIdBytes = 128;

// Hop-by-hop headers (RFC 9110 section 7.6.1), fields that gRPC sets or (load
// balancing of gRPC C++) interprets, and those that only the gateway may set.
// gRPC C++ aborts the process when it has to send "grpclb_client_stats".
constexpr absl::string_view kReserved[] = {
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "endpoint-load-metrics-bin",
    "grpclb_client_stats",
    "host",
    "keep-alive",
    "lb-cost-bin",
    "lb-token",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-request-id",
};
constexpr absl::string_view kReservedPrefixes[] = {
    "grpc-", "sec-websocket-", "x-forwarded-", "x-headgate-"};

bool IsReserved(absl::string_view key) {
  return std::find(std::begin(kReserved), std::end(kReserved), key) !=
             std::end(kReserved) ||
         std::any_of(std::begin(kReservedPrefixes), std::end(kReservedPrefixes),
                     [&](absl::string_view prefix) {
                       return absl::StartsWith(key, prefix);
                     });
}

// What is no metadata either where every header is: it concerns HTTP, browsers
// or the framing of a dialect. Pseudo-header fields have a colon in front.
bool IsOfHttp(absl::string_view key) {
  constexpr absl::string_view kPrefixes[] = {":", "accept", "connect-",
                                             "content-", "sec-"};
  return std::any_of(
      std::begin(kPrefixes), std::end(kPrefixes),
      [&](absl::string_view prefix) { return absl::StartsWith(key, prefix); });
}

absl::Status BadHeader(absl::string_view name, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("header ", name, ": ", what));
}

// Base64 with or without padding (grpc/grpc doc/PROTOCOL-HTTP2.md,
// "Custom-Metadata"). absl's decoder takes more: blanks, and '.' for padding.
bool DecodeBinary(absl::string_view text, std::string* bytes) {
  absl::string_view digits = text;
  absl::ConsumeSuffix(&digits, "=");
  absl::ConsumeSuffix(&digits, "=");
  return std::all_of(digits.begin(), digits.end(),
                     [](char c) {
                       return absl::ascii_isalnum(c) || c == '+' || c == '/';
                     }) &&
         absl::Base64Unescape(text, bytes);
}

// Adds what the client sent under `name` as `key`. A "-bin" header may hold
// several values, joined by commas. Each is sent to the backend as a field of
// its own, because gRPC C++ closes the connection over a comma in one.
absl::Status AddValue(absl::string_view name, std::string key,
                      absl::string_view value, Metadata& metadata) {
  if (!IsMetadataKey(key)) {
    return BadHeader(name, "the name cannot be a metadata key");
  }
  if (IsBinaryKey(key)) {
    for (const absl::string_view one : absl::StrSplit(value, ',')) {
      std::string bytes;
      if (!DecodeBinary(absl::StripAsciiWhitespace(one), &bytes)) {
        return BadHeader(name, "the value is not base64");
      }
      metadata.emplace_back(key, std::move(bytes));
    }
    return absl::OkStatus();
  }
  if (!IsMetadataValue(value)) {
    return BadHeader(name,
                     "the value has characters other than printable ASCII");
  }
  metadata.emplace_back(std::move(key), std::string(value));
  return absl::OkStatus();
}

// For headers that are always forwarded: bytes that metadata cannot contain
// become '?'.
std::string Printable(absl::string_view value) {
  std::string text(value);
  for (char& c : text) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  return text;
}

void AddIfPresent(const HeaderList& headers, absl::string_view header,
                  absl::string_view key, Metadata& metadata) {
  const absl::string_view value = headers.Value(header);
  if (!value.empty()) metadata.emplace_back(key, Printable(value));
}

// Tracing headers; tracestate and baggage may have several lines (W3C Trace
// Context section 3.3, W3C Baggage section 3.3). What the client or the route
// has made metadata of already stays as it is.
void AddTracing(const HeaderList& headers, absl::string_view name,
                Metadata& metadata) {
  const bool present =
      std::any_of(metadata.begin(), metadata.end(),
                  [&](const auto& entry) { return entry.first == name; });
  const std::vector<absl::string_view> lines = headers.Values(name);
  if (present || lines.empty()) return;
  metadata.emplace_back(name, Printable(absl::StrJoin(lines, ",")));
}

bool Contains(const std::vector<Network>& networks, absl::string_view address) {
  return std::any_of(
      networks.begin(), networks.end(),
      [&](const Network& network) { return network.Contains(address); });
}

// Some proxies write the client's port, too: "192.0.2.1:4711", "[::1]:4711".
absl::string_view WithoutPort(absl::string_view hop) {
  if (absl::ConsumePrefix(&hop, "[")) return hop.substr(0, hop.find(']'));
  const std::size_t colon = hop.find(':');
  return colon == hop.rfind(':') ? hop.substr(0, colon) : hop;
}

bool IsLowerHex(absl::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

bool IsZero(absl::string_view text) {
  return text.find_first_not_of('0') == absl::string_view::npos;
}

// W3C Trace Context section 3.2.2.
bool IsTraceparent(absl::string_view value) {
  constexpr std::size_t kSize = 55;
  if (value.size() < kSize || value[2] != '-' || value[35] != '-' ||
      value[52] != '-') {
    return false;
  }
  const absl::string_view version = value.substr(0, 2);
  const absl::string_view trace = value.substr(3, 32);
  const absl::string_view parent = value.substr(36, 16);
  const bool may_be_longer =
      version != "00" && value.size() > kSize && value[kSize] == '-';
  return IsLowerHex(version) && version != "ff" && IsLowerHex(trace) &&
         !IsZero(trace) && IsLowerHex(parent) && !IsZero(parent) &&
         IsLowerHex(value.substr(53, 2)) &&
         (value.size() == kSize || may_be_longer);
}

// A trace goes on; where there is none, or none that can be read, the gateway
// starts one, and what the client says of its own goes with it (section 4.3).
void AddTrace(const HeaderList& headers, const Peer& peer, Metadata& metadata) {
  AddTracing(headers, "traceparent", metadata);
  const auto is_parent = [](const auto& entry) {
    return entry.first == "traceparent";
  };
  const auto parent = std::find_if(metadata.begin(), metadata.end(), is_parent);
  if (parent != metadata.end() && IsTraceparent(parent->second) &&
      std::none_of(parent + 1, metadata.end(), is_parent)) {
    AddTracing(headers, "tracestate", metadata);
  } else {
    metadata.erase(std::remove_if(metadata.begin(), metadata.end(), is_parent),
                   metadata.end());
    metadata.emplace_back("traceparent", OwnTraceparent(peer.session_id));
  }
  AddTracing(headers, "baggage", metadata);
}

void AddForwarded(const HeaderList& headers, const Peer& peer,
                  const std::vector<Network>& trusted_proxies,
                  Metadata& metadata) {
  const bool trusted = Contains(trusted_proxies, peer.address);
  std::vector<std::string> hops;
  std::string host = Printable(HostOf(headers));
  std::string protocol = peer.is_tls ? "https" : "http";
  if (trusted) {
    for (const absl::string_view hop : headers.Elements("X-Forwarded-For")) {
      hops.push_back(Printable(hop));
    }
    const absl::string_view first_host = headers.Value("X-Forwarded-Host");
    if (!first_host.empty()) host = Printable(first_host);
    const absl::string_view first_protocol = headers.Value("X-Forwarded-Proto");
    if (!first_protocol.empty()) protocol = Printable(first_protocol);
  }
  hops.push_back(peer.address);
  metadata.emplace_back("x-forwarded-for", absl::StrJoin(hops, ", "));
  if (!host.empty()) metadata.emplace_back("x-forwarded-host", host);
  metadata.emplace_back("x-forwarded-proto", protocol);
}

}  // namespace

bool IsTrustedProxy(const Peer& peer,
                    const std::vector<Network>& trusted_proxies) {
  return Contains(trusted_proxies, peer.address);
}

std::optional<absl::string_view> ForwardedProtocol(
    const HeaderList& headers, const Peer& peer,
    const std::vector<Network>& trusted_proxies) {
  if (!IsTrustedProxy(peer, trusted_proxies)) return std::nullopt;
  const std::vector<absl::string_view> hops =
      headers.Elements("X-Forwarded-Proto");
  if (hops.empty()) return std::nullopt;
  return hops.front();
}

absl::StatusOr<Metadata> ClientMetadata(const HeaderList& headers,
                                        const Route& route, MetadataRule rule) {
  Metadata metadata;
  for (const auto& [name, value] : headers) {
    const std::string lower = absl::AsciiStrToLower(name);
    absl::string_view key = lower;
    if (absl::ConsumePrefix(&key, kMetadataPrefix)) {
      if (IsReserved(key)) continue;
    } else if (rule == MetadataRule::kEveryHeader && !IsReserved(key) &&
               !IsOfHttp(key)) {
      // It is taken as it is.
    } else if (std::find(route.forward_headers.begin(),
                         route.forward_headers.end(),
                         lower) != route.forward_headers.end()) {
      // A route cannot forward a reserved header, except for cookies.
      if (IsReserved(key) && key != "cookie") continue;
    } else {
      continue;
    }
    if (absl::Status added = AddValue(name, std::string(key), value, metadata);
        !added.ok()) {
      return added;
    }
  }
  return metadata;
}

absl::StatusOr<Metadata> MetadataFromHeaders(
    const HeaderList& headers, const Route& route, const Peer& peer,
    const std::vector<Network>& trusted_proxies, MetadataRule rule) {
  absl::StatusOr<Metadata> client = ClientMetadata(headers, route, rule);
  if (!client.ok()) return client;
  Metadata& metadata = *client;
  AddTrace(headers, peer, metadata);
  const absl::string_view request_id = headers.Value("X-Request-Id");
  metadata.emplace_back(
      "x-request-id",
      request_id.empty() || request_id.size() > kMaxRequestIdBytes
          ? peer.session_id
          : Printable(request_id));
  AddForwarded(headers, peer, trusted_proxies, metadata);
  AddIfPresent(headers, "Origin", "origin", metadata);
  AddIfPresent(headers, "User-Agent", "x-forwarded-user-agent", metadata);
  metadata.emplace_back("x-headgate-session", peer.session_id);
  if (!peer.client_subject.empty()) {
    metadata.emplace_back("x-headgate-client-subject", peer.client_subject);
  }
  return client;
}

absl::StatusOr<Metadata> MetadataFromCallHeaders(const HeaderList& headers,
                                                 const Route& route,
                                                 Metadata request) {
  absl::StatusOr<Metadata> own =
      ClientMetadata(headers, route, MetadataRule::kEveryHeader);
  if (!own.ok()) return own;
  const auto is_trace = [](const auto& entry) {
    return entry.first == "traceparent" || entry.first == "tracestate";
  };
  const std::vector<absl::string_view> parents = headers.Values("Traceparent");
  Metadata& less =
      parents.size() == 1 && IsTraceparent(parents[0]) ? request : *own;
  less.erase(std::remove_if(less.begin(), less.end(), is_trace), less.end());
  const absl::string_view request_id = headers.Value("X-Request-Id");
  if (!request_id.empty() && request_id.size() <= kMaxRequestIdBytes) {
    for (auto& [key, value] : request) {
      if (key == "x-request-id") value = Printable(request_id);
    }
  }
  std::move(own->begin(), own->end(), std::back_inserter(request));
  return request;
}

std::string OwnTraceparent(absl::string_view session_id) {
  return absl::StrCat("00-", session_id, "-", session_id.substr(0, 16), "-01");
}

std::string TraceIdOf(const Metadata& metadata) {
  for (const auto& [key, value] : metadata) {
    if (key == "traceparent") return value.substr(3, 32);
  }
  return "";
}

std::string ClientAddress(const HeaderList& headers, const std::string& peer,
                          const std::vector<Network>& trusted_proxies) {
  if (!Contains(trusted_proxies, peer)) return peer;
  const std::vector<absl::string_view> hops =
      headers.Elements("X-Forwarded-For");
  for (auto hop = hops.rbegin(); hop != hops.rend(); ++hop) {
    const absl::string_view address = WithoutPort(*hop);
    const bool is_address = !AddressNetwork(address).empty();
    if (!is_address) return kUnknownClient;
    if (!Contains(trusted_proxies, address)) return std::string(address);
  }
  return peer;
}

std::string CountedAddress(const std::string& client,
                           const std::vector<Network>& trusted_proxies) {
  static const std::vector<Network>& loopback = *new std::vector<Network>{
      *Network::Parse("127.0.0.0/8"), *Network::Parse("::1")};
  if (client == kUnknownClient) return client;
  if (Contains(loopback, client) || Contains(trusted_proxies, client)) {
    return "";
  }
  return AddressNetwork(client);
}

namespace {

// One to ten digits (connectrpc.com/docs/protocol, "Timeout-Milliseconds").
absl::StatusOr<absl::Duration> ConnectTimeout(absl::string_view value) {
  std::int64_t milliseconds = 0;
  if (value.size() <= 10 &&
      std::all_of(value.begin(), value.end(), absl::ascii_isdigit) &&
      absl::SimpleAtoi(value, &milliseconds)) {
    return absl::Milliseconds(milliseconds);
  }
  return BadHeader("Connect-Timeout-Ms", "must be 1 to 10 digits");
}

}  // namespace

absl::StatusOr<absl::Duration> TimeoutFromHeaders(const HeaderList& headers) {
  const absl::string_view value = headers.Value("Grpc-Timeout");
  if (value.empty()) {
    const absl::string_view connect = headers.Value("Connect-Timeout-Ms");
    if (!connect.empty()) return ConnectTimeout(connect);
    return absl::InfiniteDuration();
  }
  const absl::string_view digits = value.substr(0, value.size() - 1);
  std::int64_t amount = 0;
  const bool valid =
      !digits.empty() && digits.size() <= 8 &&
      std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) &&
      absl::SimpleAtoi(digits, &amount);
  if (valid) {
    switch (value.back()) {
      case 'H':
        return absl::Hours(amount);
      case 'M':
        return absl::Minutes(amount);
      case 'S':
        return absl::Seconds(amount);
      case 'm':
        return absl::Milliseconds(amount);
      case 'u':
        return absl::Microseconds(amount);
      case 'n':
        return absl::Nanoseconds(amount);
    }
  }
  return BadHeader("Grpc-Timeout",
                   "must be 1 to 8 digits and one of H M S m u n");
}

}  // namespace headgate
