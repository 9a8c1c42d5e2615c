#ifndef GATEWAY_NET_PEER_ADDRESS_H_
#define GATEWAY_NET_PEER_ADDRESS_H_

#include <optional>
#include <string>

#include "gateway/net/stream_socket.h"

namespace headgate {

// The IP address of the other end, without its port; "unix" for that of a
// socket file. Absent when the connection is gone.
std::optional<std::string> PeerAddress(const StreamSocket& socket);

}  // namespace headgate

#endif  // GATEWAY_NET_PEER_ADDRESS_H_
