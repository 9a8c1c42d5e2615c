// The clients of bench/fanout: many WebSockets on one thread, one of which
// sends messages that the server sends to all.
//
//   fanout_load HOST:PORT --path=/chat --sockets=1000 --size=64 --flight=16
//       --seconds=3 --pid=PID[,PID]
//
// A burst of `flight` messages is sent when each socket has got all of the one
// before. The K-th message that a socket gets is taken for the K-th that was
// sent. Prints one JSON object.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "fanout_load: %s\n", what.c_str());
  std::exit(1);
}

double Seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// --- Flags ---

struct Options {
  std::string host;
  int port = 0;
  std::string path = "/";
  std::vector<std::string> subprotocols = {""};  // Taken in turn.
  bool deflate = false;
  int sockets = 1000;
  int size = 64;
  int flight = 1;
  double warm_up = 0.5;
  double seconds = 3;
  double pause_ms = 0;  // Between a burst's end and the next one.
  std::vector<int> pids;
  std::string echo_path;  // Empty: no echo.
  double echo_rate = 200;
};

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) {
    parts.push_back(part);
  }
  return parts;
}

Options Parse(int argc, char** argv) {
  if (argc < 2) Fail("HOST:PORT is missing");
  Options options;
  const std::string address = argv[1];
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) Fail("not HOST:PORT: " + address);
  options.host = address.substr(0, colon);
  options.port = std::atoi(address.c_str() + colon + 1);
  for (int i = 2; i < argc; ++i) {
    const std::string flag = argv[i];
    const std::size_t equals = flag.find('=');
    const std::string name = flag.substr(0, equals);
    const std::string value =
        equals == std::string::npos ? "" : flag.substr(equals + 1);
    if (name == "--path") {
      options.path = value;
    } else if (name == "--subprotocols") {
      options.subprotocols = Split(value);
    } else if (name == "--deflate") {
      options.deflate = true;
    } else if (name == "--sockets") {
      options.sockets = std::atoi(value.c_str());
    } else if (name == "--size") {
      options.size = std::max(2, std::atoi(value.c_str()));
    } else if (name == "--flight") {
      options.flight = std::max(1, std::atoi(value.c_str()));
    } else if (name == "--warm-up") {
      options.warm_up = std::atof(value.c_str());
    } else if (name == "--seconds") {
      options.seconds = std::atof(value.c_str());
    } else if (name == "--pause-ms") {
      options.pause_ms = std::atof(value.c_str());
    } else if (name == "--pid") {
      for (const std::string& pid : Split(value)) {
        options.pids.push_back(std::atoi(pid.c_str()));
      }
    } else if (name == "--echo-path") {
      options.echo_path = value;
    } else if (name == "--echo-rate") {
      options.echo_rate = std::atof(value.c_str());
    } else {
      Fail("unknown flag " + flag);
    }
  }
  return options;
}

// --- Sockets ---

// A client's text frame, masked with zeros.
std::string ClientFrame(const std::string& payload) {
  std::string frame = "\x81";
  const std::size_t size = payload.size();
  if (size < 126) {
    frame += static_cast<char>(0x80 | size);
  } else if (size <= 0xFFFF) {
    frame += static_cast<char>(0x80 | 126);
    frame += static_cast<char>(size >> 8);
    frame += static_cast<char>(size);
  } else {
    frame += static_cast<char>(0x80 | 127);
    for (int shift = 56; shift >= 0; shift -= 8) {
      frame += static_cast<char>(static_cast<std::uint64_t>(size) >> shift);
    }
  }
  frame.append(4, '\0');
  return frame + payload;
}

// Counts the messages in a server's bytes, which come in pieces of any size.
class FrameCounter {
 public:
  int Take(std::string_view bytes) {
    int messages = 0;
    while (!bytes.empty()) {
      if (payload_left_ > 0) {
        const std::size_t part =
            std::min<std::uint64_t>(payload_left_, bytes.size());
        payload_left_ -= part;
        bytes.remove_prefix(part);
      } else {
        head_[head_size_++] = static_cast<unsigned char>(bytes.front());
        bytes.remove_prefix(1);
        if (!HeadIsWhole()) continue;
      }
      if (payload_left_ > 0) continue;
      const int opcode = head_[0] & 0x0F;
      if (opcode == 0x8) Fail("the server has closed a socket");
      if (opcode < 0x8 && (head_[0] & 0x80) != 0) ++messages;
      head_size_ = 0;
    }
    return messages;
  }

 private:
  bool HeadIsWhole() {
    if (head_size_ < 2) return false;
    const unsigned length = head_[1] & 0x7F;
    const std::size_t size = length < 126 ? 2 : length == 126 ? 4 : 10;
    if (head_size_ < size) return false;
    payload_left_ = length;
    if (size > 2) {
      payload_left_ = 0;
      for (std::size_t i = 2; i < size; ++i) {
        payload_left_ = payload_left_ << 8 | head_[i];
      }
    }
    return true;
  }

  std::array<unsigned char, 10> head_ = {};
  std::size_t head_size_ = 0;
  std::uint64_t payload_left_ = 0;
};

struct Connection {
  int fd = -1;
  FrameCounter counter;
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
};

// Connects, and does the handshake.
int Open(const Options& options, const std::string& path,
         const std::string& subprotocol) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(options.port));
  if (inet_pton(AF_INET, options.host.c_str(), &address.sin_addr) != 1) {
    Fail("not an IPv4 address: " + options.host);
  }
  // An ephemeral port is taken by the pair of addresses, so 10,000 fit.
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    Fail(std::string("connect: ") + std::strerror(errno));
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + options.host +
                        "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  if (!subprotocol.empty()) {
    request += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n";
  }
  if (options.deflate) {
    request +=
        "Sec-WebSocket-Extensions: permessage-deflate; "
        "server_no_context_takeover; client_no_context_takeover\r\n";
  }
  request += "\r\n";
  if (send(fd, request.data(), request.size(), 0) !=
      static_cast<ssize_t>(request.size())) {
    Fail("the handshake could not be sent");
  }
  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos) {
    char byte = 0;
    if (recv(fd, &byte, 1, 0) != 1) Fail("no response to the handshake");
    head += byte;
  }
  if (head.compare(0, 12, "HTTP/1.1 101") != 0) Fail(head);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

// --- Measuring ---

// {user, system} seconds.
std::pair<double, double> CpuOf(const std::vector<int>& pids) {
  std::pair<double, double> sum = {0, 0};
  const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  for (const int pid : pids) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    std::stringstream fields(text.substr(text.rfind(')') + 1));
    std::string skipped;
    for (int i = 0; i < 11; ++i) fields >> skipped;
    double user = 0;
    double system = 0;
    fields >> user >> system;
    sum.first += user * tick;
    sum.second += system * tick;
  }
  return sum;
}

double Quantile(std::vector<double>& values, double quantile) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto index = static_cast<std::size_t>(
      quantile * static_cast<double>(values.size() - 1) + 0.5);
  return values[index];
}

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options), epoll_(epoll_create1(0)), buffer_(256 * 1024) {
    connections_.resize(static_cast<std::size_t>(options_.sockets));
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      Connection& connection = connections_[i];
      connection.fd =
          Open(options_, options_.path,
               options_.subprotocols[i % options_.subprotocols.size()]);
      Watch(connection.fd, i);
    }
    if (!options_.echo_path.empty()) {
      echo_.fd = Open(options_, options_.echo_path, "");
      Watch(echo_.fd, kEcho);
    }
    // A JSON text, so that clients of every codec can be sent it.
    const std::string payload =
        '"' + std::string(static_cast<std::size_t>(options_.size) - 2, 'x') +
        '"';
    for (int i = 0; i < options_.flight; ++i) burst_ += ClientFrame(payload);
    echo_frame_ = ClientFrame("\"echo\"");
  }

  void Run() {
    RunUntil(Clock::now() + Duration(options_.warm_up));
    figures_ = {};
    const auto cpu = CpuOf(options_.pids);
    const auto began = Clock::now();
    const std::uint64_t bytes = Bytes();
    RunUntil(began + Duration(options_.seconds));
    const double elapsed = Seconds(Clock::now() - began);
    const auto spent = CpuOf(options_.pids);
    Print(elapsed, spent.first - cpu.first, spent.second - cpu.second,
          Bytes() - bytes);
  }

 private:
  static constexpr std::uint64_t kEcho = ~std::uint64_t{0};
  struct Figures {
    std::uint64_t deliveries = 0;
    std::uint64_t publications = 0;
    std::vector<double> to_last;  // From the send of a message, seconds.
    std::vector<double> spread;   // First receiver to last.
    std::vector<double> echoes;
  };

  static Clock::duration Duration(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(seconds));
  }

  std::uint64_t Bytes() const {
    std::uint64_t bytes = 0;
    for (const Connection& connection : connections_) bytes += connection.bytes;
    return bytes;
  }

  void Watch(int fd, std::uint64_t tag) {
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u64 = tag;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  // Whole bursts, the last of which ends after `end`.
  void RunUntil(Clock::time_point end) {
    do {
      SendBurst();
      while (complete_ < sent_) Wait(60'000);
      const auto next = Clock::now() + Duration(options_.pause_ms / 1000);
      while (Clock::now() < next) Wait(1);
    } while (Clock::now() < end);
  }

  void SendBurst() {
    const auto flight = static_cast<std::size_t>(options_.flight);
    first_at_.assign(flight, {});
    received_.assign(flight, 0);
    base_ = sent_;
    sent_at_ = Clock::now();
    SendAll(connections_[0].fd, burst_);
    sent_ += flight;
  }

  void SendAll(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (errno == EAGAIN) {
        Wait(10);
      } else {
        Fail(std::string("send: ") + std::strerror(errno));
      }
    }
  }

  void Wait(int timeout_ms) {
    if (echo_.fd >= 0) {
      const auto now = Clock::now();
      if (!echo_sent_ && now >= next_echo_) {
        echo_sent_ = now;
        next_echo_ = now + Duration(1 / options_.echo_rate);
        SendAll(echo_.fd, echo_frame_);
      }
      timeout_ms = std::min(timeout_ms, 1);
    }
    std::array<epoll_event, 256> events;
    const int count =
        epoll_wait(epoll_, events.data(), events.size(), timeout_ms);
    if (count == 0 && timeout_ms >= 60'000) Fail("nothing arrives any more");
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 == kEcho) {
        OnEcho();
      } else {
        Receive(connections_[events[i].data.u64]);
      }
    }
  }

  int ReadFrom(Connection& connection) {
    const ssize_t size = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (size == 0) Fail("a connection has ended");
    if (size < 0) {
      if (errno == EAGAIN) return 0;
      Fail(std::string("recv: ") + std::strerror(errno));
    }
    connection.bytes += static_cast<std::uint64_t>(size);
    return connection.counter.Take(
        {buffer_.data(), static_cast<std::size_t>(size)});
  }

  void OnEcho() {
    if (ReadFrom(echo_) == 0 || !echo_sent_) return;
    figures_.echoes.push_back(Seconds(Clock::now() - *echo_sent_));
    echo_sent_ = std::nullopt;
  }

  void Receive(Connection& connection) {
    const int messages = ReadFrom(connection);
    if (messages == 0) return;
    const auto now = Clock::now();
    for (int i = 0; i < messages; ++i) {
      const std::uint64_t index = connection.messages++ - base_;
      if (index >= received_.size()) Fail("more messages than were sent");
      if (received_[index]++ == 0) first_at_[index] = now;
      ++figures_.deliveries;
      if (received_[index] < connections_.size()) continue;
      ++complete_;
      ++figures_.publications;
      figures_.to_last.push_back(Seconds(now - sent_at_));
      figures_.spread.push_back(Seconds(now - first_at_[index]));
    }
  }

  void Print(double elapsed, double user, double system, std::uint64_t bytes) {
    Figures& run = figures_;
    const auto deliveries = static_cast<double>(run.deliveries);
    const double us = 1e6 / std::max(1.0, deliveries);
    std::printf(
        "{\"deliveries\": %.0f, \"publications\": %llu, \"seconds\": %.3f, "
        "\"bytes_per_delivery\": %.1f, "
        "\"cpu_us\": {\"user\": %.3f, \"system\": %.3f, \"total\": %.3f}, "
        "\"deliveries_per_second\": %.0f, "
        "\"to_last_ms\": {\"p50\": %.3f, \"p99\": %.3f}, "
        "\"spread_ms\": {\"p50\": %.3f, \"p99\": %.3f}, "
        "\"echo_ms\": {\"count\": %zu, \"p50\": %.3f, \"p99\": %.3f, "
        "\"max\": %.3f}}\n",
        deliveries, static_cast<unsigned long long>(run.publications), elapsed,
        static_cast<double>(bytes) / std::max(1.0, deliveries), user * us,
        system * us, (user + system) * us, deliveries / elapsed,
        1e3 * Quantile(run.to_last, 0.5), 1e3 * Quantile(run.to_last, 0.99),
        1e3 * Quantile(run.spread, 0.5), 1e3 * Quantile(run.spread, 0.99),
        run.echoes.size(), 1e3 * Quantile(run.echoes, 0.5),
        1e3 * Quantile(run.echoes, 0.99), 1e3 * Quantile(run.echoes, 1));
  }

  const Options options_;
  const int epoll_;
  std::vector<char> buffer_;
  std::vector<Connection> connections_;
  std::string burst_;

  // The burst under way: messages are numbered from `base_`.
  std::uint64_t base_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t complete_ = 0;
  Clock::time_point sent_at_;
  std::vector<Clock::time_point> first_at_;
  std::vector<std::size_t> received_;

  Connection echo_;
  std::string echo_frame_;
  std::optional<Clock::time_point> echo_sent_;
  Clock::time_point next_echo_;

  Figures figures_;
};

}  // namespace

int main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  Load(options).Run();
}
