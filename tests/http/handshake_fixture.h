#ifndef TESTS_HTTP_HANDSHAKE_FIXTURE_H_
#define TESTS_HTTP_HANDSHAKE_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "gateway/http/handshake.h"
#include "tests/http/api_rules.h"
#include "tests/http/http_request.h"

namespace headgate {

inline constexpr char kUpgrade[] =
    "Host: example.com\r\nConnection: keep-alive, Upgrade\r\n"
    "Upgrade: WebSocket\r\n";
inline constexpr char kVersion[] = "Sec-WebSocket-Version: 13\r\n";
inline constexpr char kKey[] =
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

inline std::string WebSocket(const std::string& more = "") {
  return absl::StrCat(kUpgrade, kVersion, kKey, more);
}

// What the handshake makes of a request.
class HandshakeFixture : public ::testing::Test {
 protected:
  HandshakeFixture() {
    Route room;
    room.path = "/room";
    room.target = FixedMethod{"/p.S/M"};
    room.token_cookie = "token";
    room.token_query = "access_token";
    room.deadline = absl::Seconds(30);
    Route told = room;
    told.path = "/told";
    told.refusals = Refusals::kClose;
    Use({room, told, Route{}});
  }
  void Use(std::vector<Route> routes) {
    policy_.router = std::make_shared<const Router>(std::move(routes));
  }

  std::variant<Refusal, Admission> Judge(const std::string& line,
                                         const std::string& headers) {
    const HttpRequest request =
        ParseRequest(absl::StrCat(line, " HTTP/1.1\r\n", headers, "\r\n"));
    auto located = LocateRequest(request, policy_, peer_);
    if (auto* refusal = std::get_if<Refusal>(&located)) return *refusal;
    const auto& where = std::get<Located>(located);
    if (capacity_ != Capacity::kFree) {
      return NoCapacity(request, where, capacity_);
    }
    auto found = FindDestination(request, where, rules_.get());
    if (auto* refusal = std::get_if<Refusal>(&found)) return *refusal;
    return JudgeSession(request, policy_, peer_, where,
                        std::get<Destination>(found), {now_, now_ + ahead_});
  }
  Refusal Refused(const std::string& line, const std::string& headers) {
    auto result = Judge(line, headers);
    if (auto* refusal = std::get_if<Refusal>(&result)) return *refusal;
    ADD_FAILURE() << "admitted: " << line << "\n" << headers;
    return {};
  }
  Admission Admitted(const std::string& headers,
                     const std::string& line = "GET /room") {
    auto result = Judge(line, headers);
    if (auto* admission = std::get_if<Admission>(&result)) return *admission;
    ADD_FAILURE() << std::get<Refusal>(result).status;
    return {};
  }
  std::string Echo(const std::string& offered,
                   const std::string& line = "GET /room") {
    return Admitted(WebSocket("Sec-WebSocket-Protocol: " + offered + "\r\n"),
                    line)
        .subprotocol;
  }

  std::shared_ptr<const HttpRules> rules_;
  HandshakePolicy policy_;
  Peer peer_{.address = "192.0.2.1",
             .is_tls = false,
             .client_subject = "",
             .client = "",
             .session_id = "0123456789abcdef0123456789abcdef"};
  Capacity capacity_ = Capacity::kFree;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  absl::Duration ahead_;  // Of the time of day before the steady one.
};

}  // namespace headgate

#endif  // TESTS_HTTP_HANDSHAKE_FIXTURE_H_
