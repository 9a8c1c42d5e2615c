#include "cmd/headgate/client_tls_flags.h"

#include <string>

#include "absl/status/status.h"

namespace headgate {

void AddClientTlsFlags(CLI::App& app, ClientTlsFlags& flags) {
  const std::string group = "TLS";
  auto* const ca =
      app.add_option("--ca", flags.tls.ca,
                     "Authorities, PEM, that the server's certificate must "
                     "come from, instead of the system's")
          ->type_name("FILE")
          ->group(group);
  auto* const cert =
      app.add_option("--cert", flags.tls.certificate,
                     "The client's own certificate, PEM, its chain behind it")
          ->type_name("FILE")
          ->group(group);
  auto* const key = app.add_option("--key", flags.tls.key, "Its key, PEM")
                        ->type_name("FILE")
                        ->group(group);
  cert->needs(key);
  key->needs(cert);
  app.add_flag("--insecure", flags.insecure,
               "Accept any certificate: the server may be anyone")
      ->excludes(ca)
      ->group(group);
}

absl::StatusOr<std::shared_ptr<const TlsContext>> ClientTlsOf(
    const ClientTlsFlags& flags, WsUrl::Security security,
    ClientTlsOptions::Http http) {
  ClientTlsOptions tls = flags.tls;
  tls.http = http;
  if (security == WsUrl::Security::kPlain) {
    if (!tls.ca.empty() || !tls.certificate.empty() || flags.insecure) {
      return absl::InvalidArgumentError(
          "--ca, --cert, --key and --insecure: only with wss:// and https://");
    }
    return std::shared_ptr<const TlsContext>();
  }
  if (flags.insecure) tls.peer = ClientTlsOptions::Peer::kAnybody;
  return MakeClientTls(tls);
}

}  // namespace headgate
