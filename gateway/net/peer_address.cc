#include "gateway/net/peer_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include <boost/system/error_code.hpp>

namespace headgate {

std::optional<std::string> PeerAddress(const StreamSocket& socket) {
  boost::system::error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return std::nullopt;
  char text[INET6_ADDRSTRLEN] = {};
  switch (endpoint.data()->sa_family) {
    case AF_INET: {
      sockaddr_in address;
      std::memcpy(&address, endpoint.data(), sizeof(address));
      inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
      return text;
    }
    case AF_INET6: {
      sockaddr_in6 address;
      std::memcpy(&address, endpoint.data(), sizeof(address));
      // A client of IPv4 on a socket of both families (RFC 4291 section
      // 2.5.5.2) is one of IPv4.
      if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
        inet_ntop(AF_INET, &address.sin6_addr.s6_addr[12], text, sizeof(text));
        return text;
      }
      inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof(text));
      return text;
    }
    default:
      return "unix";
  }
}

}  // namespace headgate
