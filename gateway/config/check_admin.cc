#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/file.h"
#include "gateway/config/address.h"
#include "gateway/config/check.h"

namespace headgate {
namespace {

// Where a listener listens, to find two at one address; empty for port 0, each
// of which takes another one.
std::string PlaceOf(const ListenAddress& address, const std::string& written) {
  if (address.kind != ListenAddress::Kind::kTcp) return written;
  if (address.tcp.port == 0) return "";
  return FormatAddress(address.tcp.host, address.tcp.port);
}

void CheckAdminListener(const std::string& field, const AdminSettings& admin,
                        absl::flat_hash_map<std::string, std::string>& by_place,
                        Faults& faults) {
  const auto address = ParseListenAddress(admin.address);
  if (!address.ok()) {
    faults.Add(field + ".address", address.status().message());
  } else if (address->kind == ListenAddress::Kind::kSystemd) {
    faults.Add(field + ".address", "must be HOST:PORT or unix:/path");
  } else if (const std::string place = PlaceOf(*address, admin.address);
             !place.empty()) {
    const auto [first, is_new] = by_place.emplace(place, field);
    if (!is_new) {
      faults.Add(field + ".address",
                 absl::StrCat("is that of ", first->second, " too"));
    }
  }
  if (admin.serve.contains(AdminPart::kTapPayloads) &&
      !admin.serve.contains(AdminPart::kTap)) {
    faults.Add(field + ".serve", "tap-payloads needs tap");
  }
  // A tap shows users' messages, so its client must authenticate.
  if (admin.serve.contains(AdminPart::kTap) && admin.token_file.empty() &&
      address.ok() && !IsOfThisMachine(*address)) {
    faults.Add(field + ".serve",
               "tap needs token_file, or a loopback address or socket file");
  }
  if (admin.token_file.empty()) return;
  if (const auto token = ReadAdminToken(admin.token_file); !token.ok()) {
    faults.Add(field + ".token_file",
               absl::StrCat(admin.token_file, " ", token.status().message()));
  }
}

}  // namespace

absl::string_view AdminPartName(AdminPart part) {
  switch (part) {
    case AdminPart::kHealth:
      return "health";
    case AdminPart::kMetrics:
      return "metrics";
    case AdminPart::kRoutes:
      return "routes";
    case AdminPart::kSessions:
      return "sessions";
    case AdminPart::kLogLevel:
      return "log-level";
    case AdminPart::kTap:
      return "tap";
    case AdminPart::kTapPayloads:
      break;
  }
  return "tap-payloads";
}

absl::StatusOr<std::string> ReadAdminToken(const std::string& path) {
  constexpr std::size_t kMostTokenBytes = 4096;
  absl::StatusOr<std::string> token = ReadFile(path, kMostTokenBytes);
  if (!token.ok()) return token;
  absl::StripAsciiWhitespace(&*token);
  if (token->empty()) {
    return absl::FailedPreconditionError("has no token in it");
  }
  for (const char c : *token) {
    if (absl::ascii_isgraph(static_cast<unsigned char>(c))) continue;
    return absl::FailedPreconditionError(
        "has more in it than a token of printable ASCII");
  }
  return token;
}

void CheckAdmin(const Settings& settings, Faults& faults) {
  absl::flat_hash_map<std::string, std::string> by_place;
  for (std::size_t i = 0; i < settings.listeners.size(); ++i) {
    const std::string& written = settings.listeners[i].address;
    const auto address = ParseListenAddress(written);
    if (!address.ok()) continue;
    by_place.emplace(PlaceOf(*address, written),
                     absl::StrCat("listeners[", i, "]"));
  }
  for (std::size_t i = 0; i < settings.admin.size(); ++i) {
    if (!settings.admin[i].enabled) continue;
    // The file has one of them, or a list.
    CheckAdminListener(
        settings.admin.size() == 1 ? "admin" : absl::StrCat("admin[", i, "]"),
        settings.admin[i], by_place, faults);
  }
}

}  // namespace headgate
