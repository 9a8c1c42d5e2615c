#include "gateway/http/http_dialect.h"

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gateway/base/utf8.h"
#include "gateway/http/upgrade.h"

namespace headgate {
namespace {

// A unary call of Connect as a GET: the query has the message.
bool IsConnectGet(const HttpRequest& request, const HttpTarget& target) {
  return request.method == "GET" && QueryValue(target, "connect") == "v1";
}

Refusal MediaTypeUnknown(const RoutePlan& plan, absl::string_view type) {
  std::vector<absl::string_view> types;
  for (const Dialect* dialect : plan.http_dialects) {
    if (dialect->needs_http2) continue;
    types.insert(types.end(), dialect->media_types.begin(),
                 dialect->media_types.end());
  }
  const Dialect* dialect = DialectOfMediaType(type, plan.http_dialects);
  Refusal refusal = Refuse(
      RefusalReason::kMediaType,
      type.empty() ? "the request has no Content-Type"
                   : absl::StrCat("content type ", ToUtf8(type),
                                  dialect != nullptr && dialect->needs_http2
                                      ? " needs HTTP/2"
                                      : " is not served here"));
  refusal.headers.emplace_back("Accept-Post", absl::StrJoin(types, ", "));
  return refusal;
}

// Whether a header such as Accept-Encoding (RFC 9110 section 12.5.3) names
// gzip, and not to forbid it.
bool AcceptsGzip(const HeaderList& headers, absl::string_view name) {
  for (const absl::string_view element : headers.Elements(name)) {
    const std::vector<absl::string_view> parts = absl::StrSplit(element, ';');
    if (!absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts[0]), "gzip")) {
      continue;
    }
    double weight = 1;
    for (const absl::string_view part : parts) {
      const absl::string_view parameter = absl::StripAsciiWhitespace(part);
      if (absl::StartsWithIgnoreCase(parameter, "q=") &&
          !absl::SimpleAtod(parameter.substr(2), &weight)) {
        weight = 0;
      }
    }
    return weight > 0;
  }
  return false;
}

}  // namespace

const Dialect& HttpDialect(const HttpRequest& request,
                           std::optional<MethodKind> kind) {
  if (!kind || GivesOneAnswer(*kind)) {
    return kHttpJsonDialect;
  }
  const auto weight = [&](const Dialect& dialect) {
    return request.headers.AcceptedWeight(dialect.token).value_or(0);
  };
  const int events = weight(kHttpEventsDialect);
  return events > 0 && events >= weight(kHttpJsonDialect) ? kHttpEventsDialect
                                                          : kHttpJsonDialect;
}

bool IsForDialects(const HttpRequest& request, const HttpTarget& target,
                   const RoutePlan& plan) {
  return !plan.http_dialects.empty() && !request.headers.Has("Upgrade") &&
         (request.method == "POST" || request.method == "OPTIONS" ||
          IsConnectGet(request, target));
}

std::optional<Refusal> ChooseHttpDialect(const HttpRequest& request,
                                         const HttpTarget& target,
                                         const RoutePlan& plan,
                                         const Dialect*& dialect) {
  if (!IsForDialects(request, target, plan) || request.method == "OPTIONS") {
    return std::nullopt;
  }
  const bool is_get = request.method == "GET";
  const std::string type =
      is_get ? absl::StrCat("application/",
                            QueryValue(target, "encoding").value_or(""))
             : std::string(request.headers.Value("Content-Type"));
  dialect = DialectOfMediaType(type, plan.http_dialects);
  if (is_get && dialect != &kConnectJsonDialect &&
      dialect != &kConnectProtoDialect) {
    dialect = nullptr;
  }
  if (dialect != nullptr && (!dialect->needs_http2 || IsHttp2(request))) {
    return std::nullopt;
  }
  dialect = nullptr;
  return MediaTypeUnknown(plan, type);
}

absl::StatusOr<BodyFormat> BodyFormatOf(const HttpRequest& request,
                                        const HttpTarget& target,
                                        const Dialect& dialect) {
  BodyFormat body;
  body.encoding = std::string(request.headers.Value(dialect.encoding_header));
  body.accepts_gzip =
      AcceptsGzip(request.headers, dialect.accept_encoding_header);
  body.accept = absl::StrJoin(request.headers.Values("Accept"), ",");
  if (request.method != "GET") return body;
  body.encoding = QueryValue(target, "compression").value_or("");
  body.message = QueryValue(target, "message");
  if (!body.message) {
    return absl::InvalidArgumentError("query parameter message is missing");
  }
  const std::string base64 = QueryValue(target, "base64").value_or("0");
  if (base64 == "1") {
    const std::string text = *body.message;
    if (!absl::WebSafeBase64Unescape(text, &*body.message)) {
      return absl::InvalidArgumentError(
          "query parameter message: not base64url");
    }
  }
  return body;
}

absl::Status CheckConnectVersion(const HttpRequest& request) {
  const absl::string_view version =
      request.headers.Value("Connect-Protocol-Version");
  if (version.empty() || version == "1") return absl::OkStatus();
  return absl::InvalidArgumentError(
      "header Connect-Protocol-Version: must be 1");
}

}  // namespace headgate
