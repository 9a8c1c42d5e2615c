#ifndef CLIENT_TLS_H_
#define CLIENT_TLS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gateway/tls/context.h"

namespace headgate {

// The TLS flags of `headgate dial` and `headgate bench`. Files are PEM.
struct ClientTlsOptions {
  enum class Peer { kVerified, kAnybody };
  enum class Http { k11, k2 };

  std::string ca;           // Authorities of the server; empty: the system's.
  std::string certificate;  // The client's own, with `key`; empty: none.
  std::string key;
  Peer peer = Peer::kVerified;
  Http http = Http::k11;
};

// What connections to a server are made with: ALPN http/1.1, or h2, which the
// server must select.
// INVALID_ARGUMENT names the flag whose file cannot be used. Blocks on files.
absl::StatusOr<std::shared_ptr<const TlsContext>> MakeClientTls(
    const ClientTlsOptions& options);

}  // namespace headgate

#endif  // CLIENT_TLS_H_
