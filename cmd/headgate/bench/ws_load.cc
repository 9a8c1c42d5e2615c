#include "cmd/headgate/bench/ws_load.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/web_socket.h"
#include "cmd/headgate/bench/ledger.h"
#include "cmd/headgate/bench/messages.h"
#include "cmd/headgate/bench/peer.h"
#include "cmd/headgate/dial/ending.h"
#include "gateway/ws/frame.h"

namespace headgate {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
// So much of the load is in one write at most, unless a message is longer.
constexpr std::size_t kWriteBytes = 256 * 1024;
constexpr int kEventsAtOnce = 256;
constexpr std::int64_t kMinSleepNs = 20'000;
// How often it is looked for what takes too long.
constexpr std::int64_t kLookNs = 250'000'000;
const std::int64_t kStallNs = absl::ToInt64Nanoseconds(kStallTimeout);
constexpr char kTooManyAnswers[] = "more answers than messages";
// How long the other side has to hang up after our Close frame.
constexpr std::int64_t kCloseTimeoutNs = 2'000'000'000;

std::string ErrorText(int error) {
  return std::generic_category().message(error);
}

// All frames have the same mask, as all messages are the same.
struct OneMask final : ws::MaskSource {
  OneMask() {
    std::random_device random;
    for (char& byte : key) byte = static_cast<char>(random());
  }
  ws::MaskKey NextMask() override { return key; }

  ws::MaskKey key;
};

enum class State : unsigned char {
  kConnecting,
  kHandshake,    // The request is on its way, or its answer.
  kFirstAnswer,  // Of an idle connection.
  kOpen,
  kClosing,  // Our Close frame is on its way, or the end of the connection.
  kGone,
};

struct Connection {
  Connection(Role r, std::size_t number, const Dialect* codec)
      : role(r), account(number), counter(codec) {}

  int fd = -1;
  Role role;
  State state = State::kConnecting;
  std::size_t endpoint = 0;  // The one that is tried.
  std::int64_t opening_until_ns = 0;
  // While connected. It sends the handshake and control frames.
  std::unique_ptr<BenchPeer> peer;

  // The messages, which share their frames.
  std::size_t unsent = 0;  // Messages that the socket has not taken whole,
  std::size_t offset = 0;  // and how much of the first one it has taken.

  Ledger::Account account;  // Its number is that among all of its role.
  AnswerCounter counter;
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
    if (is_unintelligible) return;
    const auto ended = counter_.Take(piece, end);
    if (ended.has_value()) {
      answers += *ended;
    } else {
      is_unintelligible = true;
    }
  }

  void OnClose(CloseCode code, absl::string_view reason) override {
    closed = Closed{static_cast<std::uint16_t>(code), std::string(reason),
                    std::nullopt};
  }

  bool opened = false;
  bool codec_declined = false;
  std::size_t answers = 0;
  bool is_unintelligible = false;  // By the codec.
  std::optional<Closed> closed;

 private:
  AnswerCounter& counter_;
  const std::vector<std::string>& offered_;
};

class WsLoad final : public Load {
 public:
  WsLoad(const WsLoadOptions& options, Share share, const StopFlag& stop)
      : options_(options),
        share_(share),
        stop_(stop),
        ledger_(options.load, share, counts_) {
    const WireMessage& message = options.message;
    std::string frame = options.http_request;
    if (frame.empty()) {
      ws::AppendFrame(message.opcode == Opcode::kText
                          ? ws::FrameOpcode::kText
                          : ws::FrameOpcode::kBinary,
                      message.payload, &mask_.key, frame);
    }
    frame_bytes_ = frame.size();
    const std::size_t copies =
        std::clamp(kWriteBytes / frame.size(), std::size_t{1},
                   std::max(options.load.in_flight, std::size_t{1}));
    for (std::size_t i = 0; i < copies; ++i) frames_.append(frame);
    buffer_.resize(kReadBytes);
    ledger_.set_message_bytes(frame_bytes_);
  }

  ~WsLoad() override {
    for (Connection& connection : connections_) Hangup(connection);
    if (timer_ >= 0) close(timer_);
    if (epoll_ >= 0) close(epoll_);
  }

  absl::Status Init() {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    // Each time the timer fires is an edge, so it need not be read.
    if (epoll_ < 0 || timer_ < 0 ||
        !Watch(timer_, EPOLLIN | EPOLLET, nullptr) ||
        !Watch(stop_.fd(), EPOLLIN | EPOLLET, nullptr)) {
      return absl::InternalError(
          absl::StrCat("cannot wait for events: ", ErrorText(errno)));
    }
    return absl::OkStatus();
  }

  void Open(Role role) override {
    const std::size_t first = connections_.size();
    if (role == Role::kActive) first_active_ = first;
    const std::size_t count = share_.Of(
        role == Role::kActive ? options_.load.connections : options_.load.idle);
    const std::int64_t begin = NowNs();
    std::size_t started = 0;
    while ((started < count || opening_ > 0) && !stop_.raised()) {
      std::int64_t now = NowNs();
      std::int64_t next = now + kLookNs;
      for (; started < count; ++started) {
        const std::size_t number = share_.index + started * share_.threads;
        const std::int64_t at = OpeningTime(begin, number);
        if (at > now) next = std::min(next, at);
        if (at > now || opening_ >= MaxOpening()) break;
        connections_.emplace_back(role, number, options_.codec);
        Start(connections_.back());
      }
      if (opening_ == 0 && started == count) break;
      Poll(next);
      now = NowNs();
      if (now >= next_look_ns_) LookForSlowOpening(first, now);
    }
  }

  void Rest(std::int64_t until_ns) override {
    while (!stop_.raised() && NowNs() < until_ns) Poll(until_ns);
  }

  void Run(const LoadPlan& plan) override {
    ledger_.Begin(plan);
    ForActive([&](Connection& connection) {
      ledger_.Enter(connection.account);
      if (ledger_.is_open_loop()) return;
      connection.unsent += ledger_.OnStart(connection.account, NowNs());
      Flush(connection);
    });
    while (!stop_.raised() && (live_ > 0 || HasOnlyIdle(plan))) {
      const std::int64_t now = NowNs();
      std::int64_t wake = std::min(NextLook(now), plan.end_ns);
      if (now >= plan.end_ns) {
        ledger_.StopSending();
        wake = plan.end_ns + absl::ToInt64Nanoseconds(plan.drain);
        if (ledger_.outstanding() == 0 || now >= wake) break;
      } else if (ledger_.is_open_loop()) {
        SendWhatIsDue(now);
        wake = std::min(wake, ledger_.NextDueNs());
      }
      if (ledger_.IsFinished()) break;
      if (plan.messages.has_value() && Stalls(now)) break;
      Poll(std::max(wake, now + kMinSleepNs));
    }
    ledger_.StopSending();
    ForActive([&](Connection& connection) { ledger_.End(connection.account); });
  }

  void Close() override {
    for (Connection& connection : connections_) {
      if (connection.state != State::kOpen) {
        Hangup(connection);
        continue;
      }
      if (!connection.peer->Close()) {
        Hangup(connection);
        continue;
      }
      connection.state = State::kClosing;
      // A frame that has begun must end.
      connection.unsent = connection.offset > 0 ? 1 : 0;
      ++closing_;
      Flush(connection);
    }
    const std::int64_t until = NowNs() + kCloseTimeoutNs;
    while (closing_ > 0 && !stop_.raised() && NowNs() < until) Poll(until);
    for (Connection& connection : connections_) Hangup(connection);
  }

 private:
  template <class Do>
  void ForActive(Do&& act) {
    for (Connection& connection : connections_) {
      if (connection.role == Role::kActive &&
          connection.state == State::kOpen) {
        act(connection);
      }
    }
  }

  // Whether there are connections to look after, but none with load.
  bool HasOnlyIdle(const LoadPlan& plan) const {
    return !plan.messages.has_value() &&
           share_.Of(options_.load.connections) == 0 && open(Role::kIdle) > 0;
  }

  // When to look for what takes too long; the same time until it has come, so
  // that the timer need not be set each time.
  std::int64_t NextLook(std::int64_t now) {
    if (now >= next_look_ns_) next_look_ns_ = now + kLookNs;
    return next_look_ns_;
  }

  // ---- Events

  bool Watch(int fd, std::uint32_t events, Connection* connection) {
    epoll_event event = {};
    event.events = events;
    event.data.ptr = connection;
    return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
  }

  // Waits until something happens, at the longest until `until`, and does what
  // there is to do.
  void Poll(std::int64_t until) {
    if (until != timer_at_ns_) {
      timer_at_ns_ = until;
      itimerspec at = {};
      at.it_value.tv_sec = until / 1'000'000'000;
      at.it_value.tv_nsec = until % 1'000'000'000;
      timerfd_settime(timer_, TFD_TIMER_ABSTIME, &at, nullptr);
    }
    std::array<epoll_event, kEventsAtOnce> events;
    const int count = epoll_wait(epoll_, events.data(), kEventsAtOnce, -1);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.ptr == nullptr) {
        timer_at_ns_ = 0;  // What has fired must be set again.
        continue;
      }
      OnEvent(*static_cast<Connection*>(events[i].data.ptr), events[i].events);
    }
  }

  void OnEvent(Connection& connection, std::uint32_t events) {
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

  std::int64_t OpeningTime(std::int64_t begin, std::size_t number) const {
    if (!options_.load.ramp.has_value()) return begin;
    return begin + static_cast<std::int64_t>(static_cast<double>(number) *
                                             (1e9 / *options_.load.ramp));
  }

  std::size_t MaxOpening() const {
    if (options_.load.ramp.has_value()) {
      return options_.load.connections + options_.load.idle;
    }
    return std::max(std::size_t{1}, share_.Of(kMaxOpening));
  }

  // Begins to connect; a failure is one of opening.
  void Start(Connection& connection) {
    ++opening_;
    connection.opening_until_ns =
        NowNs() + absl::ToInt64Nanoseconds(options_.load.connect_timeout);
    connection.endpoint = good_endpoint_;
    Connect(connection);
  }

  // Tries the addresses from connection.endpoint on.
  void Connect(Connection& connection) {
    const std::size_t before =
        connection.role == Role::kActive ? options_.load.idle : 0;
    auto fd = StartConnecting(options_.endpoints[connection.endpoint],
                              before + connection.account.number);
    while (!fd.ok() && HasAnotherEndpoint(connection)) {
      fd = StartConnecting(options_.endpoints[++connection.endpoint],
                           before + connection.account.number);
    }
    if (!fd.ok()) {
      return Fail(connection, Unreachable{std::string(fd.status().message())});
    }
    connection.fd = *fd;
    if (!Watch(connection.fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
               &connection)) {
      Fail(connection, Unreachable{ErrorText(errno)});
    }
  }

  bool HasAnotherEndpoint(const Connection& connection) const {
    return connection.endpoint + 1 < options_.endpoints.size();
  }

  void OnConnected(Connection& connection) {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(connection.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      if (!HasAnotherEndpoint(connection)) {
        return Fail(connection, Unreachable{ErrorText(error)});
      }
      close(connection.fd);
      ++connection.endpoint;
      return Connect(connection);
    }
    good_endpoint_ = connection.endpoint;
    connection.state = State::kHandshake;
    connection.peer = MakePeer();
    if (!connection.peer->Start()) {
      return Fail(connection, ToDialEnding(connection.peer->failure()));
    }
    if (connection.peer->opens_at_once()) return OnUpgraded(connection);
    Flush(connection);
  }

  std::unique_ptr<BenchPeer> MakePeer() {
    if (!options_.http_request.empty()) return MakeHttpPeer();
    ClientWebSocket::Options options;
    options.delivery = ws::Delivery::kPieces;
    options.tls = options_.tls;
    options.server = options_.server;
    return MakeWebSocketPeer(options_.request, mask_, options,
                             MakeBenchHead(options_.codec));
  }

  void OnUpgraded(Connection& connection) {
    if (connection.role == Role::kIdle) {
      connection.state = State::kFirstAnswer;
      connection.unsent = 1;
      Flush(connection);
    } else {
      OnOpen(connection);
    }
  }

  void OnOpen(Connection& connection) {
    connection.state = State::kOpen;
    --opening_;
    ++open_[static_cast<std::size_t>(connection.role)];
    if (connection.role == Role::kActive) ++live_;
  }

  void LookForSlowOpening(std::size_t first, std::int64_t now) {
    next_look_ns_ = now + kLookNs;
    for (std::size_t i = first; i < connections_.size(); ++i) {
      Connection& connection = connections_[i];
      if (!IsOpening(connection) || now < connection.opening_until_ns) continue;
      const std::string limit =
          absl::FormatDuration(options_.load.connect_timeout);
      Fail(connection,
           Unreachable{connection.state == State::kFirstAnswer
                           ? absl::StrCat("no answer within ", limit)
                           : absl::StrCat("not open within ", limit)});
    }
  }

  static bool IsOpening(const Connection& connection) {
    return connection.state < State::kOpen;
  }

  // ---- Ending

  void Fail(Connection& connection, const DialEnding& ending) {
    if (connection.state == State::kClosing) return Hangup(connection);
    counts_.errors.Add(Describe(ending));
    if (IsOpening(connection)) {
      ++counts_.connect_failures;
    }
    Hangup(connection);
  }

  // Forgets the connection, whatever state it is in.
  void Hangup(Connection& connection) {
    const bool active = connection.role == Role::kActive;
    if (connection.fd >= 0) close(connection.fd);
    connection.fd = -1;
    if (connection.state == State::kGone) return;
    if (IsOpening(connection)) --opening_;
    if (connection.state == State::kOpen && active) --live_;
    if (connection.state == State::kClosing) --closing_;
    if (active) ledger_.Leave(connection.account);
    connection.state = State::kGone;
    connection.peer.reset();
  }

  // ---- Reading

  void Read(Connection& connection, bool hung_up) {
    while (connection.state != State::kGone) {
      const ssize_t size =
          recv(connection.fd, buffer_.data(), buffer_.size(), 0);
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

  void OnLost(Connection& connection, int error) {
    Fail(connection, ToDialEnding(connection.peer->AtEnd(
                         error == 0 ? "" : ErrorText(error))));
  }

  void OnBytes(Connection& connection, absl::string_view bytes,
               std::int64_t now) {
    Arrivals arrivals(connection.counter, options_.request.subprotocols());
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
      ledger_.OnBytesReceived(bytes.size(), now);
    }
    if (arrivals.answers > 0) OnAnswers(connection, arrivals.answers, now);
    if (connection.state == State::kGone) return;
    if (arrivals.is_unintelligible) {
      return Fail(connection, Lost{"an answer is not what the codec has"});
    }
    if (arrivals.closed.has_value()) {
      SendLast(connection);
      return Fail(connection, *arrivals.closed);
    }
    if (!received) {
      SendLast(connection);
      return Fail(connection, ToDialEnding(connection.peer->failure()));
    }
    if (connection.unsent > 0 || connection.peer->has_output()) {
      Flush(connection);
    }
  }

  // Sends the Close frame that has been put, if no message is half sent and the
  // socket takes it.
  void SendLast(Connection& connection) {
    connection.unsent = 0;
    if (connection.offset > 0 || !connection.peer->has_output()) return;
    const absl::string_view frame = connection.peer->Front();
    send(connection.fd, frame.data(), frame.size(),
         MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  void OnAnswers(Connection& connection, std::size_t answers,
                 std::int64_t now) {
    if (connection.role == Role::kIdle) {
      if (connection.state != State::kFirstAnswer || answers > 1) {
        return Fail(connection, Lost{kTooManyAnswers});
      }
      return OnOpen(connection);
    }
    const auto next = ledger_.OnAnswers(connection.account, answers, now);
    if (!next.has_value()) return Fail(connection, Lost{kTooManyAnswers});
    connection.unsent += *next;
    answers_.store(answers_.load(std::memory_order_relaxed) + answers,
                   std::memory_order_relaxed);
  }

  // ---- Sending

  void SendWhatIsDue(std::int64_t now) {
    while (const auto due = ledger_.TakeDue(now)) {
      Connection& connection =
          connections_[first_active_ +
                       (due->connection - share_.index) / share_.threads];
      if (connection.state != State::kOpen) continue;
      connection.unsent += ledger_.OnDue(connection.account, due->at_ns);
      if (connection.unsent > 0) Flush(connection);
    }
  }

  // Writes what is queued, as far as the socket takes it; an edge follows when
  // it takes more.
  void Flush(Connection& connection) {
    while (connection.state != State::kGone) {
      absl::string_view next;
      BenchPeer& peer = *connection.peer;
      const bool control = connection.offset == 0 && peer.has_output();
      if (control) {
        next = peer.Front();
      } else if (connection.unsent > 0 && peer.is_tls()) {
        EncryptMessages(connection);
        continue;
      } else if (connection.unsent > 0) {
        // Control frames go between messages.
        const std::size_t messages = peer.has_output() ? 1 : connection.unsent;
        next = absl::string_view(frames_).substr(connection.offset);
        next = next.substr(0, messages * frame_bytes_ - connection.offset);
      } else {
        return;
      }
      const ssize_t size = send(connection.fd, next.data(), next.size(),
                                MSG_NOSIGNAL | MSG_DONTWAIT);
      if (size < 0) {
        if (errno == EINTR) continue;
        // The read finds any other error, after what arrived before it.
        return;
      }
      const auto sent = static_cast<std::size_t>(size);
      if (control) {
        peer.OnSent(sent);
      } else {
        connection.offset += sent;
        connection.unsent -= connection.offset / frame_bytes_;
        connection.offset %= frame_bytes_;
      }
      if (sent < next.size()) return;
    }
  }

  // Encrypts as many of the messages as one write holds.
  void EncryptMessages(Connection& connection) {
    const std::size_t messages =
        std::min(connection.unsent, frames_.size() / frame_bytes_);
    connection.peer->EncryptFrames(
        absl::string_view(frames_).substr(0, messages * frame_bytes_));
    connection.unsent -= messages;
  }

  // Whether no answer has come for too long; the connections that wait for one
  // have failed then.
  bool Stalls(std::int64_t now) {
    if (ledger_.outstanding() == 0 ||
        now - ledger_.waiting_since_ns() < kStallNs) {
      return false;
    }
    ForActive([&](Connection& connection) {
      if (connection.account.outstanding.size() == 0) return;
      Fail(connection, Lost{absl::StrCat("no answer for ",
                                         absl::FormatDuration(kStallTimeout))});
    });
    return true;
  }

  const WsLoadOptions& options_;
  const Share share_;
  const StopFlag& stop_;
  OneMask mask_;
  std::string frames_;  // Copies of the message's frame, end to end.
  std::size_t frame_bytes_;
  std::string buffer_;  // What was read.

  int epoll_ = -1;
  int timer_ = -1;
  std::int64_t timer_at_ns_ = 0;  // What it is set to; 0: nothing.
  std::int64_t next_look_ns_ = 0;
  std::size_t good_endpoint_ = 0;

  std::deque<Connection> connections_;  // Each keeps its place.
  std::size_t first_active_ = 0;        // Where those begin.
  std::size_t opening_ = 0;
  std::size_t live_ = 0;  // Active and open.
  std::size_t closing_ = 0;
  Ledger ledger_;
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
