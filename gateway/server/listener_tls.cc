#include "gateway/server/listener_tls.h"

#include <utility>

#include "gateway/net/tls.h"

namespace headgate {

ListenerTls::ListenerTls(const ListenerTlsSettings& settings)
    : settings_(settings),
      files_({settings.client_ca, settings.certificate, settings.key}),
      status_(files_.status()) {
  if (files_.material()) UseFiles();
}

bool ListenerTls::UseFiles() {
  const TlsMaterial& material = *files_.material();
  absl::StatusOr<std::shared_ptr<boost::asio::ssl::context>> context =
      MakeListenerTls(settings_,
                      {material.certificate, material.key, material.ca});
  status_ = context.status();
  if (context.ok()) context_ = *std::move(context);
  return context.ok();
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
