#include "gateway/http/credentials.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gateway/base/metadata.h"
#include "gateway/base/utf8.h"

namespace headgate {
namespace {

constexpr absl::string_view kKubernetesPrefix =
    "base64url.bearer.authorization.k8s.io.";

using Authorization = absl::StatusOr<std::optional<std::string>>;

// `token` as a header value; it must be what HTTP/2 can carry.
Authorization Bearer(absl::string_view token, absl::string_view source) {
  if (token.empty()) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token in ", source, " is empty"));
  }
  if (!IsMetadataValue(token)) {
    return absl::UnauthenticatedError(absl::StrCat(
        "the token in ", source, " has characters other than printable ASCII"));
  }
  return absl::StrCat("Bearer ", token);
}

// absl's decoder also takes blanks, and '.' for padding.
bool IsUnpaddedBase64Url(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_';
  });
}

// The form that Kubernetes' API server takes: unpadded base64url of UTF-8.
Authorization FromKubernetes(const std::vector<absl::string_view>& tokens) {
  constexpr absl::string_view kSource =
      "subprotocol base64url.bearer.authorization.k8s.io";
  if (tokens.size() > 1) {
    return absl::UnauthenticatedError(
        absl::StrCat(kSource, " occurs more than once"));
  }
  std::string token;
  if (!IsUnpaddedBase64Url(tokens[0]) ||
      !absl::WebSafeBase64Unescape(tokens[0], &token)) {
    return absl::UnauthenticatedError(
        absl::StrCat(kSource, " is not unpadded base64url"));
  }
  if (!IsUtf8(token)) {
    return absl::UnauthenticatedError(absl::StrCat(kSource, " is not UTF-8"));
  }
  return Bearer(token, kSource);
}

// The value of the cookie `name` (RFC 6265 section 4.2.1).
std::optional<absl::string_view> FindCookie(const HeaderList& headers,
                                            absl::string_view name) {
  for (const absl::string_view value : headers.Values("Cookie")) {
    for (absl::string_view pair : absl::StrSplit(value, ';')) {
      pair = absl::StripAsciiWhitespace(pair);
      const std::size_t equals = pair.find('=');
      if (equals == absl::string_view::npos) continue;
      if (pair.substr(0, equals) != name) continue;
      absl::string_view content = pair.substr(equals + 1);
      if (content.size() >= 2 && content.front() == '"' &&
          content.back() == '"') {
        content = content.substr(1, content.size() - 2);
      }
      return content;
    }
  }
  return std::nullopt;
}

// A page of another site has the browser send the user's cookies with a GET
// that has no Origin: by an image, a script or a link. An allowed page's
// requests have one (Fetch Metadata, section 2.3).
bool CookiesCount(const HeaderList& headers) {
  const absl::string_view site = headers.Value("Sec-Fetch-Site");
  return headers.Has("Origin") || (site != "cross-site" && site != "same-site");
}

}  // namespace

Subprotocols ParseSubprotocols(const HeaderList& headers) {
  Subprotocols found;
  const std::vector<absl::string_view> entries =
      headers.Elements("Sec-WebSocket-Protocol");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    absl::string_view entry = entries[i];
    if (entry == "Bearer") {
      if (i + 1 < entries.size()) {
        ++i;
        if (!found.bearer_offered) found.bearer_token = entries[i];
      }
      found.bearer_offered = true;
    } else if (absl::ConsumePrefix(&entry, kKubernetesPrefix)) {
      found.kubernetes_tokens.push_back(entry);
    } else if (const Dialect* dialect = DialectOfSubprotocol(entry)) {
      found.dialects.push_back({dialect, entry});
    } else if (absl::StartsWith(entry, "headgate.") && !found.unknown) {
      found.unknown = entry;
    }
  }
  return found;
}

Authorization AuthorizationHeader(const HeaderList& headers) {
  const std::vector<absl::string_view> values = headers.Values("Authorization");
  if (values.size() > 1) {
    return absl::UnauthenticatedError(
        "header Authorization occurs more than once");
  }
  if (values.empty()) return std::nullopt;
  if (values[0].empty() || !IsMetadataValue(values[0])) {
    return absl::UnauthenticatedError(
        "header Authorization is empty or has characters other than "
        "printable ASCII");
  }
  return std::string(values[0]);
}

Authorization FindAuthorization(const HeaderList& headers,
                                const Subprotocols& subprotocols,
                                const Route& route,
                                const std::optional<std::string>& query_token,
                                CredentialSource* source) {
  CredentialSource unwanted;
  CredentialSource& from = source != nullptr ? *source : unwanted;
  from = CredentialSource::kHeader;
  Authorization header = AuthorizationHeader(headers);
  if (!header.ok() || *header) return header;
  if (!subprotocols.kubernetes_tokens.empty()) {
    from = CredentialSource::kKubernetes;
    return FromKubernetes(subprotocols.kubernetes_tokens);
  }
  if (subprotocols.bearer_offered) {
    from = CredentialSource::kBearer;
    if (!subprotocols.bearer_token) {
      return absl::UnauthenticatedError(
          "subprotocol Bearer has no token after it");
    }
    return Bearer(*subprotocols.bearer_token, "subprotocol Bearer");
  }
  if (!route.token_cookie.empty() && CookiesCount(headers)) {
    if (const auto cookie = FindCookie(headers, route.token_cookie)) {
      from = CredentialSource::kCookie;
      return Bearer(*cookie, absl::StrCat("cookie ", route.token_cookie));
    }
  }
  if (query_token) {
    from = CredentialSource::kQuery;
    return Bearer(*query_token,
                  absl::StrCat("query parameter ", route.token_query));
  }
  from = CredentialSource::kNone;
  return std::nullopt;
}

}  // namespace headgate
