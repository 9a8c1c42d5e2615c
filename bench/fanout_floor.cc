// The least that a fan-out can cost on this machine: a bare `send` of a frame
// that is already encoded, to each of the sockets. What a client sends goes to
// all, and of messages that arrive together all leave in one `send`.
//
// Not a WebSocket server: it takes any request for a handshake, and takes the
// client's frames to be of one read and unmasked, as bench/fanout_load sends
// them. Prints "listening on HOST:PORT".

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Peer {
  bool is_open = false;  // The handshake is over.
  bool echoes = false;
  std::string input;
};

// Appends the frames in `input`, whole ones, as a server sends them.
void TakeFrames(std::string& input, std::string& out) {
  std::string_view left = input;
  while (left.size() >= 6) {
    const auto byte = [&](std::size_t i) {
      return static_cast<std::size_t>(static_cast<unsigned char>(left[i]));
    };
    std::size_t size = byte(1) & 0x7F;
    std::size_t head = 2;
    if (size == 126) {
      size = byte(2) << 8 | byte(3);
      head = 4;
    } else if (size == 127) {
      size = 0;
      for (std::size_t i = 2; i < 10; ++i) size = size << 8 | byte(i);
      head = 10;
    }
    if (left.size() < head + 4 + size) break;
    out += left[0];
    out += static_cast<char>(left[1] & 0x7F);
    out += left.substr(2, head - 2);
    out += left.substr(head + 4, size);
    left.remove_prefix(head + 4 + size);
  }
  input.erase(0, input.size() - left.size());
}

void SendAll(int fd, const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t part =
        send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (part < 0) return;  // Its client is gone.
    sent += static_cast<std::size_t>(part);
  }
}

}  // namespace

int main() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener, 4096) != 0) {
    std::perror("fanout_floor");
    return 1;
  }
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  std::fflush(stdout);

  const int epoll = epoll_create1(0);
  const auto watch = [epoll](int fd) {
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  };
  watch(listener);
  std::vector<Peer> peers;   // By descriptor.
  std::vector<int> members;  // Of the fan-out.
  std::vector<char> buffer(256 * 1024);
  for (;;) {
    std::array<epoll_event, 256> events;
    const int count = epoll_wait(epoll, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        for (int client; (client = accept(listener, nullptr, nullptr)) >= 0;) {
          const int on = 1;
          setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          if (peers.size() <= static_cast<std::size_t>(client)) {
            peers.resize(static_cast<std::size_t>(client) + 1);
          }
          peers[static_cast<std::size_t>(client)] = {};
          watch(client);
        }
        continue;
      }
      const ssize_t bytes =
          recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (bytes <= 0) {
        std::erase(members, fd);
        close(fd);
        continue;
      }
      Peer& peer = peers[static_cast<std::size_t>(fd)];
      peer.input.append(buffer.data(), static_cast<std::size_t>(bytes));
      if (!peer.is_open) {
        if (peer.input.find("\r\n\r\n") == std::string::npos) continue;
        peer.is_open = true;
        peer.echoes = peer.input.compare(0, 9, "GET /echo") == 0;
        if (!peer.echoes) members.push_back(fd);
        peer.input.clear();
        SendAll(fd, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
        continue;
      }
      std::string frames;
      TakeFrames(peer.input, frames);
      if (frames.empty()) continue;
      if (peer.echoes) {
        SendAll(fd, frames);
        continue;
      }
      for (const int member : members) SendAll(member, frames);
    }
  }
}
