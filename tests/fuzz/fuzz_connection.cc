// The whole server side of a connection, from its first byte to its last, with
// a hostile client: HttpConnection, WsTransport and the sessions over a pair of
// sockets, on one thread and with a clock of its own. Whatever comes, in
// whatever pieces: once the client has gone and the time is up, nothing is left
// of it, and each session has ended once.
//
// Input: three bytes that say what happens (Plan), then what the client sends.
//
// With HEADGATE_FUZZ_HTTP2, fuzz_http2_connection, the client speaks HTTP/2:
// Http2Connection, its streams and exchanges.

#include <sys/socket.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/net/connection.h"
#include "gateway/route/http_rules.h"
#include "gateway/upstream/loop_turn.h"
#include "google/api/annotations.pb.h"
#include "google/api/http.pb.h"
#include "google/api/httpbody.pb.h"
#include "headgate/demo/v1/library.pb.h"
#include "tests/fuzz/client_frame.h"
#include "tests/fuzz/http2_client_frames.h"
#include "tests/fuzz/input.h"

namespace headgate {
namespace {

constexpr char kService[] = "/headgate.demo.v1.LibraryService/";

template <typename Message>
google::protobuf::FileDescriptorProto FileOf() {
  google::protobuf::FileDescriptorProto file;
  Message::descriptor()->file()->CopyTo(&file);
  return file;
}

const std::shared_ptr<const HttpRules>& Rules() {
  static const auto& rules = *new std::shared_ptr<const HttpRules>([] {
    google::protobuf::FileDescriptorProto annotations;
    google::protobuf::DescriptorPool::generated_pool()
        ->FindFileByName("google/api/annotations.proto")
        ->CopyTo(&annotations);
    std::vector<std::string> warnings;
    auto built = HttpRules::Build(
        Schema::Build(
            {annotations, FileOf<google::api::HttpRule>(),
             FileOf<google::api::HttpBody>(), FileOf<demo::v1::Book>()},
            &warnings),
        &warnings);
    FUZZ_CHECK(warnings.empty());
    return built;
  }());
  return rules;
}

class LibrarySchemas final : public SchemaSource {
 public:
  Resolution Resolve(absl::string_view path, absl::Time, Callback) override {
    ResolvedMethod resolved;
    resolved.schema = Rules()->schema();
    resolved.method = resolved.schema->FindMethod(path);
    if (resolved.method == nullptr) {
      resolved.why_unknown = absl::UnimplementedError("unknown method");
    }
    return resolved;
  }
  SnapshotOr Get(absl::Time, SnapshotCallback) override {
    return SchemaSnapshot{Rules()->schema(), Rules()};
  }
  std::unique_ptr<Ticket> AwaitType(absl::string_view,
                                    std::function<void()>) override {
    return nullptr;
  }
  void Refresh(absl::Time) override {}
};

// What the handshake that is sent for the client leads to.
constexpr const char* kPaths[] = {"/raw",
                                  "/packets",
                                  "/game",
                                  "/headgate.demo.v1.LibraryService/Notes",
                                  "/told",
                                  "/any/one",
                                  "/v1/shelves/x/notes?note.text=y",
                                  "/v1/shelves/x/books/y?bad"};

const std::shared_ptr<const Router>& Routes() {
  static const auto& router = *new std::shared_ptr<const Router>([] {
    Route base;
    base.max_message_bytes = 2000;
    Route raw = base;
    raw.path = "/raw";
    raw.target = FixedMethod{"/headgate.v1.MessageService/Connect"};
    Route packets = base;
    packets.path = "/packets";
    packets.target = FixedMethod{"/headgate.v1.PacketService/Connect"};
    Route game = base;
    game.path = "/game";
    MethodTable table;
    table.methods = {{1, absl::StrCat(kService, "Notes")},
                     {2, absl::StrCat(kService, "GetBook")},
                     {3, absl::StrCat(kService, "AddBooks")},
                     {4, "/any/one"}};
    table.max_calls = 3;
    table.call_window_bytes = 200;
    game.target = std::move(table);
    Route told = base;
    told.path = "/told";
    told.target = FixedMethod{"/any/one"};
    told.refusals = Refusals::kClose;
    told.messages = {1, 2};
    told.idle_timeout = absl::Seconds(5);
    told.max_age = absl::Seconds(7);
    told.max_sessions = 1;
    Route library = base;
    library.prefix = "/v1";
    library.json.envelope = JsonCodecOptions::Envelope::kResult;
    library.target = HttpRuleSet{"method"};
    base.token_cookie = "token";
    base.token_query = "token";
    return std::make_shared<const Router>(
        std::vector<Route>{raw, packets, game, told, library, base});
  }());
  return router;
}

// The three bytes.
struct Plan {
  explicit Plan(FuzzInput& input) {
    const std::uint8_t first = input.Byte();
    shakes_hands = first & 1;
    frames = first & 2;
    path = first >> 2 & 7;
    compression = first & 32;
    proxy_header = first & 64;
    drains = first & 128;
    const std::uint8_t second = input.Byte();
    chunk = second & 63;
    ticks = second & 64;
    reads = !(second & 128);
    const std::uint8_t third = input.Byte();
    backend = static_cast<Backend>(third & 3);
    calls_last = third >> 2 & 7;
    half_closes = third & 32;
    is_full = third & 64;
    aborts = third & 128;
  }

  enum class Backend { kEchoes, kSilent, kFloods, kBabbles };

  bool shakes_hands;  // A valid handshake comes before the input.
  bool frames;        // The input is of frames, to be masked: NextClientFrame.
  int path;           // Of kPaths.
  bool compression;   // The listener has permessage-deflate, and it is offered.
  bool proxy_header;  // The listener wants a PROXY header.
  bool drains;        // The gateway is stopped when half of it has come.
  int chunk;          // At most so many bytes are sent at a time; 0: any.
  bool ticks;         // A second passes after each.
  bool reads;         // The client takes what it is answered, not just at last.
  Backend backend;
  int calls_last;    // Messages that a call answers before it fails; 0: any.
  bool half_closes;  // The client's end is told as a FIN.
  bool is_full;      // There is no room for a second session.
  bool aborts;       // The gateway ends at once in the end.
};

// A backend whose events come when Step is called.
class Backend final : public Upstream {
 public:
  explicit Backend(const Plan& plan) : plan_(plan) {}

  std::unique_ptr<UpstreamCall> StartCall(
      CallRequest /*request*/, UpstreamCallObserver& observer) override {
    calls_.push_back(std::make_shared<State>(observer));
    return std::make_unique<Call>(calls_.back());
  }

  // Whether something has happened.
  bool Step() {
    bool stepped = false;
    // A call may go, and another come, meanwhile.
    for (const auto& call : std::vector(calls_)) {
      while (call->alive && StepOne(*call)) stepped = true;
    }
    calls_.erase(std::remove_if(calls_.begin(), calls_.end(),
                                [](const auto& call) { return !call->alive; }),
                 calls_.end());
    return stepped;
  }

  bool idle() const { return calls_.empty(); }

 private:
  struct State {
    explicit State(UpstreamCallObserver& observer) : observer(observer) {}
    UpstreamCallObserver& observer;
    bool alive = true;
    bool done = false;
    bool reading = false;
    bool writing = false;
    bool writes_done = false;
    std::deque<std::string> answers;
    int answered = 0;
  };

  // Holds the session to the contract of UpstreamCall.
  class Call final : public UpstreamCall {
   public:
    explicit Call(std::shared_ptr<State> state) : state_(std::move(state)) {}
    ~Call() override { state_->alive = false; }
    void Read() override {
      FUZZ_CHECK(!state_->reading);
      state_->reading = true;
    }
    void Write(std::string payload, WriteHint /*hint*/) override {
      FUZZ_CHECK(!state_->writing && !state_->writes_done);
      state_->writing = true;
      state_->answers.push_back(std::move(payload));
    }
    void WritesDone() override {
      FUZZ_CHECK(!state_->writing && !state_->writes_done);
      state_->writes_done = true;
    }

   private:
    const std::shared_ptr<State> state_;
  };

  bool StepOne(State& call) {
    if (call.done || plan_.backend == Plan::Backend::kSilent) return false;
    if (call.writing) {
      call.writing = false;
      call.observer.OnWritten();
      return true;
    }
    if (!call.reading) return false;
    if (plan_.calls_last > 0 && call.answered >= plan_.calls_last) {
      return End(call, absl::NotFoundError("\xC5\xBDofie \xFF is gone"));
    }
    if (plan_.backend == Plan::Backend::kFloods && call.answered < 50) {
      return Answer(call, std::string(plan_.reads ? 3000 : 400'000, '\n'));
    }
    if (!call.answers.empty()) {
      std::string answer = std::move(call.answers.front());
      call.answers.pop_front();
      if (plan_.backend == Plan::Backend::kBabbles) {
        std::reverse(answer.begin(), answer.end());
      }
      return Answer(call, std::move(answer));
    }
    return call.writes_done && End(call, absl::OkStatus());
  }
  bool Answer(State& call, std::string message) {
    call.reading = false;
    ++call.answered;
    call.observer.OnMessage(std::move(message));
    return true;
  }
  bool End(State& call, absl::Status status) {
    call.reading = false;
    call.done = true;
    call.observer.OnDone({std::move(status), "not a status"});
    return true;
  }

  const Plan& plan_;
  std::vector<std::shared_ptr<State>> calls_;
};

class Host final : public ConnectionHost {
 public:
  Host(const Plan& plan, Turn& turn)
      : plan_(plan), turn_(turn), backend_(std::make_shared<Backend>(plan)) {
    auto settings = std::make_shared<ConnectionSettings>();
    settings->policy.router = Routes();
    settings->max_header_bytes = 1500;
    settings->compression.enabled = plan.compression;
    settings->compression.min_bytes = 8;
    settings->proxy_protocol = plan.proxy_header;
    settings->http2.enabled = true;
    settings->http2.max_streams = 8;
    settings_ = std::move(settings);
    SessionLimits limits;
    limits.answers = {1000, 4000};
    limits.requests = {1000, 4000};
    context_ = std::make_shared<const SessionContext>(
        SessionContext{limits, backend_, std::make_shared<LibrarySchemas>()});
  }

  void Add(std::shared_ptr<Connection> connection, std::size_t) override {
    seen_.push_back(connection);
    Connection* key = connection.get();
    FUZZ_CHECK(connections_.emplace(key, std::move(connection)).second);
  }
  void Remove(Connection& connection) override {
    FUZZ_CHECK(connections_.erase(&connection) == 1);
    resting_.erase(&connection);
    idle_.erase(&connection);
  }
  void SetIdle(Connection& connection, bool idle) override {
    FUZZ_CHECK((idle ? idle_.insert(&connection).second
                     : idle_.erase(&connection) == 1));
  }
  Capacity AdmitConnection(const std::string&,
                           std::unique_ptr<Place>* place) override {
    if (plan_.is_full && plan_.ticks) return Capacity::kAddressFull;
    *place = std::make_unique<CountedPlace>(connection_places_);
    return Capacity::kFree;
  }
  std::unique_ptr<Place> ConnectionRefused(std::size_t, const Refusal&,
                                           const std::string&) override {
    if (!plan_.reads) return nullptr;
    return std::make_unique<CountedPlace>(connection_places_);
  }
  void Wake(Connection& connection) override {
    FUZZ_CHECK(resting_.erase(&connection) == 1);
  }
  Capacity Admit(const Route&, const std::string&,
                 std::unique_ptr<Place>* place) override {
    if (is_draining_) return Capacity::kDraining;
    if (plan_.is_full && places_ > 0) return Capacity::kFull;
    *place = std::make_unique<CountedPlace>(places_);
    return Capacity::kFree;
  }
  Capacity AdmitIdentity(const std::string&, std::unique_ptr<Place>*) override {
    return plan_.is_full ? Capacity::kIdentityFull : Capacity::kFree;
  }
  std::string NewSessionId() override {
    return "0123456789abcdef0123456789abcdef";
  }
  std::shared_ptr<const ConnectionSettings> SettingsOf(std::size_t) override {
    return settings_;
  }
  SchemaSource::SnapshotOr GetSchema(
      const std::string&, SchemaSource::SnapshotCallback callback) override {
    return context_->schemas->Get(now_, std::move(callback));
  }
  std::unique_ptr<AdmissionTicket> AskAdmission(
      const SessionRequest&,
      std::function<void(const absl::Status&)>) override {
    return nullptr;
  }
  std::unique_ptr<Session> OpenSession(SessionRequest request,
                                       Transport& transport) override {
    ++opened_;
    return MakeSession(std::move(request), context_, transport);
  }
  void SessionEnded(const Session&) override { ++ended_; }
  void HandshakeRefused(const Refusal&, const std::string&) override {}
  void ArrivalFailed(std::size_t, ArrivalStep, const std::string&,
                     const std::string&) override {}
  bool AdmitHandshake(std::size_t, std::weak_ptr<HandshakeWaiter>) override {
    return true;
  }
  void TlsEstablished(std::size_t, const TlsEngine&, absl::Duration) override {}
  void Http2Begun(std::size_t) override {}
  void Http2Failed(std::size_t, h2::Flood, const std::string&,
                   const std::string&) override {}
  void FirstAnswer(const Session&) override {}
  void PingAnswered(absl::Duration) override {}
  absl::Time now() const override { return now_; }
  Moment clock() const override { return {now_, now_}; }
  bool is_short_of_memory() const override { return false; }
  Turn& turn() override { return turn_; }
  absl::Span<char> ReadBuffer() override {
    return absl::MakeSpan(read_buffer_);
  }
  TlsBuffers& tls_buffers() override { return tls_buffers_; }
  std::unique_ptr<Place> TakeConsolePlace() override { return nullptr; }
  ConsoleSchemaCache& console_cache() override { return console_cache_; }

  Backend& backend() { return *backend_; }

  void Tick(absl::Duration passed) {
    now_ += passed;
    ForEach([this](Connection& connection) {
      connection.OnTick(now_);
      if (connections_.count(&connection) == 0) return;
      resting_.erase(&connection);
      if (connection.Rest()) resting_.insert(&connection);
    });
  }
  void Drain() {
    is_draining_ = true;
    const DrainOrder order{now_, now_ + absl::Seconds(10), "going away"};
    ForEach([&](Connection& connection) { connection.Drain(order); });
  }
  void Abort() {
    ForEach([](Connection& connection) { connection.Abort(); });
  }

  void ExpectNothingLeft() const {
    FUZZ_CHECK(connections_.empty());
    for (const auto& connection : seen_) FUZZ_CHECK(connection.expired());
    FUZZ_CHECK(places_ == 0);
    FUZZ_CHECK(connection_places_ == 0);
    FUZZ_CHECK(opened_ == ended_);
    FUZZ_CHECK(backend_->idle());
  }

 private:
  struct CountedPlace final : Place {
    explicit CountedPlace(int& count) : count(count) { ++count; }
    ~CountedPlace() override { --count; }
    int& count;
  };

  template <typename Act>
  void ForEach(Act act) {
    const auto connections = connections_;
    for (const auto& [key, connection] : connections) act(*connection);
  }

  const Plan& plan_;
  Turn& turn_;
  std::shared_ptr<const ConnectionSettings> settings_;
  const std::shared_ptr<Backend> backend_;
  std::shared_ptr<const SessionContext> context_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  std::vector<char> read_buffer_ = std::vector<char>(64 * 1024);
  TlsBuffers tls_buffers_;
  ConsoleSchemaCache console_cache_;
  bool is_draining_ = false;
  int places_ = 0;
  int connection_places_ = 0;
  int opened_ = 0;
  int ended_ = 0;
  std::map<Connection*, std::shared_ptr<Connection>> connections_;
  std::set<Connection*> resting_;
  std::set<Connection*> idle_;
  std::vector<std::weak_ptr<Connection>> seen_;
};

// The client and the loop that everything runs on.
class Stage {
 public:
  explicit Stage(const Plan& plan) : plan_(plan), host_(plan, turn_) {
    int ends[2];
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    // Small, so that they are full now and then; but a client that lets much
    // pile up makes room for much at once.
    const int bytes = 4096;
    for (const int end : ends) {
      if (!plan.reads) continue;
      setsockopt(end, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
    const boost::asio::generic::stream_protocol protocol(AF_UNIX, 0);
    client_.assign(protocol, ends[0]);
    client_.non_blocking(true);
    StreamSocket server(io_.get_executor());
    server.assign(protocol, ends[1]);
    ServeConnection({std::move(server), 0, "unix", nullptr, nullptr}, host_);
  }

  void Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const std::size_t size =
          plan_.chunk == 0 ? bytes.size() : 1 + Dice() % plan_.chunk;
      absl::string_view chunk = bytes.substr(0, size);
      bytes.remove_prefix(chunk.size());
      while (!chunk.empty()) {
        boost::system::error_code error;
        chunk.remove_prefix(client_.write_some(
            boost::asio::buffer(chunk.data(), chunk.size()), error));
        if (error && error != boost::asio::error::would_block) return;
        // A client that is not read from gives up.
        if (!Run() && error) return;
      }
      if (plan_.ticks) host_.Tick(absl::Seconds(1));
    }
  }

  void Drain() {
    host_.Drain();
    Run();
  }

  void End() {
    boost::system::error_code ignored;
    if (plan_.half_closes) {
      // In the same round of the loop as what it has taken at last.
      Receive();
      client_.shutdown(StreamSocket::shutdown_send, ignored);
      Run();
      host_.Tick(absl::Seconds(1));
      Run();
    }
    if (plan_.aborts) host_.Abort();
    client_.close(ignored);
    // Longer than any of the timeouts one after the other.
    for (int i = 0; i < 40; ++i) {
      Run();
      host_.Tick(absl::Seconds(5));
    }
    Run();
    host_.ExpectNothingLeft();
    // No work is left that would keep a worker from stopping.
    io_.restart();
    io_.poll();
    FUZZ_CHECK(io_.stopped());
  }

 private:
  // Lets happen what can happen by itself; whether anything did.
  bool Run() {
    bool ran = false;
    for (int i = 0; i < 10000; ++i) {
      if (io_.stopped()) io_.restart();
      bool again = io_.poll() > 0;
      again = host_.backend().Step() || again;
      again = (plan_.reads && Receive()) || again;
      if (!again) return ran;
      ran = true;
    }
    FUZZ_CHECK(!"it never comes to rest");
    return ran;
  }

  bool Receive() {
    if (!client_.is_open()) return false;
    bool received = false;
    for (;;) {
      char buffer[16384];
      boost::system::error_code error;
      client_.read_some(boost::asio::buffer(buffer), error);
      if (error) return received;
      received = true;
    }
  }

  // Numerical Recipes' generator: the same chunks for the same input.
  unsigned Dice() {
    seed_ = seed_ * 1664525 + 1013904223;
    return seed_ >> 16;
  }

  const Plan& plan_;
  LoopTurn turn_{io_};
  boost::asio::io_context io_{1};
  Host host_;
  StreamSocket client_{io_.get_executor()};
  std::uint32_t seed_ = 1;
};

std::string ProxyHeader(const Plan& plan) {
  return plan.proxy_header ? "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" : "";
}

#ifdef HEADGATE_FUZZ_HTTP2

std::string Handshake(const Plan& plan) {
  return absl::StrCat(ProxyHeader(plan), Http2ClientFrames::kPreface,
                      Http2ClientFrames::Frame(/*SETTINGS*/ 4, 0, 0, ""));
}

std::string NextFrames(FuzzInput& input) {
  std::string sent;
  Http2ClientFrames frames;
  while (!input.empty()) absl::StrAppend(&sent, frames.Next(input));
  return sent;
}

#else

std::string NextFrames(FuzzInput& input) {
  std::string sent;
  while (!input.empty()) absl::StrAppend(&sent, NextClientFrame(input));
  return sent;
}

std::string Handshake(const Plan& plan) {
  return absl::StrCat(
      ProxyHeader(plan), "GET ", kPaths[plan.path],
      " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
      plan.compression ? "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
                       : "\r\n");
}

#endif

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace headgate;
  FuzzInput input(data, size);
  const Plan plan(input);
  const std::string sent = plan.frames ? NextFrames(input) : input.Rest();
  Stage stage(plan);
  if (plan.shakes_hands) stage.Send(Handshake(plan));
  const std::size_t half = plan.drains ? sent.size() / 2 : sent.size();
  stage.Send(absl::string_view(sent).substr(0, half));
  if (plan.drains) stage.Drain();
  stage.Send(absl::string_view(sent).substr(half));
  stage.End();
  return 0;
}
