#include "gateway/http/response.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/reason_phrase.h"

namespace headgate {
namespace {

constexpr absl::string_view kRetryAfterSeconds = "5";

void AppendField(absl::string_view name, absl::string_view value,
                 std::string& out) {
  absl::StrAppend(&out, name, ": ");
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    out.push_back((byte < 0x20 && c != '\t') || byte == 0x7F ? '?' : c);
  }
  out += "\r\n";
}

}  // namespace

std::string ResponseHead(int status, const HttpFields& fields) {
  std::string head =
      absl::StrCat("HTTP/1.1 ", status, " ", ReasonPhrase(status), "\r\n");
  for (const auto& [name, value] : fields) AppendField(name, value, head);
  head += "\r\n";
  return head;
}

std::string ChunkBegin(std::size_t bytes) {
  return absl::StrCat(absl::Hex(bytes), "\r\n");
}

std::string LastChunk(const HttpFields& trailers) {
  std::string out = "0\r\n";
  for (const auto& [name, value] : trailers) AppendField(name, value, out);
  out += "\r\n";
  return out;
}

std::string HttpDate(absl::Time time) {
  return absl::FormatTime("%a, %d %b %E4Y %H:%M:%S GMT", time,
                          absl::UTCTimeZone());
}

void AddFieldsOfStatus(int status, HttpFields& fields) {
  if (status == 401) fields.emplace_back("WWW-Authenticate", "Bearer");
  if (status == 503) fields.emplace_back("Retry-After", kRetryAfterSeconds);
}

std::vector<std::string> FieldNames(const HttpFields& fields) {
  std::vector<std::string> names;
  for (const auto& [name, value] : fields) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
  }
  return names;
}

}  // namespace headgate
