#include "gateway/upstream/h2/tls.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/strip.h"
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

constexpr char kRootsVariable[] = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH";

}  // namespace

std::string TlsNameOf(absl::string_view authority) {
  absl::string_view name = authority;
  if (absl::ConsumePrefix(&name, "[")) {
    name = name.substr(0, name.find(']'));
  } else if (std::count(name.begin(), name.end(), ':') == 1) {
    name = name.substr(0, name.find(':'));
  }
  name = name.substr(0, name.find('%'));
  absl::ConsumeSuffix(&name, ".");
  return std::string(name);
}

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
  TlsClientOptions options;
  options.protocol = "h2";
  options.requires_protocol = true;
  if (const char* const file = std::getenv(kRootsVariable)) {
    options.roots_file = file;
  }
  auto context = TlsContext::ForClient(options, *files_.material());
  context_status_ = context.status();
  if (!context.ok()) return false;
  context_ = *std::move(context);
  return true;
}

std::unique_ptr<TlsEngine> H2Tls::NewClient(const H2Endpoint& endpoint) const {
  assert(usable());
  return std::make_unique<TlsEngine>(
      context_, name_ ? *name_ : TlsNameOf(FormatEndpoint(endpoint)));
}

}  // namespace headgate
