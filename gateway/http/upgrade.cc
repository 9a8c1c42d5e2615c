#include "gateway/http/upgrade.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gateway/http/host.h"
#include "gateway/http/target.h"

namespace headgate {

bool IsWebSocket(const HttpRequest& request) {
  return request.version >= 11 && request.method == "GET" &&
         request.headers.HasElement("Connection", "Upgrade") &&
         request.headers.HasElement("Upgrade", "websocket");
}

bool IsHttp2(const HttpRequest& request) { return request.version >= 20; }

std::optional<Refusal> CheckHost(const HttpRequest& request) {
  std::vector<absl::string_view> hosts = request.headers.Values("Host");
  if (request.headers.Has(":authority")) {
    const absl::string_view authority = HostOf(request.headers);
    if (std::any_of(hosts.begin(), hosts.end(), [&](absl::string_view host) {
          return !absl::EqualsIgnoreCase(host, authority);
        })) {
      return BadRequest("Host and :authority contradict each other");
    }
    hosts = {authority};
  }
  if (hosts.empty() && request.version < 11) return std::nullopt;
  if (hosts.size() == 1 && IsHost(hosts[0])) return std::nullopt;
  return BadRequest("there must be one Host header, HOST or HOST:PORT");
}

std::optional<Refusal> CheckUpgrade(const HttpRequest& request) {
  if (request.version < 11) {
    return BadRequest("a WebSocket needs HTTP/1.1");
  }
  if (!IsWebSocket(request)) {
    Refusal refusal = Refuse(
        RefusalReason::kUpgradeRequired,
        IsHttp2(request)
            ? "this address speaks WebSocket: send an extended CONNECT with "
              ":protocol websocket, or use HTTP/1.1"
            : "this address speaks WebSocket: send Connection: Upgrade and "
              "Upgrade: websocket with a GET");
    refusal.headers = {{"Upgrade", "websocket"}};
    return refusal;
  }
  const std::vector<absl::string_view> versions =
      request.headers.Values("Sec-WebSocket-Version");
  if (versions.size() != 1 || versions[0] != "13") {
    Refusal refusal = Refuse(RefusalReason::kUpgradeRequired,
                             "Sec-WebSocket-Version must be 13");
    refusal.headers = {{"Upgrade", "websocket"},
                       {"Sec-WebSocket-Version", "13"}};
    return refusal;
  }
  const std::vector<absl::string_view> keys =
      request.headers.Values("Sec-WebSocket-Key");
  std::string key;
  // RFC 8441 section 5: HTTP/2 has no use for one.
  if (!IsHttp2(request) &&
      (keys.size() != 1 || keys[0].size() != 24 ||
       !absl::Base64Unescape(keys[0], &key) || key.size() != 16)) {
    return BadRequest("Sec-WebSocket-Key must be the base64 of 16 bytes");
  }
  if (std::optional<Refusal> refusal = CheckHost(request)) return refusal;
  // A proxy in between would read a body as HTTP's, and the gateway would read
  // it as WebSocket frames.
  if (request.headers.Has("Transfer-Encoding") ||
      (request.headers.Has("Content-Length") &&
       request.headers.Value("Content-Length") != "0")) {
    return BadRequest("a handshake has no body");
  }
  return std::nullopt;
}

}  // namespace headgate
