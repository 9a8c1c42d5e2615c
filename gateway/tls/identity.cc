#include "gateway/tls/identity.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

struct FreeResponse {
  void operator()(OCSP_RESPONSE* response) const {
    OCSP_RESPONSE_free(response);
  }
  void operator()(OCSP_BASICRESP* response) const {
    OCSP_BASICRESP_free(response);
  }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

std::string TextOf(const ASN1_STRING* text) {
  return absl::AsciiStrToLower(absl::string_view(
      reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
      static_cast<std::size_t>(ASN1_STRING_length(text))));
}

// Whether `id` names the certificate: by its serial number, and by the hash of
// its issuer's name. That of the issuer's key would take the issuer's
// certificate, which the chain need not have.
bool IsOf(const OCSP_CERTID* id, X509* certificate) {
  ASN1_OCTET_STRING* issuer = nullptr;
  ASN1_OBJECT* method = nullptr;
  ASN1_INTEGER* serial = nullptr;
  OCSP_id_get0_info(&issuer, &method, nullptr, &serial,
                    const_cast<OCSP_CERTID*>(id));
  const EVP_MD* const digest = EVP_get_digestbyobj(method);
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  return digest != nullptr &&
         ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(certificate)) == 0 &&
         X509_NAME_digest(X509_get_issuer_name(certificate), digest, hash,
                          &size) == 1 &&
         absl::string_view(reinterpret_cast<const char*>(hash), size) ==
             absl::string_view(
                 reinterpret_cast<const char*>(ASN1_STRING_get0_data(issuer)),
                 static_cast<std::size_t>(ASN1_STRING_length(issuer)));
}

// Unix seconds; 0 when there is none.
std::int64_t SecondsOf(const ASN1_GENERALIZEDTIME* time) {
  std::tm parts = {};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return timegm(&parts);
}

}  // namespace

absl::StatusOr<OcspStaple> ParseOcsp(const std::string& bytes,
                                     X509* certificate, std::int64_t now) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  const std::unique_ptr<OCSP_RESPONSE, FreeResponse> response(
      d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(bytes.size())));
  const std::unique_ptr<OCSP_BASICRESP, FreeResponse> basic(
      response == nullptr || OCSP_response_status(response.get()) !=
                                 OCSP_RESPONSE_STATUS_SUCCESSFUL
          ? nullptr
          : OCSP_response_get1_basic(response.get()));
  ERR_clear_error();
  if (basic == nullptr) {
    return absl::InvalidArgumentError("is no successful OCSP response (DER)");
  }
  for (int i = 0; i < OCSP_resp_count(basic.get()); ++i) {
    OCSP_SINGLERESP* const single = OCSP_resp_get0(basic.get(), i);
    if (!IsOf(OCSP_SINGLERESP_get0_id(single), certificate)) continue;
    ASN1_GENERALIZEDTIME* next = nullptr;
    OCSP_single_get0_status(single, nullptr, nullptr, nullptr, &next);
    const std::int64_t end = SecondsOf(next);
    if (end != 0 && end <= now) {
      return absl::InvalidArgumentError(
          "is too old, its nextUpdate has passed");
    }
    return OcspStaple{bytes, end};
  }
  return absl::InvalidArgumentError("is for another certificate");
}

std::vector<std::string> NamesOfCertificate(X509* certificate) {
  std::vector<std::string> names;
  const std::unique_ptr<GENERAL_NAMES, FreeResponse> alternatives(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(
          certificate, NID_subject_alt_name, nullptr, nullptr)));
  ERR_clear_error();
  if (alternatives != nullptr) {
    for (int i = 0; i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
      const GENERAL_NAME* const name =
          sk_GENERAL_NAME_value(alternatives.get(), i);
      if (name->type == GEN_DNS) names.push_back(TextOf(name->d.dNSName));
    }
    return names;
  }
  X509_NAME* const subject = X509_get_subject_name(certificate);
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index >= 0) {
    names.push_back(
        TextOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index))));
  }
  return names;
}

TlsIdentities::TlsIdentities(std::vector<TlsIdentity> identities)
    : identities_(std::move(identities)) {
  for (const TlsIdentity& identity : identities_) {
    for (std::string& name : NamesOfCertificate(identity.chain[0].get())) {
      by_name_[std::move(name)].push_back(&identity);
    }
  }
  otherwise_ = {&identities_[0]};
  const std::vector<std::string> own =
      NamesOfCertificate(identities_[0].chain[0].get());
  if (!own.empty()) otherwise_ = by_name_.at(own[0]);
}

const TlsIdentities::Group& TlsIdentities::For(absl::string_view name) const {
  std::string wanted = absl::AsciiStrToLower(name);
  auto found = by_name_.find(wanted);
  if (found != by_name_.end()) return found->second;
  const std::size_t dot = wanted.find('.');
  if (dot == std::string::npos) return otherwise_;
  found = by_name_.find(absl::StrCat("*", wanted.substr(dot)));
  return found == by_name_.end() ? otherwise_ : found->second;
}

const TlsIdentity* TlsIdentities::Of(const X509* certificate) const {
  for (const TlsIdentity& identity : identities_) {
    if (identity.chain[0].get() == certificate) return &identity;
  }
  return nullptr;
}

}  // namespace headgate
