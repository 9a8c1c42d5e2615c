#ifndef TESTS_NET_CONNECTION_FIXTURE_H_
#define TESTS_NET_CONNECTION_FIXTURE_H_

#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/net/connection.h"
#include "gateway/upstream/loop_turn.h"
#include "tests/testing/fake_upstream.h"
#include "tests/testing/turn_clock.h"
#include "tests/ws/frames.h"

namespace headgate {

// Knows no method, and says so at once: every call is bidirectional.
class NoSchemas final : public SchemaSource {
 public:
  Resolution Resolve(absl::string_view, absl::Time, Callback) override {
    ResolvedMethod resolved;
    resolved.why_unknown = absl::UnimplementedError("unknown method");
    return resolved;
  }
  SnapshotOr Get(absl::Time, SnapshotCallback) override {
    return absl::UnimplementedError("no descriptors");
  }
  std::unique_ptr<Ticket> AwaitType(absl::string_view,
                                    std::function<void()>) override {
    return nullptr;
  }
  void Refresh(absl::Time) override {}
};

// A client's end of a connection.
using TcpSocket =
    boost::asio::basic_stream_socket<boost::asio::ip::tcp,
                                     boost::asio::io_context::executor_type>;

inline constexpr char kSessionId[] = "0123456789abcdef0123456789abcdef";

// A worker whose clock and capacity are the test's.
class FakeHost final : public ConnectionHost {
 public:
  class CountedPlace final : public Place {
   public:
    explicit CountedPlace(int& count) : count_(count) { ++count_; }
    ~CountedPlace() override { --count_; }

   private:
    int& count_;
  };

  FakeHost(testing::Log& log, Turn& turn)
      : turn_(turn), upstream_(std::make_shared<testing::FakeUpstream>(log)) {}

  void Add(std::shared_ptr<Connection> connection,
           std::size_t listener) override {
    EXPECT_EQ(listener, 7u);
    seen_.push_back(connection);
    Connection* key = connection.get();
    connections_.emplace(key, std::move(connection));
  }
  void Remove(Connection& connection) override {
    EXPECT_EQ(connections_.erase(&connection), 1u) << "removed twice";
    resting_.erase(&connection);
    idle_.erase(&connection);
  }
  void SetIdle(Connection& connection, bool idle) override {
    if (idle) {
      EXPECT_TRUE(idle_.insert(&connection).second) << "it was idle";
    } else {
      EXPECT_EQ(idle_.erase(&connection), 1u) << "it was not idle";
    }
  }
  Capacity AdmitConnection(const std::string& client,
                           std::unique_ptr<Place>* place) override {
    connected_as_.push_back(client);
    if (connection_capacity_ == Capacity::kFree) {
      *place = std::make_unique<CountedPlace>(connected_);
    }
    return connection_capacity_;
  }
  std::unique_ptr<Place> ConnectionRefused(std::size_t listener,
                                           const Refusal& refusal,
                                           const std::string& peer) override {
    EXPECT_EQ(listener, 7u);
    connections_refused_.push_back(
        absl::StrCat(KindOf(refusal.reason).label, " ", peer));
    if (refused_wait_) return std::make_unique<CountedPlace>(refusing_);
    return nullptr;
  }
  void Wake(Connection& connection) override {
    EXPECT_EQ(resting_.erase(&connection), 1u) << "it was awake";
  }
  Capacity Admit(const Route& /*route*/, const std::string& client,
                 std::unique_ptr<Place>* place) override {
    admitted_as_.push_back(client);
    if (capacity_ == Capacity::kFree) {
      *place = std::make_unique<CountedPlace>(admitted_);
    }
    return capacity_;
  }
  Capacity AdmitIdentity(const std::string& identity,
                         std::unique_ptr<Place>* /*place*/) override {
    EXPECT_NE(identity, "");
    return identity_capacity_;
  }
  std::string NewSessionId() override { return kSessionId; }
  std::unique_ptr<AdmissionTicket> AskAdmission(
      const SessionRequest&,
      std::function<void(const absl::Status&)> verdict) override {
    if (!asks_) return nullptr;
    class Ticket final : public AdmissionTicket {
     public:
      explicit Ticket(FakeHost& host) : host_(host) {}
      ~Ticket() override { host_.verdict_ = nullptr; }

     private:
      FakeHost& host_;
    };
    verdict_ = std::move(verdict);
    return std::make_unique<Ticket>(*this);
  }
  std::unique_ptr<Session> OpenSession(SessionRequest request,
                                       Transport& transport) override {
    requests_.push_back(request);
    if (open_) return open_(std::move(request), transport);
    return MakeSession(std::move(request),
                       std::make_shared<const SessionContext>(
                           SessionContext{limits_, upstream_, schemas_}),
                       transport);
  }
  std::shared_ptr<const ConnectionSettings> SettingsOf(
      std::size_t listener) override {
    EXPECT_EQ(listener, 7u);
    return settings_;
  }
  SchemaSource::SnapshotOr GetSchema(
      const std::string& upstream,
      SchemaSource::SnapshotCallback callback) override {
    EXPECT_EQ(upstream, Route().upstream);
    if (rules_.ok()) return SchemaSnapshot{(*rules_)->schema(), *rules_};
    // Answers later: when `asked_` is called.
    asked_ = std::move(callback);
    return std::make_unique<Ticket>(*this);
  }
  void SessionEnded(const Session& session) override {
    ended_.push_back(session.report());
  }
  void HandshakeRefused(const Refusal& refusal,
                        const std::string& peer) override {
    EXPECT_EQ(peer, peer_);
    refused_.push_back(refusal.http_status);
  }
  void ArrivalFailed(std::size_t listener, ArrivalStep step,
                     const std::string& peer, const std::string& why) override {
    EXPECT_EQ(listener, 7u);
    arrivals_failed_.push_back(absl::StrCat(
        step == ArrivalStep::kTls ? "tls " : "proxy ", peer, " ", why));
  }
  bool AdmitHandshake(std::size_t,
                      std::weak_ptr<HandshakeWaiter> waiter) override {
    if (admits_handshakes_) return true;
    waiting_handshakes_.push_back(std::move(waiter));
    return false;
  }
  bool admits_handshakes_ = true;
  bool short_of_memory_ = false;
  std::vector<std::weak_ptr<HandshakeWaiter>> waiting_handshakes_;
  void TlsEstablished(std::size_t listener, const TlsEngine&,
                      absl::Duration) override {
    EXPECT_EQ(listener, 7u);
  }
  void Http2Begun(std::size_t listener) override { EXPECT_EQ(listener, 7u); }
  void Http2Failed(std::size_t listener, h2::Flood, const std::string& peer,
                   const std::string& why) override {
    EXPECT_EQ(listener, 7u);
    http2_failed_.push_back(absl::StrCat(peer, " ", why));
  }
  void FirstAnswer(const Session& session) override {
    first_answers_.push_back(session.request().id);
  }
  void PingAnswered(absl::Duration round_trip) override {
    round_trips_.push_back(round_trip);
  }
  absl::Time now() const override { return now_; }
  Moment clock() const override { return {now_, now_}; }
  bool is_short_of_memory() const override { return short_of_memory_; }
  Turn& turn() override { return turn_; }
  absl::Span<char> ReadBuffer() override {
    return absl::MakeSpan(read_buffer_);
  }
  TlsBuffers& tls_buffers() override { return tls_buffers_; }
  std::unique_ptr<Place> TakeConsolePlace() override { return nullptr; }
  ConsoleSchemaCache& console_cache() override { return console_cache_; }
  DrainOrder drain_order() const {
    return {now_, now_ + absl::Seconds(10), "the gateway is shutting down"};
  }

  void ForEach(const std::function<void(Connection&)>& act) {
    const auto connections = connections_;
    for (const auto& [key, connection] : connections) act(*connection);
  }
  // Looks at all of them, whether they are at rest or not.
  void Tick() {
    ForEach([this](Connection& connection) {
      connection.OnTick(now_);
      if (connections_.find(&connection) == connections_.end()) return;
      if (connection.Rest()) {
        resting_.insert(&connection);
      } else {
        resting_.erase(&connection);
      }
    });
  }
  // Whether every connection is not only removed but destroyed.
  bool AllGone() const {
    for (const auto& connection : seen_) {
      if (!connection.expired()) return false;
    }
    return true;
  }

  testing::FakeUpstream& upstream() { return *upstream_; }

  std::shared_ptr<const ConnectionSettings> settings_;
  Turn& turn_;
  std::shared_ptr<testing::FakeUpstream> upstream_;
  std::shared_ptr<SchemaSource> schemas_ = std::make_shared<NoSchemas>();
  SessionLimits limits_;
  // What sessions are, where they are not the gateway's own.
  std::function<std::unique_ptr<Session>(SessionRequest, Transport&)> open_;
  std::vector<SessionRequest> requests_;
  absl::StatusOr<std::shared_ptr<const HttpRules>> rules_ =
      absl::UnavailableError("not known yet");
  SchemaSource::SnapshotCallback asked_;
  // Whether sessions are asked for, and what the last question waits for.
  bool asks_ = false;
  std::function<void(const absl::Status&)> verdict_;
  Capacity capacity_ = Capacity::kFree;
  Capacity identity_capacity_ = Capacity::kFree;
  int admitted_ = 0;
  std::vector<std::string> admitted_as_;
  std::set<Connection*> idle_;
  Capacity connection_capacity_ = Capacity::kFree;
  int connected_ = 0;  // Places that connections have.
  std::vector<std::string> connected_as_;
  std::vector<std::string> connections_refused_;
  bool refused_wait_ = true;  // There is room for one to be told slowly.
  int refusing_ = 0;
  std::string peer_ = "127.0.0.1";
  std::vector<std::string> arrivals_failed_;
  std::vector<std::string> http2_failed_;
  std::vector<std::string> first_answers_;
  std::vector<absl::Duration> round_trips_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  std::vector<char> read_buffer_ = std::vector<char>(64 * 1024);
  TlsBuffers tls_buffers_;
  ConsoleSchemaCache console_cache_;
  std::vector<SessionReport> ended_;
  std::vector<int> refused_;
  std::map<Connection*, std::shared_ptr<Connection>> connections_;
  std::set<Connection*> resting_;
  std::vector<std::weak_ptr<Connection>> seen_;

 private:
  class Ticket final : public SchemaSource::Ticket {
   public:
    explicit Ticket(FakeHost& host) : host_(host) {}
    ~Ticket() override { host_.asked_ = nullptr; }

   private:
    FakeHost& host_;
  };
};

// ServeConnection at one end of a loopback connection, the test with a raw
// socket at the other, both on the test's thread.
class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() {
    Route raw;
    raw.path = "/raw";
    raw.target = FixedMethod{"/headgate.v1.MessageService/Connect"};
    raw.codec = &kRawDialect;
    raw.max_message_bytes = 100'000;
    Route binary;
    binary.path = "/bin";
    binary.target = FixedMethod{"/s/m"};
    binary.codec = &kProtobufDialect;
    Route told = raw;
    told.path = "/told";
    told.refusals = Refusals::kClose;
    Route api;
    api.prefix = "/api";
    api.target = HttpRuleSet{};
    settings_.policy.router = std::make_shared<const Router>(
        std::vector<Route>{raw, binary, told, api});
    settings_.max_header_bytes = 1024;
    settings_.keepalive.interval = absl::InfiniteDuration();
  }

  // Whatever a test did, nothing may be left: no connection, no place taken,
  // no work that would keep a worker from stopping.
  void TearDown() override {
    boost::system::error_code ignored;
    client_.close(ignored);
    EXPECT_TRUE(Until([&] { return host_->connections_.empty(); }));
    EXPECT_EQ(host_->admitted_, 0);
    EXPECT_EQ(host_->connected_, 0);
    EXPECT_EQ(host_->refusing_, 0);
    EXPECT_TRUE(Until([&] { return io_.stopped(); })) << "work is left over";
    EXPECT_TRUE(host_->AllGone());
  }

  void Connect(int buffer_bytes = 0) {
    ServeConnection(Accept(buffer_bytes), *host_);
  }

  // Connects, and returns the gateway's end with its place.
  AcceptedConnection Accept(int buffer_bytes = 0) {
    boost::asio::basic_socket_acceptor<boost::asio::ip::tcp,
                                       boost::asio::io_context::executor_type>
        acceptor(io_, {boost::asio::ip::address_v4::loopback(), 0});
    if (buffer_bytes > 0) {
      client_.open(boost::asio::ip::tcp::v4());
      client_.set_option(
          boost::asio::socket_base::receive_buffer_size(buffer_bytes));
    }
    client_.connect(acceptor.local_endpoint());
    client_.non_blocking(true);
    client_.set_option(boost::asio::ip::tcp::no_delay(true));
    TcpSocket server(io_.get_executor());
    acceptor.accept(server);
    if (buffer_bytes > 0) {
      server.set_option(
          boost::asio::socket_base::send_buffer_size(buffer_bytes));
    }
    host_->settings_ = std::make_shared<const ConnectionSettings>(settings_);
    return {std::move(server), 7, "127.0.0.1",
            std::make_unique<FakeHost::CountedPlace>(host_->connected_),
            nullptr};
  }

  // Runs one handler after the other until `done`; gives up after some
  // seconds.
  bool Until(const std::function<bool()>& done) {
    for (int step = 0; step < 3000; ++step) {
      if (done()) return true;
      if (io_.stopped()) io_.restart();
      io_.run_one_for(std::chrono::milliseconds(2));
    }
    return done();
  }
  // As long as one task should in an iteration of the event loop.
  void WorkLong() { turn_clock_.WorkLong(turn_); }
  // Lets happen what can happen by itself.
  void Settle() {
    for (int step = 0; step < 20; ++step) {
      if (io_.stopped()) io_.restart();
      io_.run_one_for(std::chrono::milliseconds(1));
      io_.poll();
    }
  }

  void Send(absl::string_view bytes) {
    EXPECT_TRUE(Until([&] {
      boost::system::error_code error;
      bytes.remove_prefix(client_.write_some(
          boost::asio::buffer(bytes.data(), bytes.size()), error));
      return bytes.empty() || (error && !WouldBlock(error));
    }));
  }
  // Takes what has arrived into `received_`.
  void Receive() {
    for (;;) {
      char buffer[16384];
      boost::system::error_code error;
      const std::size_t bytes =
          client_.read_some(boost::asio::buffer(buffer), error);
      received_.append(buffer, bytes);
      if (!error) continue;
      if (!WouldBlock(error)) end_ = error;
      return;
    }
  }
  bool UntilReceived(std::size_t bytes) {
    return Until([&] {
             Receive();
             return received_.size() >= bytes || end_;
           }) &&
           received_.size() >= bytes;
  }
  // The exact bytes that come next.
  void Expect(const std::string& bytes) {
    ASSERT_TRUE(UntilReceived(bytes.size()))
        << "got \"" << absl::CHexEscape(received_) << '"';
    EXPECT_EQ(absl::CHexEscape(received_.substr(0, bytes.size())),
              absl::CHexEscape(bytes));
    received_.erase(0, bytes.size());
  }
  // Nothing more, then FIN.
  void ExpectEnd() {
    EXPECT_TRUE(Until([&] {
      Receive();
      return bool(end_);
    }));
    EXPECT_EQ(absl::CHexEscape(received_), "");
    EXPECT_EQ(end_, boost::asio::error::eof);
  }
  void ExpectClose(int code, const std::string& reason) {
    const std::string payload = {static_cast<char>(code >> 8),
                                 static_cast<char>(code & 0xFF)};
    Expect(Frame(kClose, payload + reason, /*masked=*/false));
  }

  static std::string Request(const std::string& path,
                             const std::string& headers = "") {
    return absl::StrCat("GET ", path,
                        " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
                        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                        headers, "\r\n");
  }
  // The head of the answer, up to the empty line.
  std::string ReceiveHead() {
    EXPECT_TRUE(Until([&] {
      Receive();
      return received_.find("\r\n\r\n") != std::string::npos || end_;
    }));
    const std::size_t size = received_.find("\r\n\r\n");
    if (size == std::string::npos) return "";
    std::string head = received_.substr(0, size + 4);
    received_.erase(0, size + 4);
    return head;
  }
  // A session on `path`, its call started.
  void Open(const std::string& path, int buffer_bytes = 0) {
    Connect(buffer_bytes);
    Send(Request(path));
    ASSERT_THAT(ReceiveHead(), ::testing::StartsWith("HTTP/1.1 101 "));
    ASSERT_TRUE(Until([&] { return host_->upstream().call_count() > 0; }));
  }

  testing::FakeUpstream::Call& call() { return host_->upstream().call(0); }
  void BackendEnds(absl::Status status) {
    call().observer().OnDone({std::move(status), ""});
  }
  void Tick(absl::Duration passed) {
    host_->now_ += passed;
    host_->Tick();
  }
  void Drain() {
    host_->ForEach([&](Connection& c) { c.Drain(host_->drain_order()); });
    Tick(absl::Milliseconds(100));  // The backend has no more to say.
  }
  void Abort() {
    host_->ForEach([](Connection& c) { c.Abort(); });
  }
  // The kernel may acknowledge what was sent between two ticks, which starts
  // the timeout again: that happens once at most.
  void TickPastCloseTimeout() {
    Tick(absl::ZeroDuration());
    for (int looks = 0; looks < 2 && !host_->connections_.empty(); ++looks) {
      Tick(settings_.close_timeout);
    }
  }
  bool UntilEnded() {
    return Until([&] { return host_->connections_.empty(); });
  }
  // How the one session ended.
  const SessionReport& report() { return host_->ended_.at(0); }

  static bool WouldBlock(const boost::system::error_code& error) {
    return error == boost::asio::error::would_block ||
           error == boost::asio::error::try_again;
  }

  testing::Log log_;
  testing::TurnClock turn_clock_;
  LoopTurn turn_{io_, turn_clock_.now()};
  std::unique_ptr<FakeHost> host_ = std::make_unique<FakeHost>(log_, turn_);
  ConnectionSettings settings_;
  boost::asio::io_context io_{1};
  TcpSocket client_{io_.get_executor()};
  std::string received_;
  boost::system::error_code end_;
};

}  // namespace headgate

#endif  // TESTS_NET_CONNECTION_FIXTURE_H_
