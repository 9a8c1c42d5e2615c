#ifndef CMD_HEADGATE_CLIENT_TLS_FLAGS_H_
#define CMD_HEADGATE_CLIENT_TLS_FLAGS_H_

#include <memory>

#include <CLI/App.hpp>

#include "absl/status/statusor.h"
#include "client/tls.h"
#include "client/url.h"

namespace headgate {

// The TLS flags of dial and bench: --ca, --cert, --key and --insecure.
struct ClientTlsFlags {
  ClientTlsOptions tls;
  bool insecure = false;
};

// `flags` must outlive the parsing.
void AddClientTlsFlags(CLI::App& app, ClientTlsFlags& flags);

// Null where `security` is kPlain. INVALID_ARGUMENT names the flag.
absl::StatusOr<std::shared_ptr<const TlsContext>> ClientTlsOf(
    const ClientTlsFlags& flags, WsUrl::Security security,
    ClientTlsOptions::Http http = ClientTlsOptions::Http::k11);

}  // namespace headgate

#endif  // CMD_HEADGATE_CLIENT_TLS_FLAGS_H_
