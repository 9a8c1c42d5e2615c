#ifndef GATEWAY_UPSTREAM_H2_TLS_H_
#define GATEWAY_UPSTREAM_H2_TLS_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/config/settings.h"
#include "gateway/tls/context.h"
#include "gateway/tls/engine.h"
#include "gateway/tls/files.h"
#include "gateway/upstream/h2/target.h"

namespace headgate {

// The name in an :authority, without brackets, port, zone and the last dot:
// what the server's certificate must be for.
std::string TlsNameOf(absl::string_view authority);

// TLS towards one upstream: its files, read at the start and again when they
// have changed, and what its connections are made with. The server must select
// "h2" by ALPN (RFC 9113 section 3.2). Without `ca` the file that
// GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names in the environment counts, as it does
// for gRPC's own client, else the roots that OpenSSL finds.
//
// Thread: the worker's.
class H2Tls {
 public:
  // Requires: settings.tls.
  H2Tls(const UpstreamSettings& settings, const H2Target& target);

  // Looks at the files, once a second at most. True when connections that are
  // made from now on differ from those before.
  bool Refresh(absl::Time now);

  // Whether connections can be made; false as long as the files have never been
  // usable.
  bool usable() const { return context_ != nullptr; }
  // Why the files, as they are now, cannot be used; what they were before then
  // goes on being used.
  const absl::Status& status() const {
    return files_.status().ok() ? context_status_ : files_.status();
  }

  // For a connection to `endpoint`. Requires: usable().
  std::unique_ptr<TlsEngine> NewClient(const H2Endpoint& endpoint) const;

 private:
  bool UseFiles();

  // That the server's certificate must be for; absent: the address, of several
  // in a list.
  const std::optional<std::string> name_;
  TlsFiles files_;
  absl::Time files_checked_ = absl::InfinitePast();
  std::shared_ptr<const TlsContext> context_;
  absl::Status context_status_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_TLS_H_
