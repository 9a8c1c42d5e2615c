#ifndef GATEWAY_NET_ARRIVAL_H_
#define GATEWAY_NET_ARRIVAL_H_

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "gateway/net/connection.h"
#include "gateway/net/proxy_header.h"
#include "gateway/net/wire.h"

namespace headgate {

// What comes on a connection before HTTP: a PROXY header and TLS, each where
// the listener has it. Then an HttpConnection takes the socket over. A
// connection that fails here, or takes longer than the handshake may, is closed
// without an answer: there is nobody yet whom one could be for.
//
// Thread: the worker's. Lifetime: a Connection.
class Arrival final : public Connection,
                      public std::enable_shared_from_this<Arrival> {
 public:
  // `host` must outlive it. `peer`: the connection's address.
  Arrival(Wire wire, std::string peer, std::size_t listener,
          std::shared_ptr<const ConnectionSettings> settings,
          ConnectionHost& host);

  void Start();

  void OnTick(absl::Time now) override;
  void Drain(const DrainOrder& order) override;
  void Abort() override;
  void CloseSession() override {}
  const Session* session() const override { return nullptr; }

 private:
  using Error = boost::beast::error_code;

  void ReadProxyHeader(std::size_t missing);
  void OnProxyBytes(Error error, std::size_t bytes);
  // Counts it by the address that the PROXY header told; false: it was refused.
  bool Admit();
  void Secure();
  void Serve();
  void Fail(ArrivalStep step, const std::string& why);
  void Finish();

  Wire wire_;
  Peer peer_;
  const std::size_t listener_;
  const std::shared_ptr<const ConnectionSettings> settings_;
  ConnectionHost& host_;
  const absl::Time since_;
  ArrivalStep step_ = ArrivalStep::kProxyHeader;
  std::string header_;
  std::array<char, 512> incoming_;
  bool finished_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_NET_ARRIVAL_H_
