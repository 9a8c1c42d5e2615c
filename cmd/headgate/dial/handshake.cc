#include "cmd/headgate/dial/handshake.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

// A header's value: blanks, tabs and anything visible (RFC 7230 section 3.2).
bool IsHeaderValue(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c == '\t' || (c >= 0x20 && c != 0x7F);
  });
}

// Headers that make the handshake what it is.
bool IsReserved(absl::string_view name) {
  return absl::StartsWithIgnoreCase(name, "Sec-WebSocket-") ||
         absl::EqualsIgnoreCase(name, "Upgrade") ||
         absl::EqualsIgnoreCase(name, "Connection") ||
         absl::EqualsIgnoreCase(name, "Content-Length") ||
         absl::EqualsIgnoreCase(name, "Transfer-Encoding");
}

absl::StatusOr<std::pair<std::string, std::string>> ParseHeader(
    absl::string_view header) {
  const std::size_t colon = header.find(':');
  if (colon == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("--header '", header, "': must be 'Name: value'"));
  }
  const absl::string_view name = header.substr(0, colon);
  const absl::string_view value =
      absl::StripAsciiWhitespace(header.substr(colon + 1));
  if (!IsHttpToken(name) || !IsHeaderValue(value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--header '", name, "': cannot be sent as it is"));
  }
  if (IsReserved(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--header '", name, "': is the handshake's own"));
  }
  return std::pair(std::string(name), std::string(value));
}

}  // namespace

bool IsHttpToken(absl::string_view text) {
  constexpr absl::string_view kSigns = "!#$%&'*+-.^_`|~";
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [&](unsigned char c) {
           return absl::ascii_isalnum(c) ||
                  kSigns.find(static_cast<char>(c)) != absl::string_view::npos;
         });
}

absl::StatusOr<UpgradeHeaders> MakeDialHandshake(
    const DialHandshakeOptions& options) {
  UpgradeHeaders handshake;
  if (options.codec != nullptr) {
    handshake.subprotocols.emplace_back(options.codec->token);
  }
  if (options.bearer.has_value()) {
    if (options.bearer->empty() || !IsHeaderValue(*options.bearer)) {
      return absl::InvalidArgumentError("--bearer: cannot be sent as it is");
    }
    if (IsHttpToken(*options.bearer)) {
      handshake.subprotocols.push_back("Bearer");
      handshake.subprotocols.push_back(*options.bearer);
    } else {
      handshake.headers.emplace_back("Authorization",
                                     absl::StrCat("Bearer ", *options.bearer));
    }
  }
  if (options.origin.has_value()) {
    if (!IsHeaderValue(*options.origin)) {
      return absl::InvalidArgumentError("--origin: cannot be sent as it is");
    }
    handshake.headers.emplace_back("Origin", *options.origin);
  }
  for (const std::string& header : options.headers) {
    auto parsed = ParseHeader(header);
    if (!parsed.ok()) return parsed.status();
    handshake.headers.push_back(*std::move(parsed));
  }
  return handshake;
}

}  // namespace headgate
