#include "client/tls.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gateway/tls/files.h"

namespace headgate {
namespace {

absl::Status Unusable(absl::string_view flag, const absl::Status& why) {
  return absl::InvalidArgumentError(absl::StrCat(flag, " ", why.message()));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const TlsContext>> MakeClientTls(
    const ClientTlsOptions& options) {
  auto authorities =
      ReadTlsMaterial({.ca = options.ca, .certificate = {}, .key = {}});
  if (!authorities.ok()) return Unusable("--ca", authorities.status());
  auto own = ReadTlsMaterial(
      {.ca = {}, .certificate = options.certificate, .key = options.key});
  if (!own.ok()) return Unusable("--cert, --key", own.status());
  own->ca = std::move(authorities->ca);

  TlsClientOptions tls;
  tls.requires_protocol = options.http == ClientTlsOptions::Http::k2;
  tls.protocol = tls.requires_protocol ? "h2" : "http/1.1";
  tls.verifies_server = options.peer == ClientTlsOptions::Peer::kVerified;
  return TlsContext::ForClient(tls, *own);
}

}  // namespace headgate
