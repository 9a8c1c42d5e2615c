#ifndef GATEWAY_SERVER_LISTENER_TLS_H_
#define GATEWAY_SERVER_LISTENER_TLS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/config/settings.h"
#include "gateway/tls/context.h"
#include "gateway/tls/files.h"

namespace headgate {

// TLS of one listener: its files, and what was last made of them.
//
// Thread: one at a time; the context is safe for several.
class ListenerTls {
 public:
  // Reads the files. INVALID_ARGUMENT, or why one cannot be read, names it.
  static absl::StatusOr<std::unique_ptr<ListenerTls>> Make(
      const ListenerTlsSettings& settings);

  // Looks at the files. True when context() is now another; when they have
  // changed into something that cannot be used, it stays, and status() says
  // why.
  bool Refresh();

  const std::shared_ptr<const TlsContext>& context() const { return context_; }
  const absl::Status& status() const { return status_; }
  // OCSP responses that are not used, each with the reason.
  const std::vector<std::string>& warnings() const {
    return files_.material()->warnings;
  }
  const ListenerTlsSettings& settings() const { return settings_; }

 private:
  explicit ListenerTls(const ListenerTlsSettings& settings);

  // Makes a context of what the files hold; whether that went well.
  bool UseFiles();

  const ListenerTlsSettings settings_;
  TlsFiles files_;
  std::shared_ptr<const TlsContext> context_;
  absl::Status status_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_LISTENER_TLS_H_
