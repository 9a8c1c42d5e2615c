#include "gateway/upstream/tls_files.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstddef>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/config/file.h"

namespace headgate {
namespace {

// The roots of all the world's authorities are a quarter of this.
constexpr std::size_t kMaxPemBytes = 4 * 1024 * 1024;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using BioPtr = std::unique_ptr<BIO, Free>;
using X509Ptr = std::unique_ptr<X509, Free>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free>;

BioPtr BioOf(const std::string& pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// A key with a pass phrase is refused: nobody is there to type it.
int NoPassPhrase(char*, int, int, void*) { return 0; }

// All certificates of a file; none when one of them is broken.
std::vector<X509Ptr> ParseCertificates(const std::string& pem) {
  std::vector<X509Ptr> certificates;
  const BioPtr bio = BioOf(pem);
  ERR_clear_error();
  while (X509* next =
             PEM_read_bio_X509(bio.get(), nullptr, NoPassPhrase, nullptr)) {
    certificates.emplace_back(next);
  }
  // The end of the file shows as the lack of one more beginning.
  const bool whole =
      ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!whole) certificates.clear();
  return certificates;
}

KeyPtr ParseKey(const std::string& pem) {
  const BioPtr bio = BioOf(pem);
  KeyPtr key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassPhrase, nullptr));
  ERR_clear_error();
  return key;
}

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

std::vector<FileStamp> StampsOf(const TlsFileNames& names) {
  return {StampOf(names.ca), StampOf(names.certificate), StampOf(names.key)};
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
  if (names.certificate.empty()) return material;

  const std::vector<X509Ptr> chain = ParseCertificates(material.certificate);
  if (chain.empty()) {
    return Unusable(names.certificate, "holds no certificate, or a broken one");
  }
  const KeyPtr key = ParseKey(material.key);
  if (key == nullptr) {
    return Unusable(names.key, "holds no private key without a pass phrase");
  }
  const bool fits = X509_check_private_key(chain[0].get(), key.get()) == 1;
  ERR_clear_error();
  if (!fits) {
    return Unusable(names.key,
                    absl::StrCat("is not the key of the first certificate in ",
                                 names.certificate));
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
