#ifndef CLIENT_WEB_SOCKET_H_
#define CLIENT_WEB_SOCKET_H_

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "client/failure.h"
#include "client/upgrade.h"
#include "gateway/codec/codec.h"
#include "gateway/ws/endpoint.h"

namespace headgate {

// Receives the events of a ClientWebSocket; must not destroy it.
class ClientWebSocketObserver {
 public:
  // The handshake is complete. `subprotocol`: empty if none was selected.
  virtual void OnOpen(const std::string& subprotocol) = 0;
  // With ws::Delivery::kMessages.
  virtual void OnMessage(WireMessage /*message*/) {}
  // With ws::Delivery::kPieces; `end`: the last one of its message. Valid
  // during the call.
  virtual void OnPiece(absl::string_view /*piece*/, bool /*end*/) {}
  // The server's Close frame. Ours has been put.
  virtual void OnClose(CloseCode code, absl::string_view reason) = 0;

 protected:
  ~ClientWebSocketObserver() = default;
};

// The client's end of a WebSocket on a connection that the caller has made:
// the handshake, then ws::Endpoint. The caller passes on what it reads, and
// sends what Front returns.
//
// Thread: not thread-safe. No I/O.
class ClientWebSocket {
 public:
  struct Options {
    ws::Delivery delivery = ws::Delivery::kMessages;
    std::size_t max_message_bytes = 0;  // With kMessages.
  };
  // Both must outlive it.
  ClientWebSocket(const UpgradeRequest& request, ws::MaskSource& masks,
                  const Options& options);

  // Takes all of `bytes`. After a failure only what there is to send may be
  // sent: a violation is reported to the server with a Close frame.
  std::optional<ClientFailure> Receive(absl::string_view bytes,
                                       ClientWebSocketObserver& observer);
  // The failure if the connection ends now. `why`: what the system says; empty:
  // the server closed it.
  ClientFailure AtEnd(absl::string_view why) const;

  bool is_open() const { return !response_.has_value(); }

  // Write, Close and OnTick of what is open; its Next is Receive's.
  ws::Endpoint& endpoint() { return endpoint_; }
  const ws::Endpoint& endpoint() const { return endpoint_; }

  bool has_output() const { return endpoint_.has_output(); }
  std::array<absl::string_view, 2> Front() { return endpoint_.Front(); }
  void OnSent(std::size_t bytes) { endpoint_.OnSent(bytes); }

 private:
  std::optional<ClientFailure> ReceiveFrames(absl::string_view bytes,
                                             ClientWebSocketObserver& observer);

  const std::size_t max_message_bytes_;
  std::optional<UpgradeResponse> response_;  // During the handshake.
  ws::Endpoint endpoint_;
};

}  // namespace headgate

#endif  // CLIENT_WEB_SOCKET_H_
