#ifndef CMD_HEADGATE_REPLAY_SOCKET_H_
#define CMD_HEADGATE_REPLAY_SOCKET_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/random_masks.h"
#include "client/upgrade.h"
#include "client/url.h"
#include "client/web_socket.h"
#include "gateway/tls/context.h"

namespace headgate {

// A WebSocket that waits for what it is asked for, with a timeout. It reads
// whenever it waits, so that a server that writes first is not held up.
//
// Thread: one at a time; blocks it.
class ReplaySocket final : private ClientWebSocketObserver {
 public:
  // `tls`: null for a plain one. Blocks for `timeout` at most for each step.
  static absl::StatusOr<std::unique_ptr<ReplaySocket>> Open(
      const WsUrl& url, const UpgradeHeaders& headers,
      std::shared_ptr<const TlsContext> tls, absl::Duration timeout);
  ~ReplaySocket();
  ReplaySocket(const ReplaySocket&) = delete;

  absl::Status Send(Opcode opcode, std::string payload, absl::Duration timeout);
  // The next message. OUT_OF_RANGE: the session is over instead;
  // DEADLINE_EXCEEDED: neither came in time.
  absl::StatusOr<WireMessage> Receive(absl::Duration timeout);
  // The code of the server's Close frame, 1006 where there was none; waits for
  // it. Messages that come meanwhile stay for Receive.
  absl::StatusOr<int> AwaitClose(absl::Duration timeout);
  // Closes it from here.
  void Close();

 private:
  ReplaySocket(int fd, const WsUrl& url, const UpgradeHeaders& headers,
               std::shared_ptr<const TlsContext> tls);

  // Reads and writes until `done`; DEADLINE_EXCEEDED: it was not in time,
  // UNAVAILABLE: the connection is over.
  absl::Status Pump(absl::FunctionRef<bool()> done, absl::Duration timeout);
  absl::Status ReadSome();
  absl::Status WriteSome();

  void OnOpen(const std::string&) override { is_open_ = true; }
  void OnMessage(WireMessage message) override {
    received_.push_back(std::move(message));
  }
  void OnClose(CloseCode code, absl::string_view) override {
    closed_ = static_cast<int>(code);
  }

  const int fd_;
  const UpgradeRequest request_;
  RandomMasks masks_;
  ClientWebSocket web_socket_;
  bool is_open_ = false;
  std::deque<WireMessage> received_;
  std::optional<int> closed_;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_REPLAY_SOCKET_H_
