#include "gateway/upstream/h2/tls.h"

#include <cassert>
#include <utility>

#include "absl/status/statusor.h"

namespace headgate {
namespace {

constexpr absl::Duration kFileCheckInterval = absl::Seconds(1);

}  // namespace

H2Tls::H2Tls(const UpstreamTlsSettings& settings, absl::string_view authority)
    : name_(TlsNameOf(settings.authority.empty()
                          ? authority
                          : absl::string_view(settings.authority))),
      files_(TlsFileNames{settings.ca, settings.certificate, settings.key}) {
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

std::unique_ptr<TlsClient> H2Tls::NewClient() const {
  assert(usable());
  return std::make_unique<TlsClient>(*context_, name_);
}

}  // namespace headgate
