#include "gateway/upstream/h2/tls.h"

#include <cassert>
#include <utility>

#include "absl/status/statusor.h"
#include "gateway/base/file_stamp.h"

namespace headgate {
namespace {

std::optional<std::string> NameOf(const UpstreamSettings& settings,
                                  const H2Target& target) {
  if (!settings.tls->authority.empty()) {
    return TlsNameOf(settings.tls->authority);
  }
  if (!settings.authority.empty()) return TlsNameOf(settings.authority);
  if (target.endpoints.size() > 1) return std::nullopt;
  return TlsNameOf(target.authority);
}

}  // namespace

H2Tls::H2Tls(const UpstreamSettings& settings, const H2Target& target)
    : name_(NameOf(settings, target)),
      files_(TlsFileNames{settings.tls->ca, settings.tls->certificate,
                          settings.tls->key}) {
  UseFiles();
}

bool H2Tls::Refresh(absl::Time now) {
  if (now - files_checked_ < kFileCheckInterval) return false;
  files_checked_ = now;
  return files_.Refresh() && UseFiles();
}

bool H2Tls::UseFiles() {
  if (!files_.material()) return false;
  auto context = MakeTlsClientContext(*files_.material());
  context_status_ = context.status();
  if (!context.ok()) return false;
  context_ = *std::move(context);
  return true;
}

std::unique_ptr<TlsClient> H2Tls::NewClient(const H2Endpoint& endpoint) const {
  assert(usable());
  return std::make_unique<TlsClient>(
      *context_, name_ ? *name_ : TlsNameOf(FormatEndpoint(endpoint)));
}

}  // namespace headgate
