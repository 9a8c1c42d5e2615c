#include "gateway/server/listener_tls.h"

#include <utility>

namespace headgate {
namespace {

TlsServerOptions OptionsFrom(const ListenerTlsSettings& settings) {
  using From = ListenerTlsSettings::ClientCertificates;
  using To = TlsServerOptions::ClientCertificates;
  TlsServerOptions options;
  if (settings.http2) options.protocols = {"h2", "http/1.1"};
  if (settings.min_version == ListenerTlsSettings::MinVersion::k13) {
    options.min_version = TlsServerOptions::MinVersion::k13;
  }
  switch (settings.client_certificates) {
    case From::kNone:
      options.client_certificates = To::kNone;
      break;
    case From::kOptional:
      options.client_certificates = To::kOptional;
      break;
    case From::kRequired:
      options.client_certificates = To::kRequired;
      break;
  }
  return options;
}

TlsFileNames FilesFrom(const ListenerTlsSettings& settings) {
  TlsFileNames names{settings.client_ca, settings.certificate, settings.key,
                     settings.session_ticket_keys, settings.ocsp_file};
  for (const TlsCertificateSettings& more : settings.certificates) {
    names.more.push_back({more.certificate, more.key, more.ocsp_file});
  }
  return names;
}

}  // namespace

ListenerTls::ListenerTls(const ListenerTlsSettings& settings)
    : settings_(settings),
      files_(FilesFrom(settings)),
      status_(files_.status()) {
  if (files_.material()) UseFiles();
}

bool ListenerTls::UseFiles() {
  absl::StatusOr<std::shared_ptr<const TlsContext>> context =
      TlsContext::ForServer(OptionsFrom(settings_), *files_.material());
  status_ = context.status();
  if (context.ok()) context_ = *std::move(context);
  return status_.ok();
}

absl::StatusOr<std::unique_ptr<ListenerTls>> ListenerTls::Make(
    const ListenerTlsSettings& settings) {
  auto tls = std::unique_ptr<ListenerTls>(new ListenerTls(settings));
  if (!tls->status_.ok()) return tls->status_;
  return tls;
}

bool ListenerTls::Refresh() {
  const bool changed = files_.Refresh();
  status_ = files_.status();
  return changed && UseFiles();
}

}  // namespace headgate
