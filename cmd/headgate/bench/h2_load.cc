#include "cmd/headgate/bench/h2_load.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cmd/headgate/bench/h2_link.h"
#include "cmd/headgate/bench/h2_streams.h"
#include "cmd/headgate/bench/one_mask.h"
#include "cmd/headgate/bench/socket_load.h"
#include "gateway/ws/frame.h"

namespace headgate {
namespace {

constexpr std::size_t kH2ReadBytes = 256 * 1024;

using Form = BenchDialect::Form;

h2::Time H2Time(std::int64_t ns) {
  return h2::Time(std::chrono::nanoseconds(ns));
}

// The request that opens each stream.
using RequestFields = std::vector<std::pair<std::string, std::string>>;

RequestFields FieldsOf(const H2LoadOptions& options) {
  const bool is_socket = options.dialect->form == Form::kWebSocket;
  RequestFields fields = {{":method", is_socket ? "CONNECT" : "POST"},
                          {":scheme", options.tls ? "https" : "http"},
                          {":authority", options.url.authority},
                          {":path", options.url.target}};
  if (is_socket) {
    fields.emplace_back(":protocol", "websocket");
    fields.emplace_back("sec-websocket-version", "13");
    if (!options.headers.subprotocols.empty()) {
      fields.emplace_back("sec-websocket-protocol",
                          absl::StrJoin(options.headers.subprotocols, ", "));
    }
  } else {
    fields.emplace_back("content-type", options.dialect->media_type);
    fields.emplace_back("te", "trailers");
  }
  fields.emplace_back("user-agent", "headgate-bench");
  for (const auto& [name, value] : options.headers.headers) {
    if (absl::EqualsIgnoreCase(name, "host")) {
      fields[2].second = value;
    } else {
      fields.emplace_back(absl::AsciiStrToLower(name), value);
    }
  }
  return fields;
}

// A message as a stream repeats it.
std::string StreamMessage(const H2LoadOptions& options,
                          const ws::MaskKey& mask) {
  const WireMessage& message = options.message;
  if (options.dialect->form != Form::kWebSocket) return message.payload;
  std::string frame;
  ws::AppendFrame(message.opcode == Opcode::kText ? ws::FrameOpcode::kText
                                                  : ws::FrameOpcode::kBinary,
                  message.payload, &mask, frame);
  return frame;
}

struct H2Connection;

// A socket and the connections of the load that share it.
struct SharedLink {
  struct Progressed {
    H2Connection* connection;
    LoadStream* stream;
  };

  LoadSocket socket;
  std::unique_ptr<H2Link> http2;           // While connected.
  std::vector<H2Connection*> connections;  // In the order of their seats.
  std::size_t in_use = 0;                  // Of them.
  std::vector<Progressed> progressed;      // Not looked at yet.
  bool reading = false;                    // Flush follows.
  bool gone = false;
};

struct H2Connection final : LoadConnection, LoadStream::Observer {
  using LoadConnection::LoadConnection;

  void OnProgress(LoadStream& of) override {
    link->progressed.push_back({this, &of});
  }

  SharedLink* link = nullptr;
  std::unique_ptr<MessageStream> stream;  // Unless it is of calls.
  // Of calls, as many as are outstanding at a time.
  std::vector<std::unique_ptr<CallStream>> calls;
  std::vector<CallStream*> free_calls;
};

class H2Load final : public SocketLoad {
 public:
  H2Load(const H2LoadOptions& options, Share share, const StopFlag& stop)
      : H2Load(options, share, stop, OneMask()) {}

 private:
  H2Load(const H2LoadOptions& options, Share share, const StopFlag& stop,
         const OneMask& mask)
      : H2Load(options, share, stop, mask, StreamMessage(options, mask.key)) {}

  H2Load(const H2LoadOptions& options, Share share, const StopFlag& stop,
         const OneMask& mask, const std::string& message)
      : SocketLoad(options.load, share, stop, message.size()),
        options_(options),
        form_(options.dialect->form),
        socket_options_({options.dialect,
                         options.headers.subprotocols.empty()
                             ? ""
                             : options.headers.subprotocols.front(),
                         options.head}),
        mask_(mask),
        request_(FieldsOf(options)),
        message_(message, options.load.in_flight),
        buffer_(kH2ReadBytes, '\0') {
    for (const auto& [name, value] : request_) {
      fields_.push_back(h2::MakeField(name, value));
    }
  }

  static H2Connection& Of(LoadConnection& connection) {
    return static_cast<H2Connection&>(connection);
  }

  std::unique_ptr<LoadConnection> Make(Role role, std::size_t number) override {
    return std::make_unique<H2Connection>(role, number);
  }

  // ---- Opening

  void Start(LoadConnection& load_connection) override {
    H2Connection& connection = Of(load_connection);
    const bool is_full = links_.empty() || links_.back()->gone ||
                         links_.back()->connections.size() == options_.streams;
    if (is_full) links_.push_back(std::make_unique<SharedLink>());
    SharedLink& link = *links_.back();
    link.connections.push_back(&connection);
    ++link.in_use;
    connection.link = &link;
    if (is_full) {
      Connect(link, good_endpoint_);
    } else if (link.http2 != nullptr && link.http2->is_ready()) {
      OpenStream(connection);
      Flush(link);
    }
  }

  void Connect(SharedLink& link, std::size_t endpoint) {
    const absl::Status status = link.socket.Connect(
        options_.endpoints, endpoint, SocketNumber(*link.connections.front()));
    if (!status.ok()) {
      return FailAll(link, Unreachable{std::string(status.message())});
    }
    if (!Watch(link.socket.fd(), EPOLLIN | EPOLLOUT | EPOLLRDHUP, &link)) {
      FailAll(link, Unreachable{SocketErrorText(errno)});
    }
  }

  void OnEvent(void* watched, std::uint32_t events) override {
    auto& link = *static_cast<SharedLink*>(watched);
    if (link.gone) return;
    if (link.http2 == nullptr) {
      OnConnected(link);
      if (link.http2 == nullptr) return;
    } else if ((events & EPOLLOUT) != 0) {
      Flush(link);
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
      Read(link, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    }
  }

  void OnConnected(SharedLink& link) {
    bool has_another = false;
    absl::Status status =
        link.socket.OnConnected(options_.endpoints, &has_another);
    if (!status.ok() && has_another) {
      return Connect(link, link.socket.endpoint() + 1);
    }
    if (status.ok()) {
      good_endpoint_ = link.socket.endpoint();
      link.http2 = std::make_unique<H2Link>(options_.tls, options_.url.host,
                                            H2Time(NowNs()));
      status = link.http2->Start();
    }
    if (!status.ok()) {
      return FailAll(link, Unreachable{std::string(status.message())});
    }
    Flush(link);
  }

  void OnReady(SharedLink& link) {
    if (form_ == Form::kWebSocket &&
        !link.http2->session().peer_connect_protocol()) {
      return FailAll(link,
                     Unreachable{"the server takes no WebSockets over HTTP/2"});
    }
    // A failure leaves them where they are.
    for (std::size_t i = 0; i < link.connections.size() && !link.gone; ++i) {
      H2Connection& connection = *link.connections[i];
      if (connection.state == State::kConnecting) OpenStream(connection);
    }
  }

  void OpenStream(H2Connection& connection) {
    connection.state = State::kHandshake;
    if (form_ == Form::kCalls) return OnUpgraded(connection);
    SharedLink& link = *connection.link;
    h2::Session& session = link.http2->session();
    if (session.stream_count() >= session.peer_max_streams()) {
      return Fail(connection,
                  Unreachable{absl::StrCat("the server takes ",
                                           session.peer_max_streams(),
                                           " streams on a connection")});
    }
    if (form_ == Form::kWebSocket) {
      connection.stream = std::make_unique<BenchWebSocket>(
          socket_options_, message_, mask_, connection);
    } else {
      connection.stream =
          std::make_unique<BodyStream>(*options_.dialect, message_, connection);
    }
    if (!session.Open(*connection.stream, fields_)) {
      return Fail(connection, Lost{"no stream can be opened any more"});
    }
    // The response of a call may come after its first message.
    if (form_ == Form::kStream) OnUpgraded(connection);
  }

  // ---- Ending

  void FailAll(SharedLink& link, const DialEnding& ending) {
    link.gone = true;
    for (std::size_t i = 0; i < link.connections.size(); ++i) {
      Fail(*link.connections[i], ending);
    }
  }

  bool BeginClose(LoadConnection& load_connection) override {
    H2Connection& connection = Of(load_connection);
    if (connection.stream == nullptr ||
        connection.stream->session() == nullptr) {
      return false;
    }
    connection.stream->Close();
    connection.link->http2->session().Resume(*connection.stream);
    Flush(*connection.link);
    return true;
  }

  void Release(LoadConnection& load_connection) override {
    H2Connection& connection = Of(load_connection);
    SharedLink& link = *connection.link;
    Abandon(connection.stream.get());
    for (const auto& call : connection.calls) Abandon(call.get());
    if (--link.in_use > 0) {
      if (link.http2 != nullptr && !link.gone && !link.reading) Flush(link);
      return;
    }
    if (link.http2 != nullptr && !link.gone) {
      link.http2->session().Terminate(h2::kNoError);
      if (!link.reading) Flush(link);
    }
    link.gone = true;
    link.socket.Close();
  }

  static void Abandon(LoadStream* stream) {
    if (stream == nullptr || stream->session() == nullptr) return;
    stream->session()->Reset(*stream, h2::kCancel);
  }

  // ---- Reading

  void Read(SharedLink& link, bool hung_up) {
    while (!link.gone) {
      const ssize_t size =
          recv(link.socket.fd(), buffer_.data(), buffer_.size(), 0);
      if (size < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN) return;
        return OnLost(link, SocketErrorText(errno));
      }
      if (size == 0) return OnLost(link, "the other side has closed it");
      const absl::string_view bytes(buffer_.data(),
                                    static_cast<std::size_t>(size));
      OnBytes(link, bytes, NowNs());
      // That was all, or else there will be an edge.
      if (bytes.size() < buffer_.size() && !hung_up) return;
    }
  }

  void OnLost(SharedLink& link, absl::string_view why) {
    const bool is_ready = link.http2 != nullptr && link.http2->is_ready();
    std::string text = absl::StrCat("connection broken (", why, ")");
    FailAll(link, is_ready ? DialEnding(Lost{std::move(text)})
                           : DialEnding(Unreachable{std::move(text)}));
  }

  void OnBytes(SharedLink& link, absl::string_view bytes, std::int64_t now) {
    const bool was_ready = link.http2->is_ready();
    link.reading = true;
    const absl::Status status = link.http2->Receive(bytes, H2Time(now));
    if (was_ready) ledger().OnBytesReceived(bytes.size(), now);
    for (std::size_t i = 0; i < link.progressed.size(); ++i) {
      OnProgress(*link.progressed[i].connection, *link.progressed[i].stream,
                 now);
    }
    link.progressed.clear();
    if (!was_ready && link.http2->is_ready() && !link.gone) OnReady(link);
    link.reading = false;
    Flush(link);  // GOAWAY, where the server has broken HTTP/2.
    if (link.gone) return;
    const absl::Status& failure = status.ok() ? link.http2->failure() : status;
    if (!failure.ok()) OnLost(link, failure.message());
  }

  void OnProgress(H2Connection& connection, LoadStream& stream,
                  std::int64_t now) {
    LoadStream::Progress progress = stream.TakeProgress();
    if (progress.may_grow && stream.session() != nullptr) {
      stream.session()->GrowWindow(stream, H2Time(now));
    }
    if (progress.opened && connection.state == State::kHandshake) {
      counts_.codec_declined =
          counts_.codec_declined || progress.codec_declined;
      OnUpgraded(connection);
    }
    if (progress.ended && form_ == Form::kCalls) {
      connection.free_calls.push_back(static_cast<CallStream*>(&stream));
    }
    if (progress.answers > 0 && connection.state < State::kClosing) {
      const std::size_t next = TakeAnswers(connection, progress.answers, now);
      if (next > 0) Enqueue(connection, next);
    }
    if (progress.failure.has_value()) {
      return Fail(connection, *progress.failure);
    }
    if (progress.ended && form_ != Form::kCalls) {
      Fail(connection, Lost{"the stream has ended"});
    }
  }

  // ---- Sending

  void Send(LoadConnection& load_connection, std::size_t messages) override {
    H2Connection& connection = Of(load_connection);
    if (messages == 0) return;
    Enqueue(connection, messages);
    if (!connection.link->reading) Flush(*connection.link);
  }

  void Enqueue(H2Connection& connection, std::size_t messages) {
    h2::Session& session = connection.link->http2->session();
    if (form_ != Form::kCalls) {
      connection.stream->Send(messages);
      return session.Resume(*connection.stream);
    }
    for (std::size_t i = 0; i < messages; ++i) {
      CallStream& call = TakeCall(connection);
      call.Begin();
      if (!session.Open(call, fields_)) {
        return Fail(connection, Lost{"no stream can be opened any more"});
      }
    }
  }

  CallStream& TakeCall(H2Connection& connection) {
    if (connection.free_calls.empty()) {
      connection.calls.push_back(std::make_unique<CallStream>(
          *options_.dialect, options_.message.payload, connection));
      return *connection.calls.back();
    }
    CallStream& call = *connection.free_calls.back();
    connection.free_calls.pop_back();
    return call;
  }

  // Writes what there is, as far as the socket takes it; an edge follows when
  // it takes more.
  void Flush(SharedLink& link) {
    while (link.socket.fd() >= 0) {
      const absl::string_view next = link.http2->Front();
      if (next.empty()) return;
      const ssize_t size = send(link.socket.fd(), next.data(), next.size(),
                                MSG_NOSIGNAL | MSG_DONTWAIT);
      if (size < 0) {
        if (errno == EINTR) continue;
        // The read finds any other error, after what arrived before it.
        return;
      }
      link.http2->OnSent(static_cast<std::size_t>(size));
      if (static_cast<std::size_t>(size) < next.size()) return;
    }
  }

  const H2LoadOptions& options_;
  const Form form_;
  const BenchWebSocket::Options socket_options_;
  OneMask mask_;
  const RequestFields request_;
  std::vector<h2::Field> fields_;  // Of it.
  const RepeatedMessage message_;
  std::string buffer_;  // What was read.
  std::size_t good_endpoint_ = 0;

  std::vector<std::unique_ptr<SharedLink>> links_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Load>> MakeH2Load(const H2LoadOptions& options,
                                                 Share share,
                                                 const StopFlag& stop) {
  auto load = std::make_unique<H2Load>(options, share, stop);
  const absl::Status status = load->Init();
  if (!status.ok()) return status;
  return load;
}

}  // namespace headgate
