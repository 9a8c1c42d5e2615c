#include "gateway/http/origin.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace headgate {
namespace {

// An origin in comparable form: lower case, the scheme's default port left out.
struct Origin {
  std::string scheme;
  std::string host;  // With its port, when it is not the scheme's default.
};

constexpr absl::string_view kAnyPort = ":*";

absl::string_view DefaultPort(absl::string_view scheme) {
  if (scheme == "http") return ":80";
  if (scheme == "https") return ":443";
  return "";
}

std::string WithoutDefaultPort(absl::string_view scheme,
                               absl::string_view host) {
  const absl::string_view port = DefaultPort(scheme);
  if (!port.empty() && absl::EndsWith(host, port)) {
    host.remove_suffix(port.size());
  }
  return absl::AsciiStrToLower(host);
}

std::optional<Origin> ParseOrigin(absl::string_view text) {
  const std::size_t separator = text.find("://");
  if (separator == absl::string_view::npos) return std::nullopt;
  Origin origin;
  origin.scheme = absl::AsciiStrToLower(text.substr(0, separator));
  const absl::string_view host = text.substr(separator + 3);
  if (host.empty() ||
      host.find_first_of("/?#@\\ ") != absl::string_view::npos) {
    return std::nullopt;
  }
  origin.host = WithoutDefaultPort(origin.scheme, host);
  return origin;
}

absl::string_view NameOf(absl::string_view host) {
  const std::size_t end = host.find_last_not_of("0123456789");
  const bool has_port = end != absl::string_view::npos && host[end] == ':' &&
                        end + 1 < host.size();
  return has_port ? host.substr(0, end) : host;
}

bool Matches(const Origin& origin, absl::string_view pattern_text) {
  const std::optional<Origin> pattern = ParseOrigin(pattern_text);
  if (!pattern || pattern->scheme != origin.scheme) return false;
  absl::string_view wanted = pattern->host;
  absl::string_view host = origin.host;
  if (absl::ConsumeSuffix(&wanted, kAnyPort)) host = NameOf(host);
  if (!absl::ConsumePrefix(&wanted, "*")) return wanted == host;
  return absl::StartsWith(wanted, ".") && host.size() > wanted.size() &&
         absl::EndsWith(host, wanted);
}

bool IsSame(const Origin& origin, const OwnOrigin& own) {
  using Scheme = OwnOrigin::Scheme;
  const bool is_https = origin.scheme == "https";
  if (!is_https && origin.scheme != "http") return false;
  if (own.scheme != Scheme::kEither &&
      is_https != (own.scheme == Scheme::kHttps)) {
    return false;
  }
  return !own.host.empty() &&
         origin.host == WithoutDefaultPort(origin.scheme, own.host);
}

}  // namespace

OriginVerdict JudgeOrigin(absl::string_view origin_text, const OwnOrigin& own,
                          const std::vector<std::string>& allowed) {
  const std::optional<Origin> origin = ParseOrigin(origin_text);
  if (origin && IsSame(*origin, own)) return OriginVerdict::kTrusted;
  OriginVerdict verdict = OriginVerdict::kRefused;
  for (const std::string& pattern : allowed) {
    if (pattern == "*") {
      verdict = OriginVerdict::kAnyone;
    } else if (pattern == origin_text ||
               (origin && Matches(*origin, pattern))) {
      return OriginVerdict::kTrusted;
    }
  }
  return verdict;
}

}  // namespace headgate
