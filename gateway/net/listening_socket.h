#ifndef GATEWAY_NET_LISTENING_SOCKET_H_
#define GATEWAY_NET_LISTENING_SOCKET_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/config/settings.h"

namespace headgate {

// From where a listener can be connected to.
enum class SocketReach {
  kNetwork,
  kLoopback,  // This machine, by an address: browsers, too.
  kFile,      // This machine, by a socket file.
};

// That of a listener at `address`, as far as its name says; a name other than
// localhost, and a socket of the service manager's, count as the network.
SocketReach ReachOfAddress(absl::string_view address);

// A socket that listens; closed, and its socket file removed, when destroyed.
// Movable.
class ListeningSocket {
 public:
  ListeningSocket(int fd, int family, std::string address,
                  std::string unlink_path);
  ListeningSocket(ListeningSocket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        family_(other.family_),
        address_(std::move(other.address_)),
        unlink_path_(std::exchange(other.unlink_path_, "")),
        inode_(std::move(other.inode_)) {}
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  ~ListeningSocket();

  // Gives the descriptor away; the socket file is still removed at the end.
  int Release() { return std::exchange(fd_, -1); }

  // Removes the socket file, unless it is somebody else's by now: a process
  // that has taken the path over while this one drains.
  void RemoveFile();

  // Sets the options of a TCP connection that it has accepted: what is written
  // leaves at once, and the kernel takes 128 KiB beyond what the peer's window
  // allows to send. Otherwise it takes some MiB (tcp_wmem), unseen by
  // limits.max_memory, for a peer that reads nothing.
  void SetOptions(int accepted) const;

  int family() const { return family_; }
  SocketReach reach() const;
  // "127.0.0.1:8080" with the port that was taken for 0, or "unix:/path".
  const std::string& address() const { return address_; }

 private:
  int fd_;
  int family_;  // AF_INET, AF_INET6, AF_UNIX
  std::string address_;
  std::string unlink_path_;
  // Of the file that bind has made: device and number.
  std::pair<std::uint64_t, std::uint64_t> inode_ = {};
};

// Opens what a listener asks for: a name with several addresses gives several
// sockets. UNAVAILABLE (NOT_FOUND for an address that the machine does not
// have) says what cannot be listened on and why. A socket file that nobody
// listens on is replaced. Requires: a valid address.
absl::StatusOr<std::vector<ListeningSocket>> OpenListener(
    const ListenerSettings& settings);

}  // namespace headgate

#endif  // GATEWAY_NET_LISTENING_SOCKET_H_
