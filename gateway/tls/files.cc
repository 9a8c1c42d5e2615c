#include "gateway/tls/files.h"

#include <openssl/err.h>

#include <cstddef>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/base/file.h"
#include "gateway/base/status.h"
#include "gateway/tls/identity.h"
#include "gateway/tls/pem.h"

namespace headgate {
namespace {

// The roots of all the world's authorities are a quarter of this.
constexpr std::size_t kMaxPemBytes = 4 * 1024 * 1024;

absl::StatusOr<std::string> Read(const std::string& path) {
  if (path.empty()) return std::string();
  absl::StatusOr<std::string> bytes = ReadFile(path, kMaxPemBytes);
  if (bytes.ok()) return bytes;
  return absl::Status(bytes.status().code(),
                      absl::StrCat(path, " ", bytes.status().message()));
}

absl::Status Unusable(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, " ", what));
}

// Reads the OCSP response for the certificate.
void ReadOcsp(const std::string& path, X509* certificate, std::string& to,
              std::vector<std::string>& warnings) {
  if (path.empty()) return;
  absl::StatusOr<std::string> bytes = Read(path);
  if (!bytes.ok()) {
    warnings.emplace_back(bytes.status().message());
    return;
  }
  const absl::StatusOr<OcspStaple> staple =
      ParseOcsp(*bytes, certificate, std::time(nullptr));
  if (staple.ok()) {
    to = *std::move(bytes);
  } else {
    warnings.push_back(absl::StrCat(path, " ", staple.status().message()));
  }
}

// Checks that certificate and key, if there are any, fit together, and adds the
// OCSP response.
absl::Status Complete(const TlsIdentityFiles& files,
                      TlsIdentityMaterial& identity, TlsMaterial& material) {
  if (files.certificate.empty()) return absl::OkStatus();
  const std::vector<X509Ptr> chain = ParseCertificates(identity.certificate);
  if (chain.empty()) {
    return Unusable(files.certificate, "holds no certificate, or a broken one");
  }
  const KeyPtr key = ParseKey(identity.key);
  if (key == nullptr) {
    return Unusable(files.key, "holds no private key without a pass phrase");
  }
  const bool fits = X509_check_private_key(chain[0].get(), key.get()) == 1;
  ERR_clear_error();
  if (!fits) {
    return Unusable(files.key,
                    absl::StrCat("is not the key of the first certificate in ",
                                 files.certificate));
  }
  ReadOcsp(files.ocsp, chain[0].get(), identity.ocsp, material.warnings);
  return absl::OkStatus();
}

std::vector<FileStamp> StampsOf(const TlsFileNames& names) {
  std::vector<FileStamp> stamps = {
      StampOf(names.ca), StampOf(names.certificate), StampOf(names.key)};
  for (const std::string& path : names.ticket_keys) {
    stamps.push_back(StampOf(path));
  }
  stamps.push_back(StampOf(names.ocsp));
  for (const TlsIdentityFiles& more : names.more) {
    for (const std::string* path : {&more.certificate, &more.key, &more.ocsp}) {
      stamps.push_back(StampOf(*path));
    }
  }
  return stamps;
}

}  // namespace

absl::StatusOr<TlsMaterial> ReadTlsMaterial(const TlsFileNames& names) {
  TlsMaterial material;
  for (const auto& [path, pem] :
       {std::pair(&names.ca, &material.ca),
        std::pair(&names.certificate, &material.certificate),
        std::pair(&names.key, &material.key)}) {
    absl::StatusOr<std::string> bytes = Read(*path);
    if (!bytes.ok()) return bytes.status();
    *pem = *std::move(bytes);
  }
  if (!names.ca.empty() && ParseCertificates(material.ca).empty()) {
    return Unusable(names.ca, "holds no certificate, or a broken one");
  }
  for (const std::string& path : names.ticket_keys) {
    absl::StatusOr<std::string> key = Read(path);
    if (!key.ok()) return key.status();
    if (key->size() != kTicketKeyBytes) {
      return Unusable(path, absl::StrCat("must have ", kTicketKeyBytes,
                                         " bytes, has ", key->size()));
    }
    material.ticket_keys.push_back(*std::move(key));
  }
  TlsIdentityMaterial own{material.certificate, material.key};
  absl::Status status =
      Complete({names.certificate, names.key, names.ocsp}, own, material);
  if (!status.ok()) return status;
  material.ocsp = std::move(own.ocsp);
  for (const TlsIdentityFiles& files : names.more) {
    TlsIdentityMaterial& more = material.more.emplace_back();
    for (const auto& [path, pem] :
         {std::pair(&files.certificate, &more.certificate),
          std::pair(&files.key, &more.key)}) {
      absl::StatusOr<std::string> bytes = Read(*path);
      if (!bytes.ok()) return bytes.status();
      *pem = *std::move(bytes);
    }
    status = Complete(files, more, material);
    if (!status.ok()) return status;
  }
  return material;
}

TlsFiles::TlsFiles(TlsFileNames names) : names_(std::move(names)) { Refresh(); }

bool TlsFiles::Refresh() {
  std::vector<FileStamp> stamps = StampsOf(names_);
  if (stamps == stamps_) return false;
  absl::StatusOr<TlsMaterial> read = ReadTlsMaterial(names_);
  status_ = read.status();
  if (!read.ok()) {
    // Three small files: they are read again each time until they are good.
    stamps_.clear();
    return false;
  }
  stamps_ = std::move(stamps);
  if (material_ == *read) return false;
  material_ = *std::move(read);
  return true;
}

}  // namespace headgate
