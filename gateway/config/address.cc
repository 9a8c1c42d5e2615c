#include "gateway/config/address.h"

#include <arpa/inet.h>

#include <cstring>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace headgate {
namespace {

// The address in network order, 4 or 16 bytes.
std::optional<std::string> AddressBytes(absl::string_view text) {
  const std::string name(text);
  // To inet_pton a text ends at its first zero.
  if (name.find('\0') != std::string::npos) return std::nullopt;
  char bytes[16];
  if (inet_pton(AF_INET, name.c_str(), bytes) == 1) {
    return std::string(bytes, 4);
  }
  if (inet_pton(AF_INET6, name.c_str(), bytes) != 1) return std::nullopt;
  static constexpr char kMapped[] =
      "\0\0\0\0\0\0\0\0\0\0\xff\xff";  // RFC 4291 section 2.5.5.2
  if (std::memcmp(bytes, kMapped, 12) == 0) return std::string(bytes + 12, 4);
  return std::string(bytes, 16);
}

}  // namespace

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  const auto fault = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        "must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080, is \"", text,
        "\""));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return fault();
  absl::string_view host = text.substr(0, colon);
  std::uint32_t port = 0;
  const absl::string_view digits = text.substr(colon + 1);
  if (digits.empty() || digits.size() > 5 ||
      digits.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(digits, &port) || port > 65535) {
    return fault();
  }
  if (absl::StartsWith(host, "[")) {
    if (!absl::EndsWith(host, "]")) return fault();
    host = host.substr(1, host.size() - 2);
  } else if (absl::StrContains(host, ':')) {
    return fault();  // IPv6 without brackets: where would the port begin?
  }
  if (host == "*") host = "";
  return Address{std::string(host), static_cast<std::uint16_t>(port)};
}

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  ListenAddress address;
  absl::string_view name = text;
  if (absl::ConsumePrefix(&name, "unix:")) {
    constexpr std::size_t kMost = 107;  // sockaddr_un::sun_path, unix(7).
    if (!absl::StartsWith(name, "/") || name.size() > kMost) {
      return absl::InvalidArgumentError(
          absl::StrCat("must be unix: and an absolute path of at most ", kMost,
                       " bytes, is \"", text, "\""));
    }
    address.kind = ListenAddress::Kind::kUnix;
    address.name = std::string(name);
    return address;
  }
  if (absl::ConsumePrefix(&name, "systemd:")) {
    if (name.empty()) {
      return absl::InvalidArgumentError(
          "must be systemd: and the FileDescriptorName of the socket");
    }
    address.kind = ListenAddress::Kind::kSystemd;
    address.name = std::string(name);
    return address;
  }
  absl::StatusOr<Address> tcp = ParseAddress(text);
  if (!tcp.ok()) return tcp.status();
  address.tcp = *std::move(tcp);
  return address;
}

std::string FormatAddress(absl::string_view host, std::uint16_t port) {
  if (absl::StrContains(host, ':')) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

std::string AddressNetwork(absl::string_view address) {
  std::optional<std::string> bytes = AddressBytes(address);
  if (!bytes) return "";
  // IPv4 behind a translator, RFC 6052 section 2.1.
  constexpr absl::string_view kTranslated("\0\x64\xff\x9b\0\0\0\0\0\0\0\0", 12);
  if (absl::StartsWith(*bytes, kTranslated))
    bytes->erase(0, kTranslated.size());
  const int family = bytes->size() == 4 ? AF_INET : AF_INET6;
  if (family == AF_INET6) bytes->replace(8, 8, 8, '\0');
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(family, bytes->data(), text, sizeof(text));
  return text;
}

absl::StatusOr<Network> Network::Parse(absl::string_view text) {
  const auto fault = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat("must be an IP address or a network such as 10.0.0.0/8, "
                     "is \"",
                     text, "\""));
  };
  const std::size_t slash = text.find('/');
  const auto bytes = AddressBytes(text.substr(0, slash));
  if (!bytes) return fault();
  Network network;
  network.bytes_ = *bytes;
  const int most = static_cast<int>(bytes->size()) * 8;
  network.bits_ = most;
  if (slash != absl::string_view::npos &&
      (!absl::SimpleAtoi(text.substr(slash + 1), &network.bits_) ||
       network.bits_ < 0 || network.bits_ > most)) {
    return fault();
  }
  return network;
}

bool Network::Contains(absl::string_view address) const {
  const auto bytes = AddressBytes(address);
  if (!bytes || bytes->size() != bytes_.size()) return false;
  const std::size_t whole = static_cast<std::size_t>(bits_) / 8;
  if (bytes->compare(0, whole, bytes_, 0, whole) != 0) return false;
  const int rest = bits_ % 8;
  if (rest == 0) return true;
  const int mask = 0xFF << (8 - rest);
  return ((static_cast<unsigned char>((*bytes)[whole]) ^
           static_cast<unsigned char>(bytes_[whole])) &
          mask) == 0;
}

bool IsOfThisMachine(const ListenAddress& address) {
  static const Network* const kLoopback4 =
      new Network(*Network::Parse("127.0.0.0/8"));
  static const Network* const kLoopback6 = new Network(*Network::Parse("::1"));
  const std::string& host = address.tcp.host;
  return address.kind == ListenAddress::Kind::kUnix ||
         (address.kind == ListenAddress::Kind::kTcp &&
          (host == "localhost" || kLoopback4->Contains(host) ||
           kLoopback6->Contains(host)));
}

}  // namespace headgate
