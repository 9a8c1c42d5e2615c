#ifndef GATEWAY_NET_ARRIVAL_H_
#define GATEWAY_NET_ARRIVAL_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/turn.h"
#include "gateway/net/byte_stream.h"
#include "gateway/net/connection.h"
#include "gateway/net/socket_stream.h"
#include "gateway/net/tls_stream.h"

namespace headgate {

// What comes on a connection before HTTP: a PROXY header and TLS, each where
// the listener has it. Then an HttpConnection takes the stream over. A
// connection that fails here, or takes longer than the handshake may, is closed
// without a response, for want of a request.
//
// Thread: the worker's. Lifetime: a Connection.
class Arrival final : public Connection,
                      private ByteStream::User,
                      public HandshakeWaiter,
                      private TurnTask,
                      public std::enable_shared_from_this<Arrival> {
 public:
  // `host` must outlive it. `peer`: the connection's address.
  Arrival(std::shared_ptr<SocketStream> socket, std::string peer,
          std::size_t listener,
          std::shared_ptr<const ConnectionSettings> settings,
          ConnectionHost& host);

  void Start();

  void OnTick(absl::Time now) override;
  bool MayMakeRoom(absl::Time now) const override;
  void Drain(const DrainOrder& order) override;
  void Abort() override;
  void CloseSession() override {}
  const Session* session() const override { return nullptr; }

 private:
  enum class State {
    kProxyHeader,
    kHello,   // The client has not begun its TLS handshake.
    kQueued,  // It has, and has to wait until handshakes are fewer.
    kTls,     // The handshake is under way.
    kFinished,
  };

  void OnReadable() override;
  void OnWritable() override {}
  void OnHandshakeAllowed() override;
  void OnTurn() override;

  void ReadProxyHeader();
  // Counts it by the address that the PROXY header told; false: it was refused.
  bool Admit();
  void Secure();
  void BeginTls();
  void ContinueTls();
  void Serve(std::shared_ptr<ByteStream> stream);
  void Fail(absl::string_view why);
  void Finish();

  const std::shared_ptr<SocketStream> socket_;
  std::shared_ptr<TlsStream> tls_;  // Over socket_; from kTls on.
  Peer peer_;
  const std::size_t listener_;
  const std::shared_ptr<const ConnectionSettings> settings_;
  ConnectionHost& host_;
  const absl::Time since_;
  absl::Time tls_began_;
  State state_ = State::kProxyHeader;
  std::string header_;
  bool is_http2_ = false;  // As ALPN has selected.
};

}  // namespace headgate

#endif  // GATEWAY_NET_ARRIVAL_H_
