#include "gateway/codec/json_failure.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/reason_phrase.h"
#include "gateway/base/utf8.h"

namespace headgate {

std::string JsonString(absl::string_view text) {
  const std::string utf8 = ToUtf8(text);
  return boost::json::serialize(
      boost::json::string_view(utf8.data(), utf8.size()));
}

std::string JsonFailure(const absl::Status& status, absl::string_view details,
                        MethodKind kind, JsonCodecOptions::ErrorShape shape) {
  const int code = static_cast<int>(status.code());
  const std::string message = JsonString(status.message());
  const bool is_v1 = shape == JsonCodecOptions::ErrorShape::kGrpcGatewayV1;
  if (is_v1 && GivesOneAnswer(kind)) {
    return absl::StrCat("{\"error\":", message, ",\"message\":", message,
                        ",\"code\":", code, "}");
  }
  std::string error;
  if (is_v1) {
    const int http_status = HttpStatusFor(status.code());
    error =
        absl::StrCat("{\"grpc_code\":", code, ",\"http_code\":", http_status,
                     ",\"message\":", message,
                     ",\"http_status\":", JsonString(ReasonPhrase(http_status)),
                     ",\"details\":", details, "}");
  } else {
    error = absl::StrCat("{\"code\":", code, ",\"message\":", message,
                         ",\"details\":", details, "}");
  }
  if (GivesOneAnswer(kind)) return error;
  return absl::StrCat("{\"error\":", error, "}");
}

std::string JsonMetadata(const Metadata& metadata) {
  // Keys may repeat, and their values keep the order of arrival.
  std::vector<absl::string_view> keys;
  for (const auto& [key, value] : metadata) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      keys.push_back(key);
    }
  }
  std::string json = "{";
  for (const absl::string_view key : keys) {
    absl::StrAppend(&json, json.size() > 1 ? "," : "", JsonString(key), ":[");
    bool is_first = true;
    for (const auto& [name, value] : metadata) {
      if (name != key) continue;
      absl::StrAppend(
          &json, std::exchange(is_first, false) ? "" : ",",
          JsonString(IsBinaryKey(key) ? absl::Base64Escape(value) : value));
    }
    json += "]";
  }
  return json + "}";
}

std::string JsonStatus(const CallEnd& end, absl::string_view details) {
  return absl::StrCat(
      "{\"status\":{\"code\":", static_cast<int>(end.status.code()),
      ",\"message\":", JsonString(end.status.message()),
      ",\"details\":", details, ",\"trailers\":", JsonMetadata(end.trailers),
      "}}");
}

}  // namespace headgate
