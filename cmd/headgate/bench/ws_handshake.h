#ifndef CMD_HEADGATE_BENCH_WS_HANDSHAKE_H_
#define CMD_HEADGATE_BENCH_WS_HANDSHAKE_H_

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "cmd/headgate/dial/ending.h"
#include "cmd/headgate/dial/handshake.h"
#include "cmd/headgate/dial/url.h"

namespace headgate {

// The request that opens a WebSocket (RFC 6455 section 4.1), the same for each
// connection, its key too.
class WsRequest {
 public:
  WsRequest(const DialUrl& url, const DialHandshake& handshake);

  const std::string& text() const { return text_; }
  // What Sec-WebSocket-Accept must say.
  const std::string& accept() const { return accept_; }
  const std::vector<std::string>& subprotocols() const { return offered_; }

 private:
  std::vector<std::string> offered_;
  std::string text_;
  std::string accept_;
};

// Reads the answer to such a request.
//
// Thread: one at a time. `request` must outlive it.
class WsAnswer {
 public:
  explicit WsAnswer(const WsRequest& request);
  ~WsAnswer();

  struct Accepted {
    std::string subprotocol;  // Empty: none was chosen.
    std::string rest;         // What came behind the answer.
  };
  using Outcome = std::variant<Accepted, DialEnding>;

  // Takes more of it; nullopt while it is not all there.
  std::optional<Outcome> Take(absl::string_view bytes);
  // What a refusal that ends with the connection is.
  DialEnding AtEnd();

 private:
  struct Parser;

  Outcome Judge() const;

  const WsRequest& request_;
  std::string bytes_;  // Not parsed yet.
  std::unique_ptr<Parser> parser_;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_WS_HANDSHAKE_H_
