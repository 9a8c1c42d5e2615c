// A connection without a socket: the client's bytes come from memory and ours
// go there, through HTTP and WebSocket frames to a session of the test's.

#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "gateway/net/http_connection.h"
#include "tests/net/connection_fixture.h"
#include "tests/net/exchange_fixture.h"
#include "tests/net/memory_stream.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class MemoryConnectionTest : public ::testing::Test {
 protected:
  MemoryConnectionTest() {
    Route raw;
    raw.path = "/raw";
    raw.target = FixedMethod{"/headgate.v1.MessageService/Connect"};
    raw.codec = &kRawDialect;
    ConnectionSettings settings;
    settings.policy.router =
        std::make_shared<const Router>(std::vector<Route>{raw});
    host_.settings_ =
        std::make_shared<const ConnectionSettings>(std::move(settings));
    host_.open_ = [this](SessionRequest request, Transport& transport) {
      auto session = std::make_unique<ScriptedSession>(std::move(request),
                                                       transport, log_);
      session_ = session.get();
      return session;
    };
    auto connection = std::make_shared<HttpConnection>(
        stream_, Peer{"127.0.0.1", false, "", "", ""}, 7, host_.now_, host_);
    host_.Add(connection, 7);
    connection->Start();
  }

  // What the gateway does with `bytes`, and with what it has posted.
  void Client(const std::string& bytes) {
    stream_->Deliver(bytes);
    Run();
  }
  void Run() {
    turn_.Run();
    io_.restart();
    io_.poll();
  }
  std::string Sent() {
    Run();
    return stream_->TakeOutgoing();
  }
  void Upgrade() {
    Client(
        "GET /raw HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    ASSERT_THAT(Sent(), StartsWith("HTTP/1.1 101 "));
  }

  testing::Log log_;
  boost::asio::io_context io_{1};
  LoopTurn turn_{io_};
  FakeHost host_{log_, turn_};
  std::shared_ptr<MemoryStream> stream_ =
      std::make_shared<MemoryStream>(io_, log_);
  ScriptedSession* session_ = nullptr;
};

TEST_F(MemoryConnectionTest, ASessionsConversationNeedsNoSocket) {
  Upgrade();
  EXPECT_THAT(log_, ElementsAre("start /headgate.v1.MessageService/Connect"));
  log_.clear();
  Client(Frame(kText, "hi"));
  EXPECT_THAT(log_, ElementsAre("got hi"));
  session_->transport().Write({Opcode::kText, "ho"});
  EXPECT_EQ(Sent(), Frame(kText, "ho", /*masked=*/false));
  log_.clear();
  Client(CloseFrame(1000));
  EXPECT_THAT(Sent(), StartsWith("\x88"));
  stream_->End();
  Run();
  EXPECT_THAT(log_, ElementsAre("closed by client", "end", "close", "gone"));
  EXPECT_THAT(host_.connections_, IsEmpty());
  EXPECT_EQ(host_.admitted_, 0);
}

// However the bytes are cut, between the HTTP head and the first frames as
// well.
TEST_F(MemoryConnectionTest, BytesMayComeOneByOne) {
  const std::string head =
      "GET /raw HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  for (const char byte : head + Frame(kText, "hi") + CloseFrame(1000)) {
    Client(std::string(1, byte));
  }
  stream_->End();
  Run();
  EXPECT_THAT(log_,
              ElementsAre("start /headgate.v1.MessageService/Connect", "got hi",
                          "closed by client", "end", "close", "gone"));
}

TEST_F(MemoryConnectionTest, ASlowClientGetsTheRestWhenThereIsRoom) {
  Upgrade();
  log_.clear();
  stream_->MakeRoom(3);
  session_->transport().Write({Opcode::kText, std::string(100'000, 'a')});
  EXPECT_EQ(Sent().size(), 3u);
  EXPECT_THAT(log_, IsEmpty());
  stream_->MakeRoom(1'000'000);
  EXPECT_EQ(Sent().size(), 100'000u + 10 - 3);
  EXPECT_THAT(log_, ElementsAre("written"));
  stream_->End();
  Run();
  EXPECT_THAT(log_, ElementsAre("written", "closed lost", "close", "gone"));
}

TEST_F(MemoryConnectionTest, ARefusedRequestNeedsNoSocketEither) {
  Client("GET /none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(Sent(), StartsWith("HTTP/1.1 404 "));
  EXPECT_EQ(session_, nullptr);
  stream_->End();
  Run();
  EXPECT_THAT(host_.connections_, IsEmpty());
}

}  // namespace
}  // namespace headgate
