#include "absl/strings/match.h"
#include "gateway/ws/deflate.h"
#include "headgate/v1/message.pb.h"
#include "tests/net/connection_fixture.h"
#include "tests/net/exchange_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Cause = TransportEnd::Cause;

class WsTransportTest : public ConnectionTest {
 protected:
  static std::string TextMessage(const std::string& text) {
    v1::Message message;
    message.set_text(text);
    return message.SerializeAsString();
  }
  static std::string BinaryMessage(const std::string& bytes) {
    v1::Message message;
    message.set_binary(bytes);
    return message.SerializeAsString();
  }
  // The messages that reached the backend, each taken at once.
  std::vector<std::string> Backend(std::size_t count) {
    EXPECT_TRUE(Until([&] {
      if (call().writing()) call().observer().OnWritten();
      return call().written().size() >= count;
    }));
    return call().written();
  }
};

// RFC 6455 section 4.2.2: the key of its section 1.3 and the answer to it.
TEST_F(WsTransportTest, HandshakeIsAnsweredAsTheRfcShows) {
  Connect();
  Send(Request("/raw", "Sec-WebSocket-Protocol: x, headgate.json.v1\r\n"));
  const std::string head = ReceiveHead();
  EXPECT_THAT(head, HasSubstr("HTTP/1.1 101 Switching Protocols\r\n"));
  EXPECT_THAT(head, HasSubstr("Sec-WebSocket-Accept: "
                              "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
  EXPECT_THAT(head, HasSubstr("Sec-WebSocket-Protocol: headgate.json.v1\r\n"));
}

TEST_F(WsTransportTest, HandshakeMayArriveByteByByte) {
  Connect();
  for (const char c : Request("/raw")) {
    Send({&c, 1});
    io_.poll();
    io_.restart();
  }
  EXPECT_THAT(ReceiveHead(), HasSubstr("101"));
}

// Section 5.6: text is text and binary binary, both ways, the empty ones too.
TEST_F(WsTransportTest, OpcodeIsKeptBothWays) {
  Open("/raw");
  Send(Frame(kText, "t") + Frame(kBinary, "b") + Frame(kText, "") +
       Frame(kBinary, ""));
  EXPECT_THAT(Backend(4), ElementsAre(TextMessage("t"), BinaryMessage("b"),
                                      TextMessage(""), BinaryMessage("")));
  for (const auto& answer : {TextMessage("t"), BinaryMessage("b"),
                             TextMessage(""), BinaryMessage("")}) {
    ASSERT_TRUE(Until([&] { return call().reading(); }));
    call().observer().OnMessage(answer);
  }
  Expect(Frame(kText, "t", false));
  Expect(Frame(kBinary, "b", false));
  Expect(Frame(kText, "", false));
  Expect(Frame(kBinary, "", false));
}

// Section 5.4: fragments are one message, control frames may stand between
// them.
TEST_F(WsTransportTest, MessageIsPutTogetherFromItsFragments) {
  Open("/raw");
  Send(Frame(0x01, "a") + Frame(0x00, "") + Frame(kPing, "p") +
       Frame(0x00, "b") + Frame(0x80, "c"));
  EXPECT_THAT(Backend(1), ElementsAre(TextMessage("abc")));
  Expect(Frame(kPong, "p", false));
}

TEST_F(WsTransportTest, MessageIsPutTogetherFromTcpSegments) {
  Open("/raw");
  const std::string payload(300, 'x');
  for (const char c : Frame(kBinary, payload)) {
    Send({&c, 1});
    io_.poll();
    io_.restart();
  }
  EXPECT_THAT(Backend(1), ElementsAre(BinaryMessage(payload)));
}

// Sizes at the edges of the frame's three forms of length and of the reads.
TEST_F(WsTransportTest, EveryLengthArrivesWhole) {
  Open("/raw");
  const std::size_t sizes[] = {1,    125,  126,   1023,  1024,  1025,
                               2048, 2049, 65535, 65536, 65537, 100'000};
  std::size_t count = 0;
  for (const std::size_t size : sizes) {
    std::string payload(size, 'a');
    payload.back() = 'z';
    Send(Frame(kBinary, payload));
    ASSERT_EQ(Backend(++count).back(), BinaryMessage(payload)) << size;
  }
}

// Section 5.5.2: "the endpoint SHOULD respond with Pong frame as soon as is
// practical", with the same data.
TEST_F(WsTransportTest, PingIsAnsweredAndPongIgnored) {
  Open("/raw");
  Send(Frame(kPong, "unasked") + Frame(kPing, "") +
       Frame(kPing, std::string(125, 'p')));
  Expect(Frame(kPong, "", false));
  Expect(Frame(kPong, std::string(125, 'p'), false));
}

// Section 5.5.3: where pings have come faster than their pongs could go, the
// newest is answered, also when nothing else is to be sent.
TEST_F(WsTransportTest, TheNewestPingIsAnsweredOnceTheClientReads) {
  // So large that all which waits goes at once when there is room again.
  Open("/raw", 64 * 1024);
  std::string pings;
  for (int i = 0; i < 6000; ++i) {
    pings += Frame(kPing, std::string(120, 'p'));
  }
  Send(pings + Frame(kPing, "newest"));
  Settle();
  const std::string pong = Frame(kPong, "newest", false);
  EXPECT_TRUE(Until([&] {
    Receive();
    return absl::EndsWith(received_, pong) || end_;
  }));
  EXPECT_LT(received_.size(), 6000 * 122u) << "nothing was held back";
  EXPECT_TRUE(absl::EndsWith(received_, pong));
}

// A read is short; what it holds of compressed messages need not be. Between
// two long ones the event loop serves others.
TEST_F(WsTransportTest, LongMessagesOfOneReadAreTakenInSeveralIterations) {
  settings_.compression.enabled = true;
  host_->open_ = [this](SessionRequest request, Transport& transport) {
    return std::make_unique<ScriptedSession>(std::move(request), transport,
                                             log_);
  };
  Connect();
  Send(Request("/raw", "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
  EXPECT_THAT(ReceiveHead(), HasSubstr("permessage-deflate"));
  ws::Deflater deflater({}, 9);
  std::string frames;
  for (int i = 0; i < 10; ++i) {
    const std::string payload = *deflater.Deflate(std::string(50'000, ' '));
    ASSERT_LT(payload.size(), 126u);
    // FIN and RSV1; the mask is zero.
    frames += absl::StrCat("\xC1", std::string(1, char(0x80 | payload.size())),
                           std::string(4, '\0'), payload);
  }
  Send(frames);
  std::size_t most_at_once = 0;
  EXPECT_TRUE(Until([&, before = log_.size()]() mutable {
    most_at_once = std::max(most_at_once, log_.size() - before);
    before = log_.size();
    return before == 11;  // With "start".
  }));
  EXPECT_EQ(most_at_once, 2u) << "the second is the one over 64 KiB";
}

struct Violation {
  const char* name;
  std::string bytes;
  int code;
};

// What section 5 forbids ends the session and is told with 1002; text that is
// not UTF-8 (section 8.1) with 1007.
TEST_F(WsTransportTest, ViolationsAreToldAndEndTheSession) {
  const Violation violations[] = {
      {"unmasked", Frame(kText, "x", false), 1002},
      {"RSV1", Frame(kText | 0x40, "x"), 1002},
      {"RSV2", Frame(kText | 0x20, "x"), 1002},
      {"RSV3 of a control frame", Frame(kPing | 0x10, "x"), 1002},
      {"reserved data opcode", Frame(0x83, "x"), 1002},
      {"reserved control opcode", Frame(0x8B, "x"), 1002},
      {"continuation of nothing", Frame(0x80, "x"), 1002},
      {"new message within a message", Frame(0x01, "a") + Frame(kText, "b"),
       1002},
      {"fragmented control frame", Frame(0x09, "x"), 1002},
      {"long control frame", Frame(kPing, std::string(126, 'x')), 1002},
      {"length not minimal", std::string("\x82\xFE\x00\x05", 4) + "mask!",
       1002},
      {"Close of one byte", Frame(kClose, "x"), 1002},
      {"Close with 1005", CloseFrame(1005), 1002},
      {"Close with 999", CloseFrame(999), 1002},
      {"Close with bad UTF-8", CloseFrame(1000, "\xFF"), 1002},
      {"not UTF-8", Frame(kText, "\xC0\x80"), 1007},
      {"a surrogate", Frame(kText, "\xED\xA0\x80"), 1007},
      {"cut short", Frame(kText, "\xE2\x82"), 1007},
      {"cut short by the last fragment", Frame(0x01, "\xE2") + Frame(0x80, "x"),
       1007},
      {"cut short by an empty last fragment",
       Frame(0x01, "\xE2") + Frame(0x80, ""), 1007},
  };
  for (const Violation& violation : violations) {
    SCOPED_TRACE(violation.name);
    log_.clear();
    host_ = std::make_unique<FakeHost>(log_, turn_);
    received_.clear();
    end_ = {};
    client_ = TcpSocket(io_.get_executor());
    Open("/raw");
    Send(violation.bytes);
    ASSERT_TRUE(UntilReceived(4));
    EXPECT_EQ(static_cast<unsigned char>(received_[0]), 0x88);
    EXPECT_EQ(static_cast<unsigned char>(received_[2]) * 256 +
                  static_cast<unsigned char>(received_[3]),
              violation.code);
    boost::system::error_code ignored;
    client_.close(ignored);
    ASSERT_TRUE(UntilEnded());
    EXPECT_EQ(report().cause, Cause::kBrokenByClient);
    EXPECT_EQ(static_cast<int>(report().close), violation.code);
    EXPECT_THAT(log_, Contains("cancel"));
    EXPECT_TRUE(call().written().empty());
    ASSERT_TRUE(Until([&] { return io_.stopped(); }));
    ASSERT_TRUE(host_->AllGone());
  }
}

// A character may be split between frames; that is not a fault.
TEST_F(WsTransportTest, CharacterMayBeSplitOverFragments) {
  Open("/raw");
  Send(Frame(0x01, "\xE2") + Frame(0x00, "\x82") + Frame(0x00, "\xAC") +
       Frame(0x80, ""));
  EXPECT_THAT(Backend(1), ElementsAre(TextMessage("\xE2\x82\xAC")));
}

// The limit is a message's, not a frame's; the client learns it by 1009, and
// may go on sending what it had begun.
TEST_F(WsTransportTest, MessageOverTheLimitIsToldWith1009) {
  Open("/raw");
  Send(Frame(0x02, std::string(60'000, 'x')) +
       Frame(0x80, std::string(40'001, 'x')));
  ExpectClose(1009, "a message is longer than max_message_bytes (100000)");
  Send(Frame(kBinary, std::string(200'000, 'y')) + CloseFrame(1009));
  ExpectEnd();
  client_.close();
  ASSERT_TRUE(UntilEnded());
  EXPECT_EQ(static_cast<int>(report().close), 1009);
  EXPECT_TRUE(call().written().empty());
}

// A frame that only announces more than there may be costs no memory, and is
// refused as soon as the limit is passed.
TEST_F(WsTransportTest, AnnouncedLengthIsNotBelieved) {
  Open("/raw");
  const std::string frame = Frame(kBinary, std::string(150'000, 'x'));
  std::string header = frame.substr(0, 14);
  header[6] = 0x7F;  // Some hundred GiB.
  Send(header + frame.substr(14));
  ASSERT_TRUE(UntilReceived(4));
  EXPECT_EQ(received_.substr(2, 2), std::string("\x03\xF1"));  // 1009
}

// Backpressure: while the backend takes nothing, the socket is not read beyond
// what may wait.
TEST_F(WsTransportTest, SlowBackendStopsTheReading) {
  Open("/raw");
  std::size_t sent = 0;
  const std::string frame = Frame(kBinary, std::string(50'000, 'x'));
  for (int i = 0; i < 1000; ++i) {
    boost::system::error_code error;
    sent += client_.write_some(
        boost::asio::buffer(frame.data() + sent % frame.size(),
                            frame.size() - sent % frame.size()),
        error);
    Settle();
    if (error && WouldBlock(error)) break;
  }
  EXPECT_LT(sent, 20'000'000u);
  EXPECT_EQ(call().written().size(), 1u);
  // And goes on when it does: all that was sent whole arrives.
  const std::size_t whole = sent / frame.size();
  EXPECT_EQ(Backend(whole).size(), whole);
}

// --- a message that has begun

TEST_F(WsTransportTest, AMessageWhoseRestDoesNotComeEndsItWith1008) {
  Open("/raw");
  Send(Frame(0x02, "begun"));
  Settle();
  Tick(absl::ZeroDuration());
  EXPECT_THAT(host_->resting_, ::testing::IsEmpty());
  Send(Frame(kPing, "p"));  // It is still there, which is no progress.
  Expect(Frame(kPong, "p", /*masked=*/false));
  Tick(settings_.message_timeout - absl::Milliseconds(1));
  EXPECT_THAT(host_->ended_, ::testing::IsEmpty());
  Tick(absl::Milliseconds(1));
  ExpectClose(1008,
              "the rest of a message did not come within timeouts.message "
              "(30s)");
  client_.close();
  EXPECT_TRUE(UntilEnded());
  EXPECT_EQ(report().limit, Limit::kMessageTime);
}

TEST_F(WsTransportTest, AMessageThatComesSlowlyIsWaitedFor) {
  Open("/raw");
  for (int i = 0; i < 5; ++i) {
    Send(Frame(i == 0 ? 0x02 : 0x00,
               std::string(ws::MessageWatch::kLeastBytes, 'x')));
    Settle();
    Tick(settings_.message_timeout - absl::Milliseconds(1));
  }
  Send(Frame(0x80, "end"));
  Settle();
  Tick(settings_.message_timeout * 2);
  EXPECT_THAT(host_->ended_, ::testing::IsEmpty());
  Abort();
}

// --- bytes of the wire

// A head of six bytes costs a message of none as well.
TEST_F(WsTransportTest, EmptyFragmentsCountForTheRateOfBytes) {
  Route route = *settings_.policy.router->Find("h", "/raw")->route;
  route.bytes = {.per_second = 1, .burst = 100'000};
  settings_.policy.router =
      std::make_shared<const Router>(std::vector<Route>{route});
  Open("/raw");
  std::string fragments = Frame(0x02, "");
  while (fragments.size() < 120'000) fragments += Frame(0x00, "");
  Send(fragments);
  Settle();
  Tick(absl::ZeroDuration());
  ExpectClose(1008, "more than bytes_per_second (1) came in");
  client_.close();
  EXPECT_TRUE(UntilEnded());
  EXPECT_EQ(report().limit, Limit::kByteRate);
}

// --- lack of memory

TEST_F(WsTransportTest, ForLackOfMemoryWhatHoldsMuchIsNotRead) {
  Open("/raw");
  Send(Frame(0x02, std::string(60'000, 'x')));
  Settle();
  Connection& connection = *host_->connections_.begin()->second;
  const std::size_t held = connection.held_bytes();
  EXPECT_GE(held, 60'000u);
  host_->short_of_memory_ = true;
  Send(Frame(0x80, std::string(40'000, 'x')));
  for (int i = 0; i < 3; ++i) {
    Settle();
    Tick(absl::Milliseconds(100));
  }
  EXPECT_EQ(connection.held_bytes(), held);
  host_->short_of_memory_ = false;
  Tick(absl::Milliseconds(100));
  EXPECT_THAT(Backend(1),
              ElementsAre(BinaryMessage(std::string(100'000, 'x'))));
}

// docs/security.md: of 3,500 of them the first message of each took 160 MiB.
TEST_F(WsTransportTest, ForLackOfMemoryWhatMayBeCompressedIsNotRead) {
  settings_.compression.enabled = true;
  Connect();
  Send(Request("/raw", "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
  EXPECT_THAT(ReceiveHead(), HasSubstr("permessage-deflate"));
  ASSERT_TRUE(Until([&] { return host_->upstream().call_count() > 0; }));
  host_->short_of_memory_ = true;
  Send(Frame(0x82, "x"));
  for (int i = 0; i < 3; ++i) {
    Settle();
    Tick(absl::Milliseconds(100));
  }
  EXPECT_THAT(call().written(), ::testing::IsEmpty());
  host_->short_of_memory_ = false;
  Tick(absl::Milliseconds(100));
  EXPECT_THAT(Backend(1), ElementsAre(BinaryMessage("x")));
}

TEST_F(WsTransportTest, ForLackOfMemoryAMessageThatHasBegunIsDropped) {
  Open("/raw");
  Send(Frame(0x02, std::string(50'000, 'x')));
  Settle();
  Connection& connection = *host_->connections_.begin()->second;
  EXPECT_GE(connection.held_bytes(), 50'000u);
  connection.CloseForMemory(host_->now_, kMemoryPatience);
  EXPECT_EQ(connection.held_bytes(), 0u);
  ExpectClose(1013, "the gateway is overloaded");
  client_.close();
  EXPECT_TRUE(UntilEnded());
  EXPECT_EQ(report().limit, Limit::kMemory);
}

TEST_F(WsTransportTest, ForLackOfMemoryAClientThatTakesNothingIsCutOff) {
  Open("/raw", 4096);
  for (int i = 0; i < 3; ++i) {
    call().observer().OnMessage("\x12\x80\x80\x40" + std::string(1 << 20, 'x'));
    Settle();
  }
  Connection& connection = *host_->connections_.begin()->second;
  EXPECT_GE(connection.held_bytes(), 1u << 20);
  connection.CloseForMemory(host_->now_, kMemoryPatience);
  Tick(kMemoryPatience - absl::Milliseconds(1));
  EXPECT_FALSE(host_->connections_.empty());
  Tick(absl::Milliseconds(1));
  EXPECT_TRUE(UntilEnded());
  EXPECT_EQ(report().close, CloseCode::kTryAgainLater);
}

TEST_F(WsTransportTest, ForUrgentLackOfMemoryAClientIsCutOffAtOnce) {
  Open("/raw");
  Send(Frame(0x02, std::string(50'000, 'x')));
  Settle();
  Connection& connection = *host_->connections_.begin()->second;
  connection.CloseForMemory(host_->now_, absl::ZeroDuration());
  EXPECT_THAT(host_->connections_, ::testing::IsEmpty());
  EXPECT_EQ(report().close, CloseCode::kTryAgainLater);
  EXPECT_EQ(report().limit, Limit::kMemory);
}

}  // namespace
}  // namespace headgate
