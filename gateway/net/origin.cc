#include "gateway/net/origin.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

// An origin in comparable form: lower case, the scheme's own port left out.
struct Origin {
  std::string scheme;
  std::string host;  // With its port, when it is not the scheme's own.
};

absl::string_view DefaultPort(absl::string_view scheme) {
  if (scheme == "http" || scheme == "ws") return ":80";
  if (scheme == "https" || scheme == "wss") return ":443";
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

bool Matches(const Origin& origin, absl::string_view pattern_text) {
  const std::optional<Origin> pattern = ParseOrigin(pattern_text);
  if (!pattern || pattern->scheme != origin.scheme) return false;
  if (!absl::StartsWith(pattern->host, "*.")) {
    return pattern->host == origin.host;
  }
  const absl::string_view suffix = absl::string_view(pattern->host).substr(1);
  return origin.host.size() > suffix.size() &&
         absl::EndsWith(origin.host, suffix);
}

}  // namespace

OriginVerdict JudgeOrigin(absl::string_view origin_text, absl::string_view host,
                          const std::vector<std::string>& allowed) {
  const std::optional<Origin> origin = ParseOrigin(origin_text);
  if (origin && !host.empty() &&
      origin->host == WithoutDefaultPort(origin->scheme, host)) {
    return OriginVerdict::kTrusted;
  }
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
