#include "gateway/net/proxy_header.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace headgate {
namespace {

constexpr absl::string_view kV2Signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kV2FixedBytes = 16;
constexpr absl::string_view kV1Signature = "PROXY ";
// The shortest is "PROXY UNKNOWN\r\n".
constexpr std::size_t kV1ShortestBytes = 15;
constexpr std::size_t kV1LongestBytes = 107;

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("PROXY header: ", what));
}

ProxyHeader Missing(std::size_t bytes) { return ProxyHeader{bytes, ""}; }

bool IsAddress(int family, const std::string& text) {
  char bytes[16];
  // To inet_pton a text ends at its first zero.
  return text.find('\0') == std::string::npos &&
         inet_pton(family, text.c_str(), bytes) == 1;
}

bool IsPort(absl::string_view text) {
  std::uint32_t port = 0;
  return !text.empty() && text.size() <= 5 &&
         text.find_first_not_of("0123456789") == absl::string_view::npos &&
         absl::SimpleAtoi(text, &port) && port <= 65535;
}

absl::StatusOr<ProxyHeader> ParseV1(absl::string_view bytes) {
  if (bytes.size() < kV1ShortestBytes) {
    return Missing(kV1ShortestBytes - bytes.size());
  }
  if (!absl::EndsWith(bytes, "\r\n")) {
    if (absl::StrContains(bytes, '\n') || bytes.size() >= kV1LongestBytes) {
      return Malformed("version 1 is one line of at most 107 bytes");
    }
    return Missing(1);
  }
  const std::vector<std::string> words =
      absl::StrSplit(bytes.substr(0, bytes.size() - 2), ' ');
  if (words[1] == "UNKNOWN") return ProxyHeader{};
  const bool is_v4 = words[1] == "TCP4";
  const int family = is_v4 ? AF_INET : AF_INET6;
  if ((!is_v4 && words[1] != "TCP6") || words.size() != 6 ||
      !IsAddress(family, words[2]) || !IsAddress(family, words[3]) ||
      !IsPort(words[4]) || !IsPort(words[5])) {
    return Malformed("must be TCP4 or TCP6, two addresses and two ports");
  }
  return ProxyHeader{0, words[2]};
}

std::uint8_t ByteAt(absl::string_view bytes, std::size_t i) {
  return static_cast<std::uint8_t>(bytes[i]);
}

absl::StatusOr<ProxyHeader> ParseV2(absl::string_view bytes) {
  if (bytes.size() < kV2FixedBytes) {
    return Missing(kV2FixedBytes - bytes.size());
  }
  const int version = ByteAt(bytes, 12) >> 4;
  const int command = ByteAt(bytes, 12) & 0xF;
  const int family = ByteAt(bytes, 13) >> 4;
  const std::size_t length = ByteAt(bytes, 14) * 256u + ByteAt(bytes, 15);
  if (version != 2 || command > 1) {
    return Malformed("version 2 knows LOCAL and PROXY only");
  }
  const std::size_t size = kV2FixedBytes + length;
  if (size > kMaxProxyHeaderBytes) {
    return Malformed(
        absl::StrCat("is longer than ", kMaxProxyHeaderBytes, " bytes"));
  }
  if (bytes.size() < size) return Missing(size - bytes.size());
  constexpr int kLastFamily = 3;  // A socket file; the rest is unassigned.
  if (family > kLastFamily) return Malformed("knows no such address family");
  if (command == 0) return ProxyHeader{};
  const bool is_v4 = family == 1;
  if (!is_v4 && family != 2) return ProxyHeader{};  // UNSPEC, a socket file.
  if (length < (is_v4 ? 12u : 36u)) {
    return Malformed("is too short for its addresses");
  }
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes.data() + kV2FixedBytes, text,
            sizeof(text));
  return ProxyHeader{0, text};
}

}  // namespace

absl::StatusOr<ProxyHeader> ParseProxyHeader(absl::string_view bytes) {
  const auto begins_like = [&](absl::string_view signature) {
    const std::size_t size = std::min(bytes.size(), signature.size());
    return bytes.substr(0, size) == signature.substr(0, size);
  };
  if (begins_like(kV2Signature)) {
    // Both begin so while nothing has come.
    if (bytes.empty()) return Missing(kV2Signature.size());
    return ParseV2(bytes);
  }
  if (begins_like(kV1Signature)) return ParseV1(bytes);
  return Malformed("there is none");
}

}  // namespace headgate
