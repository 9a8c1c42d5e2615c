#ifndef GATEWAY_CONFIG_ADDRESS_H_
#define GATEWAY_CONFIG_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headgate {

// Where a listener listens.
struct Address {
  std::string host;  // Without brackets; empty: every address.
  std::uint16_t port = 0;
};

// "127.0.0.1:8080", "[::1]:8080", "localhost:0", "*:8080", ":8080".
absl::StatusOr<Address> ParseAddress(absl::string_view text);

// What a listener listens on.
struct ListenAddress {
  enum class Kind {
    kTcp,
    kUnix,     // "unix:/path"
    kSystemd,  // "systemd:NAME", a socket that the service manager has opened.
  };
  Kind kind = Kind::kTcp;
  Address tcp;
  std::string name;  // The path, or NAME.
};
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);

// Whether only this machine can connect to it: a loopback address or a socket
// file.
bool IsOfThisMachine(const ListenAddress& address);

// The other way round: an IPv6 host gets its brackets.
std::string FormatAddress(absl::string_view host, std::uint16_t port);

// What belongs to one client as a rule: of an IPv6 address the network of 64
// bits, "2001:db8:0:1::", or the IPv4 address that a translator has put into it
// (64:ff9b::/96, RFC 6052); any other address as it is, and "" for what is
// none.
std::string AddressNetwork(absl::string_view address);

// A range of IP addresses in CIDR notation (RFC 4632). Immutable.
class Network {
 public:
  // "10.0.0.0/8", "2001:db8::/32", or one address.
  static absl::StatusOr<Network> Parse(absl::string_view text);

  // False for what is not an IP address. An IPv4 address in IPv6's clothes
  // (::ffff:10.1.2.3) is taken for the IPv4 address.
  bool Contains(absl::string_view address) const;

 private:
  std::string bytes_;  // 4 or 16, network order.
  int bits_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_CONFIG_ADDRESS_H_
