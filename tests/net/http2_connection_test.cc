#include <algorithm>
#include <chrono>
#include <memory>

#include <gmock/gmock.h>
#include <boost/asio/post.hpp>

#include "tests/h2/peers.h"
#include "tests/net/exchange_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

h2::Fields H2Request(const std::string& method, const std::string& path,
                     const h2::Fields& more = {}) {
  h2::Fields fields = {{":method", method},
                       {":scheme", "http"},
                       {":path", path},
                       {":authority", "h"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

const h2::Fields kH2WebSocket = {
    {":method", "CONNECT"}, {":protocol", "websocket"},
    {":scheme", "http"},    {":path", "/bin"},
    {":authority", "h"},    {"sec-websocket-version", "13"}};

// The test is a client by h2::Session, and the session at the other end.
class Http2ConnectionTest : public ExchangeTest {
 protected:
  Http2ConnectionTest() {
    settings_.http2.enabled = true;
    settings_.max_header_bytes = 4096;
  }

  void ConnectHttp2() {
    Connect();
    Exchange();
  }
  // Lets both ends say what they have to say.
  void Exchange() {
    for (int i = 0; i < 8; ++i) {
      std::string out;
      status_ = h2_.Send(1 << 20, out);
      if (!opens_windows_) CloseWindows(out);
      if (!out.empty()) Send(out);
      Settle();
      Receive();
      if (received_.empty()) continue;
      const absl::Status got = h2_.Receive(received_, {});
      if (status_.ok()) status_ = got;
      received_.clear();
    }
  }
  // A request whose body is all there, or goes on.
  h2::LoggedStream& Open(const h2::Fields& fields, const std::string& body = "",
                         bool last = true) {
    h2::LoggedStream& stream =
        streams_.emplace_back(absl::StrCat("c", streams_.size()), client_log_);
    stream.logs_fields = false;
    stream.Put(body, last);
    EXPECT_TRUE(h2_.Open(stream, h2::Views(fields)));
    Exchange();
    return stream;
  }
  h2::LoggedStream& OpenWebSocket() {
    host_->open_ = nullptr;
    return Open(kH2WebSocket, "", /*last=*/false);
  }

  static h2::SessionOptions ClientOptions() {
    h2::SessionOptions options;
    options.max_header_list_bytes = 6000;
    return options;
  }

  // Makes SETTINGS_INITIAL_WINDOW_SIZE zero.
  static void CloseWindows(std::string& out) {
    const std::size_t at = out.find(std::string("\0\4\0\1\0\0", 6));
    if (at != std::string::npos) out.replace(at + 2, 4, 4, '\0');
  }

  bool opens_windows_ = true;
  h2::Session h2_{ClientOptions(), nullptr, {}};
  h2::Log client_log_;
  std::deque<h2::LoggedStream> streams_;  // They leave h2_ first.
  absl::Status status_;
};

TEST_F(Http2ConnectionTest, RequestIsOneOfHttp1) {
  ConnectHttp2();
  auto& stream = Open(H2Request("PUT", "/api/things/a%2Fb?x=1",
                                {{"content-type", "text/json"},
                                 {"grpc-timeout", "3S"},
                                 {"authorization", "Bearer t"}}),
                      "{}");
  ASSERT_EQ(sessions_.size(), 1u);
  const SessionRequest& request = session().request();
  EXPECT_EQ(request.method, "/p.S/Get");
  EXPECT_EQ(request.media_type, "text/json");
  EXPECT_EQ(request.timeout, absl::Seconds(3));
  EXPECT_THAT(request.metadata, Contains(Pair("authorization", "Bearer t")));
  EXPECT_THAT(log_, ElementsAre("start /p.S/Get", "got {}", "got "));
  EXPECT_EQ(host_->admitted_, 1);
  stream.logs_fields = true;
  Answer(R"({"name":"x"})");
  Exchange();
  EXPECT_THAT(client_log_, Contains("c0 field :status=200"));
  EXPECT_THAT(client_log_, Contains("c0 field content-type=application/json"));
  EXPECT_EQ(stream.received(), R"({"name":"x"})");
  EXPECT_EQ(client_log_.back(), "c0 gone: reset NO_ERROR");
  EXPECT_EQ(host_->admitted_, 0);
  EXPECT_EQ(log_.back(), "gone");
}

TEST_F(Http2ConnectionTest, RequestsShareTheConnection) {
  ConnectHttp2();
  auto& first = Open(H2Request("GET", "/api/things/a:watch"));
  auto& second = Open(H2Request("GET", "/api/things/b"));
  EXPECT_EQ(host_->connections_.size(), 3u);
  EXPECT_EQ(host_->connected_, 1);
  EXPECT_EQ(host_->admitted_, 2);
  Answer("{}");
  Exchange();
  EXPECT_EQ(second.received(), "{}");
  sessions_[0]->Respond("1");
  Exchange();
  EXPECT_EQ(first.received(), "1\n");
  EXPECT_EQ(host_->admitted_, 1);
}

TEST_F(Http2ConnectionTest, RefusalIsAResponse) {
  ConnectHttp2();
  auto& stream = Open(H2Request("GET", "/nothing"));
  EXPECT_THAT(stream.received(), HasSubstr("nothing is served at /nothing"));
  EXPECT_THAT(host_->refused_, ElementsAre(404));
  Exchange();
  EXPECT_EQ(client_log_.back(), "c0 gone: reset NO_ERROR");
}

TEST_F(Http2ConnectionTest, RefusedUploadIsEndedWithoutAnError) {
  ConnectHttp2();
  Open(H2Request("POST", "/nothing"), "a part", /*last=*/false);
  EXPECT_EQ(client_log_.back(), "c0 gone: reset NO_ERROR");
}

TEST_F(Http2ConnectionTest, LongBodyComesAsItIsAskedFor) {
  reads_ = false;
  ConnectHttp2();
  auto& stream =
      Open(H2Request("POST", "/api/things:add"), std::string(300'000, 'x'));
  // What the window lets through.
  EXPECT_GE(stream.unsent(), 200'000u);
  std::size_t got = 0;
  session().reads_ = true;
  transport().Read();
  ASSERT_TRUE(Until([&] {
    Exchange();
    return log_.back() == "got ";
  }));
  for (const std::string& entry : log_) {
    if (entry.rfind("got ", 0) == 0) got += entry.size() - 4;
  }
  EXPECT_EQ(got, 300'000u);
}

TEST_F(Http2ConnectionTest, ResponseWaitsForTheWindow) {
  ConnectHttp2();
  auto& stream = Open(H2Request("GET", "/api/things/a:watch"));
  stream.consumes = false;
  const std::string text(150'000, 'x');
  session().Respond(text);
  Exchange();
  EXPECT_LT(stream.received().size(), text.size());
  EXPECT_THAT(log_, ::testing::Not(Contains("written")));
  stream.consumes = true;
  h2_.Consume(stream, stream.received().size());
  ASSERT_TRUE(Until([&] {
    Exchange();
    return stream.received().size() == text.size() + 1;
  }));
  EXPECT_EQ(log_.back(), "written");
}

TEST_F(Http2ConnectionTest, ResetCancelsTheCallAndNoOther) {
  ConnectHttp2();
  auto& first = Open(H2Request("GET", "/api/things/a:watch"));
  auto& second = Open(H2Request("GET", "/api/things/b:watch"));
  h2_.Reset(first, h2::kCancel);
  Exchange();
  EXPECT_THAT(log_, Contains("closed lost"));
  EXPECT_EQ(log_.back(), "gone");
  session().Respond("1");
  Exchange();
  EXPECT_EQ(second.received(), "1\n");
}

TEST_F(Http2ConnectionTest, BodyThatIsCutOffIsReset) {
  ConnectHttp2();
  Open(H2Request("GET", "/api/things/a:watch"));
  session().Respond("bytes", "image/png");
  Exchange();
  session().End(EndingOf(absl::InternalError("broken")), R"({"code":13})");
  Exchange();
  EXPECT_EQ(client_log_.back(), "c0 gone: reset INTERNAL_ERROR");
}

TEST_F(Http2ConnectionTest, WebSocketIsAStream) {
  ConnectHttp2();
  auto& stream = OpenWebSocket();
  ASSERT_EQ(host_->upstream().call_count(), 1u);
  stream.Put(Frame(kBinary, "hello"));
  Exchange();
  EXPECT_THAT(log_, Contains("write hello"));
  EXPECT_EQ(host_->connections_.size(), 2u);
  call().observer().OnMessage("there");
  Exchange();
  EXPECT_THAT(stream.received(), HasSubstr("there"));
  // Both sides end with the closing handshake.
  stream.Put(Frame(kClose, "\x03\xe8"), /*last=*/true);
  Exchange();
  EXPECT_EQ(client_log_.back(), "c0 gone: reset NO_ERROR");
  EXPECT_EQ(report().cause, TransportEnd::Cause::kClosedByClient);
  EXPECT_EQ(host_->connections_.size(), 1u);
}

TEST_F(Http2ConnectionTest, LostConnectionEndsItsSessions) {
  ConnectHttp2();
  OpenWebSocket();
  h2_.DetachAll();
  client_.close();
  ASSERT_TRUE(UntilEnded());
  EXPECT_EQ(report().cause, TransportEnd::Cause::kLost);
}

TEST_F(Http2ConnectionTest, AbortEndsItAll) {
  ConnectHttp2();
  OpenWebSocket();
  Abort();
  h2_.DetachAll();
  EXPECT_TRUE(host_->connections_.empty());
}

TEST_F(Http2ConnectionTest, DrainLetsStreamsEnd) {
  ConnectHttp2();
  auto& stream = Open(H2Request("GET", "/api/things/a:watch"));
  session().ends_at_drain_ = false;
  Drain();
  Exchange();
  EXPECT_TRUE(h2_.goaway_came());
  session().Respond("1");
  Exchange();
  EXPECT_EQ(stream.received(), "1\n");
  session().End(EndingOf(absl::OkStatus()), "");
  Exchange();
  client_.close();
  EXPECT_TRUE(UntilEnded());
}

TEST_F(Http2ConnectionTest, IdleConnectionIsClosedAndMakesRoom) {
  ConnectHttp2();
  EXPECT_EQ(host_->idle_.size(), 1u);
  Open(H2Request("GET", "/api/things/a"));
  EXPECT_EQ(host_->idle_.size(), 0u);
  Answer("{}");
  Exchange();
  EXPECT_EQ(host_->idle_.size(), 1u);
  Tick(settings_.keep_alive_timeout);
  Exchange();
  EXPECT_TRUE(h2_.goaway_came());
  client_.close();
  EXPECT_TRUE(UntilEnded());
}

TEST_F(Http2ConnectionTest, BrokenProtocolEndsEverySession) {
  ConnectHttp2();
  Open(H2Request("GET", "/api/things/a:watch"));
  Send(h2::Frame(NGHTTP2_PING, 0, 0, "short"));
  Exchange();
  EXPECT_EQ(host_->http2_failed_.size(), 1u);
  EXPECT_TRUE(h2_.goaway_came());
  EXPECT_THAT(log_, Contains("closed lost"));
  client_.close();
  EXPECT_TRUE(UntilEnded());
}

TEST_F(Http2ConnectionTest, TooLongAHeaderListEndsItsStream) {
  ConnectHttp2();
  Open(H2Request("GET", "/api/things/a", {{"x", std::string(5000, 'y')}}));
  EXPECT_THAT(client_log_.back(), HasSubstr("c0 gone"));
  EXPECT_THAT(host_->refused_, ElementsAre(431));
  Open(H2Request("GET", "/api/things/a"));
  Answer("{}");
  Exchange();
}

TEST_F(Http2ConnectionTest, WhereItIsOffThePrefaceIsNoRequest) {
  settings_.http2.enabled = false;
  Connect();
  Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_THAT(ReceiveHead(), ::testing::StartsWith("HTTP/1.1 400 "));
}

TEST_F(Http2ConnectionTest, PrefaceMayComeByteByByte) {
  Connect();
  std::string out;
  ASSERT_TRUE(h2_.Send(1 << 20, out).ok());
  for (const char c : out) {
    Send(std::string(1, c));
    Settle();
  }
  Open(H2Request("GET", "/api/things/a"));
  EXPECT_EQ(sessions_.size(), 1u);
}

// The client says that it takes 6,000 bytes of header fields.
TEST_F(Http2ConnectionTest, MoreFieldsThanTheClientTakesResetTheStreamAlone) {
  ConnectHttp2();
  Open(H2Request("GET", "/api/things/a"));
  auto& other = Open(H2Request("GET", "/api/things/b"));
  sessions_[0]->Head({{"x", std::string(7000, 'x')}});
  sessions_[0]->Respond("{}");
  sessions_[0]->End(EndingOf(absl::OkStatus()));
  Exchange();
  EXPECT_THAT(client_log_, Contains("c0 gone: reset ENHANCE_YOUR_CALM"));
  Answer("{}");
  Exchange();
  EXPECT_EQ(other.received(), "{}");
}

// Each of them may be a large message.
TEST_F(Http2ConnectionTest, ManyMessagesAtOnceLeaveTimeToOthers) {
  const auto open = host_->open_;
  host_->open_ = [&](SessionRequest request, Transport& transport) {
    std::unique_ptr<Session> session = open(std::move(request), transport);
    sessions_.back()->on_message_ = [this] {
      boost::asio::post(io_, [this] { log_.push_back("other"); });
      WorkLong();
    };
    return session;
  };
  ConnectHttp2();
  for (int i = 0; i < 2; ++i) {
    h2::LoggedStream& stream =
        streams_.emplace_back(absl::StrCat("c", i), client_log_);
    stream.Put("{}", /*last=*/true);
    ASSERT_TRUE(h2_.Open(stream, h2::Views(H2Request("PUT", "/api/things/a"))));
  }
  Exchange();
  const auto count = std::count(log_.begin(), log_.end(), "got {}");
  ASSERT_EQ(count, 2);
  const auto first = std::find(log_.begin(), log_.end(), "got {}");
  const auto second = std::find(first + 1, log_.end(), "got {}");
  EXPECT_NE(std::find(first, second, "other"), second);
}

// A read of some KiB has a hundred of them.
class Http2BurstTest : public Http2ConnectionTest {
 protected:
  // Requests each of which takes as long as one task should.
  void SendRequests(int count) {
    host_->open_ = [open = host_->open_, this](SessionRequest request,
                                               Transport& transport) {
      WorkLong();
      return open(std::move(request), transport);
    };
    ConnectHttp2();
    for (int i = 0; i < count; ++i) {
      h2::LoggedStream& stream =
          streams_.emplace_back(absl::StrCat("c", i), client_log_);
      stream.Put("", /*last=*/true);
      ASSERT_TRUE(
          h2_.Open(stream, h2::Views(H2Request("GET", "/api/things/a:watch"))));
    }
    std::string out;
    ASSERT_TRUE(h2_.Send(1 << 20, out).ok());
    Send(out);
  }
};

TEST_F(Http2BurstTest, LeavesTimeToOthers) {
  SendRequests(3);
  std::size_t before = 0;
  ASSERT_TRUE(Until([&] {  // After each handler of the event loop.
    EXPECT_LE(sessions_.size() - before, 1u);
    before = sessions_.size();
    return before == 3;
  }));
  // And is read on.
  Open(H2Request("GET", "/api/things/b"));
  EXPECT_EQ(sessions_.size(), 4u);
}

TEST_F(Http2BurstTest, EndsWithTheConnection) {
  SendRequests(3);
  ASSERT_TRUE(Until([&] { return sessions_.size() == 1; }));
  Abort();
  Settle();
  h2_.DetachAll();
  EXPECT_EQ(sessions_.size(), 1u);
  EXPECT_TRUE(host_->connections_.empty());
  EXPECT_EQ(host_->admitted_, 0);
}

// What others do comes first, also before it is read.
TEST_F(Http2BurstTest, WaitsWhereOthersHaveWorkedLong) {
  bool had_worked_long = true;
  ConnectHttp2();
  host_->open_ = [open = host_->open_, &had_worked_long, this](
                     SessionRequest request, Transport& transport) {
    had_worked_long = turn_.has_worked_long();
    return open(std::move(request), transport);
  };
  WorkLong();
  Open(H2Request("GET", "/api/things/a:watch"));
  ASSERT_EQ(sessions_.size(), 1u);
  EXPECT_FALSE(had_worked_long);
}

// docs/security.md: all clients together.
TEST_F(Http2ConnectionTest, ResponsesThatAreNotTakenAreCountedAndFreed) {
  opens_windows_ = false;
  ConnectHttp2();
  const std::shared_ptr<Connection> connection =
      host_->connections_.begin()->second;
  const std::size_t before = connection->held_bytes();
  for (int i = 0; i < 20; ++i) {
    Open(H2Request("GET", "/nothing", {{"x-long", std::string(3000, 'x')}}));
  }
  EXPECT_EQ(host_->connections_.size(), 1u);
  EXPECT_GE(connection->held_bytes(), before + 20 * 1024);
  EXPECT_LT(connection->held_bytes(), before + 20 * 3000);
  connection->CloseForMemory(absl::Now(), absl::ZeroDuration());
  Exchange();
  EXPECT_EQ(client_log_.back(), "c19 gone: reset ENHANCE_YOUR_CALM");
  EXPECT_LT(connection->held_bytes(), before + 10 * 1024);
}

}  // namespace
}  // namespace headgate
