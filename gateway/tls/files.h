#ifndef GATEWAY_TLS_FILES_H_
#define GATEWAY_TLS_FILES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/base/file_stamp.h"

namespace headgate {

// One's own certificate and its key, and an OCSP response for it; each may be
// empty.
struct TlsIdentityFiles {
  std::string certificate;
  std::string key;
  std::string ocsp = {};
};

// The names of the files that TLS is made of: the authorities that the other
// side's certificate may come from, the own certificate and its key; each may
// be empty.
struct TlsFileNames {
  std::string ca;
  std::string certificate;
  std::string key;
  std::vector<std::string> ticket_keys = {};
  std::string ocsp = {};
  std::vector<TlsIdentityFiles> more = {};  // A server's other certificates.
};

// What is in them: PEM; DER, and made for that certificate.
struct TlsIdentityMaterial {
  std::string certificate;
  std::string key;
  std::string ocsp = {};

  bool operator==(const TlsIdentityMaterial&) const = default;
};

// What is in them, as PEM. Towards an upstream an empty `ca` stands for the
// system's roots, an empty `certificate` and `key` for no certificate.
struct TlsMaterial {
  std::string ca;
  std::string certificate;
  std::string key;
  // Keys of session tickets, kTicketKeyBytes each; see TlsContext::ForServer.
  std::vector<std::string> ticket_keys = {};
  std::string ocsp = {};
  std::vector<TlsIdentityMaterial> more = {};
  // OCSP responses that are left out, each with the reason.
  std::vector<std::string> warnings = {};

  bool operator==(const TlsMaterial&) const = default;
};

// The length of a session ticket key: 16 bytes of name, 32 for HMAC-SHA256, 32
// for AES-256.
inline constexpr std::size_t kTicketKeyBytes = 80;

// Reads the files. Each error names the file: one that cannot be read, holds
// what is no certificate or no key, or a key that is not the certificate's (in
// the middle of a change the two files do not fit together). An OCSP response
// that cannot be used is left out, with a warning: without it a server is
// slower to trust, with a wrong one it is not trusted.
absl::StatusOr<TlsMaterial> ReadTlsMaterial(const TlsFileNames& names);

// The files of one upstream or listener, read when made and again when they
// have changed. What has been read and fits together stays in use until there
// is something better.
//
// Thread: one at a time.
class TlsFiles {
 public:
  explicit TlsFiles(TlsFileNames names);

  // Looks at the files, and reads them if they have changed. True when
  // material() is now another.
  bool Refresh();

  // Absent as long as the files have never been usable.
  const std::optional<TlsMaterial>& material() const { return material_; }
  // Why the files, as they are now, cannot be used.
  const absl::Status& status() const { return status_; }

 private:
  const TlsFileNames names_;
  std::vector<FileStamp> stamps_;  // Of the files that status_ tells about.
  std::optional<TlsMaterial> material_;
  absl::Status status_;
};

}  // namespace headgate

#endif  // GATEWAY_TLS_FILES_H_
