#include "cmd/headgate/bench/ws_load.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/web_socket.h"
#include "cmd/headgate/bench/one_mask.h"
#include "cmd/headgate/bench/peer.h"
#include "cmd/headgate/bench/repeated.h"
#include "cmd/headgate/bench/socket_load.h"
#include "cmd/headgate/dial/ending.h"
#include "gateway/ws/frame.h"

namespace headgate {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;

struct WsConnection final : LoadConnection {
  WsConnection(Role r, std::size_t number,
               std::unique_ptr<AnswerCounter> answers)
      : LoadConnection(r, number), counter(std::move(answers)) {}

  LoadSocket socket;
  // While connected. It sends the handshake and control frames.
  std::unique_ptr<BenchPeer> peer;
  RepeatedPosition messages;  // Those that the socket has not taken whole.
  const std::unique_ptr<AnswerCounter> counter;
};

// What one read of a connection brought.
class Arrivals final : public ClientWebSocketObserver {
 public:
  Arrivals(AnswerCounter& counter, const std::vector<std::string>& offered)
      : counter_(counter), offered_(offered) {}

  void OnOpen(const std::string& subprotocol) override {
    opened = true;
    codec_declined = !offered_.empty() && subprotocol != offered_.front();
  }

  void OnPiece(absl::string_view piece, bool end) override {
    if (!fault.ok()) return;
    const auto ended = counter_.Take(piece, end);
    if (ended.ok()) {
      answers += *ended;
    } else {
      fault = ended.status();
    }
  }

  void OnClose(CloseCode code, absl::string_view reason) override {
    closed = Closed{static_cast<std::uint16_t>(code), std::string(reason),
                    std::nullopt};
  }

  bool opened = false;
  bool codec_declined = false;
  std::size_t answers = 0;
  absl::Status fault;  // Of the dialect.
  std::optional<Closed> closed;

 private:
  AnswerCounter& counter_;
  const std::vector<std::string>& offered_;
};

std::string FrameOf(const WsLoadOptions& options, const ws::MaskKey& mask) {
  if (!options.http_request.empty()) return options.http_request;
  std::string frame;
  ws::AppendFrame(options.message.opcode == Opcode::kText
                      ? ws::FrameOpcode::kText
                      : ws::FrameOpcode::kBinary,
                  options.message.payload, &mask, frame);
  return frame;
}

class WsLoad final : public SocketLoad {
 public:
  WsLoad(const WsLoadOptions& options, Share share, const StopFlag& stop)
      : WsLoad(options, share, stop, OneMask()) {}

 private:
  WsLoad(const WsLoadOptions& options, Share share, const StopFlag& stop,
         const OneMask& mask)
      : WsLoad(options, share, stop, mask,
               RepeatedMessage(FrameOf(options, mask.key),
                               options.load.in_flight)) {}

  WsLoad(const WsLoadOptions& options, Share share, const StopFlag& stop,
         const OneMask& mask, RepeatedMessage frames)
      : SocketLoad(options.load, share, stop, frames.message_bytes()),
        options_(options),
        mask_(mask),
        frames_(std::move(frames)),
        buffer_(kReadBytes, '\0') {}

  std::unique_ptr<LoadConnection> Make(Role role, std::size_t number) override {
    return std::make_unique<WsConnection>(role, number,
                                          options_.dialect->counter());
  }

  static WsConnection& Of(LoadConnection& connection) {
    return static_cast<WsConnection&>(connection);
  }

  void Start(LoadConnection& connection) override {
    Connect(Of(connection), good_endpoint_);
  }

  void Connect(WsConnection& connection, std::size_t endpoint) {
    const absl::Status status = connection.socket.Connect(
        options_.endpoints, endpoint, SocketNumber(connection));
    if (!status.ok()) {
      return Fail(connection, Unreachable{std::string(status.message())});
    }
    if (!Watch(connection.socket.fd(), EPOLLIN | EPOLLOUT | EPOLLRDHUP,
               &connection)) {
      Fail(connection, Unreachable{SocketErrorText(errno)});
    }
  }

  void OnEvent(void* watched, std::uint32_t events) override {
    auto& connection = *static_cast<WsConnection*>(watched);
    if (connection.state == State::kConnecting) {
      OnConnected(connection);
      if (connection.state == State::kConnecting) return;
    } else if ((events & EPOLLOUT) != 0) {
      Flush(connection);
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
      Read(connection, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    }
  }

  // ---- Opening

  void OnConnected(WsConnection& connection) {
    bool has_another = false;
    const absl::Status status =
        connection.socket.OnConnected(options_.endpoints, &has_another);
    if (!status.ok()) {
      return has_another
                 ? Connect(connection, connection.socket.endpoint() + 1)
                 : Fail(connection, Unreachable{std::string(status.message())});
    }
    good_endpoint_ = connection.socket.endpoint();
    connection.state = State::kHandshake;
    connection.peer = MakePeer();
    if (!connection.peer->Start()) {
      return Fail(connection, ToDialEnding(connection.peer->failure()));
    }
    if (connection.peer->opens_at_once()) return OnUpgraded(connection);
    Flush(connection);
  }

  std::unique_ptr<BenchPeer> MakePeer() {
    if (!options_.http_request.empty()) {
      return MakeHttpPeer(options_.tls, options_.server);
    }
    ClientWebSocket::Options options;
    options.delivery = ws::Delivery::kPieces;
    options.tls = options_.tls;
    options.server = options_.server;
    return MakeWebSocketPeer(options_.request, mask_, options, options_.head);
  }

  // ---- Ending

  bool BeginClose(LoadConnection& load_connection) override {
    WsConnection& connection = Of(load_connection);
    if (!connection.peer->Close()) return false;
    // A frame that has begun must end.
    connection.messages.DropWhole();
    Flush(connection);
    return true;
  }

  void Release(LoadConnection& connection) override {
    Of(connection).socket.Close();
    Of(connection).peer.reset();
  }

  // ---- Reading

  void Read(WsConnection& connection, bool hung_up) {
    while (connection.state != State::kGone) {
      const ssize_t size =
          recv(connection.socket.fd(), buffer_.data(), buffer_.size(), 0);
      if (size < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN) return;
        return OnLost(connection, errno);
      }
      if (size == 0) return OnLost(connection, 0);
      const std::int64_t now = NowNs();
      const absl::string_view bytes(buffer_.data(),
                                    static_cast<std::size_t>(size));
      OnBytes(connection, bytes, now);
      // That was all, or else there will be an edge.
      if (bytes.size() < buffer_.size() && !hung_up) return;
    }
  }

  void OnLost(WsConnection& connection, int error) {
    Fail(connection, ToDialEnding(connection.peer->AtEnd(
                         error == 0 ? "" : SocketErrorText(error))));
  }

  void OnBytes(WsConnection& connection, absl::string_view bytes,
               std::int64_t now) {
    Arrivals arrivals(*connection.counter, options_.request.subprotocols());
    const bool received = connection.peer->Receive(bytes, arrivals);
    if (connection.state == State::kClosing) {
      // TLS may have ended before the connection.
      if (!received) Hangup(connection);
      return;
    }
    if (arrivals.opened) {
      counts_.codec_declined =
          counts_.codec_declined || arrivals.codec_declined;
      OnUpgraded(connection);
    } else if (connection.role == Role::kActive) {
      ledger().OnBytesReceived(bytes.size(), now);
    }
    if (arrivals.answers > 0) {
      connection.messages.Add(TakeAnswers(connection, arrivals.answers, now));
    }
    if (connection.state == State::kGone) return;
    if (!arrivals.fault.ok()) {
      return Fail(connection, Lost{std::string(arrivals.fault.message())});
    }
    if (arrivals.closed.has_value()) {
      SendLast(connection);
      return Fail(connection, *arrivals.closed);
    }
    if (!received) {
      SendLast(connection);
      return Fail(connection, ToDialEnding(connection.peer->failure()));
    }
    if (!connection.messages.empty() || connection.peer->has_output()) {
      Flush(connection);
    }
  }

  // Sends the Close frame that has been put, if no message is half sent and the
  // socket takes it.
  void SendLast(WsConnection& connection) {
    connection.messages.DropWhole();
    if (!connection.messages.empty() || !connection.peer->has_output()) return;
    const absl::string_view frame = connection.peer->Front();
    send(connection.socket.fd(), frame.data(), frame.size(),
         MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  // ---- Sending

  void Send(LoadConnection& connection, std::size_t messages) override {
    Of(connection).messages.Add(messages);
    Flush(Of(connection));
  }

  // Writes what is queued, as far as the socket takes it; an edge follows when
  // it takes more.
  void Flush(WsConnection& connection) {
    while (connection.state != State::kGone) {
      absl::string_view next;
      BenchPeer& peer = *connection.peer;
      RepeatedPosition& messages = connection.messages;
      const bool control = !messages.is_within() && peer.has_output();
      if (control) {
        next = peer.Front();
      } else if (messages.empty()) {
        return;
      } else if (peer.is_tls()) {
        const absl::string_view frames = frames_.Front(messages);
        peer.EncryptFrames(frames);
        frames_.Advance(messages, frames.size());
        continue;
      } else {
        // Control frames go between messages.
        next = peer.has_output() ? frames_.FrontMessage(messages)
                                 : frames_.Front(messages);
      }
      const ssize_t size = send(connection.socket.fd(), next.data(),
                                next.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (size < 0) {
        if (errno == EINTR) continue;
        // The read finds any other error, after what arrived before it.
        return;
      }
      const auto sent = static_cast<std::size_t>(size);
      if (control) {
        peer.OnSent(sent);
      } else {
        frames_.Advance(messages, sent);
      }
      if (sent < next.size()) return;
    }
  }

  const WsLoadOptions& options_;
  OneMask mask_;
  const RepeatedMessage frames_;
  std::string buffer_;  // What was read.
  std::size_t good_endpoint_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Load>> MakeWsLoad(const WsLoadOptions& options,
                                                 Share share,
                                                 const StopFlag& stop) {
  auto load = std::make_unique<WsLoad>(options, share, stop);
  const absl::Status status = load->Init();
  if (!status.ok()) return status;
  return load;
}

}  // namespace headgate
