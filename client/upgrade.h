#ifndef CLIENT_UPGRADE_H_
#define CLIENT_UPGRADE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/failure.h"
#include "client/url.h"

namespace headgate {

// What the request says besides what every such request says.
struct UpgradeHeaders {
  // In the order in which they are offered.
  std::vector<std::string> subprotocols;
  // Name and value. A Host replaces the URL's.
  std::vector<std::pair<std::string, std::string>> headers;
};

// The HTTP/1.1 request that opens a WebSocket (RFC 6455 section 4.1).
//
// Several connections may send the same request: the key is not a secret.
class UpgradeRequest {
 public:
  // `key`: 16 random bytes.
  UpgradeRequest(const WsUrl& url, const UpgradeHeaders& headers,
                 absl::string_view user_agent, absl::string_view key);

  const std::string& text() const { return text_; }
  // The required value of Sec-WebSocket-Accept.
  const std::string& accept() const { return accept_; }
  const std::vector<std::string>& subprotocols() const { return offered_; }

 private:
  std::vector<std::string> offered_;
  std::string text_;
  std::string accept_;
};

// 16 random bytes for an UpgradeRequest.
std::string RandomUpgradeKey();

// Reads and checks the response to an UpgradeRequest. No extension is offered,
// so none may be selected.
//
// Thread: not thread-safe. No I/O. `request` must outlive it.
class UpgradeResponse {
 public:
  explicit UpgradeResponse(const UpgradeRequest& request);
  ~UpgradeResponse();

  struct Accepted {
    std::string subprotocol;  // Empty: none was selected.
    std::string rest;         // The bytes that follow the response.
  };
  using Outcome = std::variant<Accepted, ClientFailure>;

  // Takes bytes of the response; nullopt while it is incomplete.
  std::optional<Outcome> Take(absl::string_view bytes);
  // The outcome if the connection ends now: a body without a length ends with
  // it. `why`: why it ended; empty: the server closed it.
  ClientFailure AtEnd(absl::string_view why) const;

 private:
  struct Parser;

  Outcome Judge() const;
  Refused Refusal() const;

  const UpgradeRequest& request_;
  std::string bytes_;  // Not parsed yet.
  std::unique_ptr<Parser> parser_;
};

}  // namespace headgate

#endif  // CLIENT_UPGRADE_H_
