#include "gateway/codec/grpc_fields.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/utf8.h"

namespace headgate {
namespace {

constexpr std::size_t kMostHeadBytes = 8 * 1024;

constexpr absl::string_view kOwnFields[] = {"connection",
                                            "date",
                                            "grpc-accept-encoding",
                                            "grpc-encoding",
                                            "keep-alive",
                                            "server",
                                            "te",
                                            "trailer",
                                            "trailers",
                                            "upgrade",
                                            "transfer-encoding"};
constexpr absl::string_view kOwnPrefixes[] = {"access-control-", "connect-",
                                              "content-", "proxy-"};

bool IsOwnField(absl::string_view name) {
  return std::find(std::begin(kOwnFields), std::end(kOwnFields), name) !=
             std::end(kOwnFields) ||
         std::any_of(std::begin(kOwnPrefixes), std::end(kOwnPrefixes),
                     [&](absl::string_view prefix) {
                       return absl::StartsWith(name, prefix);
                     });
}

std::string WithoutPadding(std::string base64) {
  base64.resize(base64.find_last_not_of('=') + 1);
  return base64;
}

}  // namespace

std::string EncodeStatusMessage(absl::string_view message) {
  constexpr absl::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(message.size());
  for (const char c : ToUtf8(message)) {
    if (c >= 0x20 && c <= 0x7E && c != '%') {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += {'%', kDigits[byte >> 4], kDigits[byte & 0xF]};
  }
  return encoded;
}

FieldList FieldsOf(const Metadata& metadata) {
  FieldList fields;
  fields.reserve(metadata.size());
  for (const auto& [key, value] : metadata) {
    if (!IsMetadataKey(key)) continue;
    if (IsBinaryKey(key)) {
      fields.emplace_back(key, WithoutPadding(absl::Base64Escape(value)));
    } else if (IsMetadataValue(value)) {
      fields.emplace_back(key, value);
    }
  }
  return fields;
}

FieldList ForResponseHead(FieldList fields) {
  FieldList fit;
  std::size_t bytes = 0;
  for (auto& field : fields) {
    if (IsOwnField(field.first)) continue;
    bytes += field.first.size() + field.second.size();
    if (bytes > kMostHeadBytes) break;
    fit.push_back(std::move(field));
  }
  return fit;
}

FieldList StatusFields(const CallEnd& end) {
  FieldList fields = {
      {"grpc-status", absl::StrCat(static_cast<int>(end.status.code()))}};
  if (!end.status.message().empty()) {
    fields.emplace_back("grpc-message",
                        EncodeStatusMessage(end.status.message()));
  }
  if (!end.details.empty()) {
    fields.emplace_back("grpc-status-details-bin",
                        WithoutPadding(absl::Base64Escape(end.details)));
  }
  FieldList trailers = FieldsOf(end.trailers);
  for (auto& field : trailers) fields.push_back(std::move(field));
  return fields;
}

std::string FieldLines(const FieldList& fields) {
  std::string lines;
  for (const auto& [name, value] : fields) {
    absl::StrAppend(&lines, name, ": ", value, "\r\n");
  }
  return lines;
}

}  // namespace headgate
