#ifndef CLIENT_WEB_SOCKET_H_
#define CLIENT_WEB_SOCKET_H_

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "client/failure.h"
#include "client/upgrade.h"
#include "gateway/codec/codec.h"
#include "gateway/tls/engine.h"
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

// The client's end of a WebSocket on a connection that the caller has made: TLS
// if wanted, the upgrade from HTTP/1.1, then ws::Endpoint. The caller passes on
// what it reads, and sends what Front returns.
//
// Thread: not thread-safe. No I/O.
class ClientWebSocket {
 public:
  struct Options {
    ws::Delivery delivery = ws::Delivery::kMessages;
    std::size_t max_message_bytes = 0;                // With kMessages.
    std::shared_ptr<const TlsContext> tls = nullptr;  // Null: plain.
    // With TLS: the host name or IP address that the certificate must be for.
    std::string server = {};
  };
  // `request` and `masks` must outlive it.
  ClientWebSocket(const UpgradeRequest& request, ws::MaskSource& masks,
                  const Options& options);

  // To be called first. False: TLS cannot be used, see failure.
  bool Start();

  // Takes all of `bytes`. False: see failure. After that only what there is to
  // send may be sent: a violation is reported to the server with a Close frame.
  bool Receive(absl::string_view bytes, ClientWebSocketObserver& observer) {
    return tls_ == nullptr && is_open() ? ReceiveFrames(bytes, observer)
                                        : ReceiveAny(bytes, observer);
  }
  // Requires: Start or Receive has returned false.
  const ClientFailure& failure() const { return failure_; }
  // The failure if the connection ends now. `why`: what the system says; empty:
  // the server closed it.
  ClientFailure AtEnd(absl::string_view why) const;

  bool is_open() const { return !response_.has_value(); }

  bool is_tls() const { return tls_ != nullptr; }

  // Write, Close and OnTick of what is open. Its Next, Front and OnSent are
  // called by this class.
  ws::Endpoint& endpoint() { return endpoint_; }
  const ws::Endpoint& endpoint() const { return endpoint_; }

  // What is to be sent next: has_output, then Front, then OnSent. Front stays
  // where it is until OnSent.
  bool has_output() {
    return tls_ == nullptr ? endpoint_.has_output() : HasRecords();
  }
  std::array<absl::string_view, 2> Front();
  void OnSent(std::size_t bytes);

  // Sends frames that the caller has made, after all output, which must be
  // empty. Requires: is_tls() and is_open().
  void EncryptFrames(absl::string_view frames);

 private:
  // Encrypts what the endpoint has once all records have been sent.
  bool HasRecords();
  bool ReceiveAny(absl::string_view bytes, ClientWebSocketObserver& observer);
  bool ReceiveRecords(absl::string_view records,
                      ClientWebSocketObserver& observer);
  bool ReceivePlaintext(absl::string_view bytes,
                        ClientWebSocketObserver& observer);
  bool ReceiveFrames(absl::string_view bytes,
                     ClientWebSocketObserver& observer);
  // These return false.
  bool Fail(ClientFailure failure);
  bool FailTooBig();
  bool FailViolated();

  const std::size_t max_message_bytes_;
  std::unique_ptr<TlsEngine> tls_;  // Null: plain.
  std::string records_;             // To send, with TLS,
  std::size_t records_sent_ = 0;    // and how much of them has been sent.
  std::optional<UpgradeResponse> response_;  // During the handshake.
  ws::Endpoint endpoint_;
  ClientFailure failure_;
};

}  // namespace headgate

#endif  // CLIENT_WEB_SOCKET_H_
