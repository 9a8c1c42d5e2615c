// RFC 6455 in either role, without sockets.

#include "gateway/ws/endpoint.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/ws/handshake.h"
#include "tests/ws/frames.h"

namespace headgate::ws {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using State = Endpoint::State;
using Health = Endpoint::Health;
using Log = std::vector<std::string>;

constexpr std::size_t kEverything = std::string::npos;
constexpr std::size_t kMaxMessage = 200'000;
// What an empty string holds.
const std::size_t kNothing = std::string().capacity();

// The key that Frame() masks with.
class FixedMask final : public MaskSource {
 public:
  MaskKey NextMask() override {
    ++taken;
    return {0x11, 0x22, 0x33, 0x44};
  }
  int taken = 0;
};

// One end, with the log of its events.
class Side {
 public:
  explicit Side(Endpoint::Options options)
      : endpoint(std::make_unique<Endpoint>(std::move(options))) {}

  void Receive(absl::string_view bytes) {
    endpoint->OnArrival();
    while (!bytes.empty()) {
      const Endpoint::Event event = endpoint->Next(bytes);
      if (event == Endpoint::Event::kNeedsBytes) {
        EXPECT_TRUE(bytes.empty());
      } else {
        log.push_back(Told(event));
      }
    }
  }
  // What it sends, as if the kernel took `at_most` bytes.
  std::string Send(std::size_t at_most = kEverything) {
    std::string sent;
    while (endpoint->has_output() && sent.size() < at_most) {
      std::string piece;
      for (const absl::string_view part : endpoint->Front()) {
        absl::StrAppend(&piece,
                        part.substr(0, at_most - sent.size() - piece.size()));
      }
      endpoint->OnSent(piece.size());
      sent += piece;
    }
    return sent;
  }
  void Write(std::string text, Opcode opcode = Opcode::kText) {
    endpoint->Write(opcode, std::move(text));
  }
  void WriteWhole(std::string text, Opcode opcode = Opcode::kText) {
    Write(std::move(text), opcode);
    EXPECT_TRUE(endpoint->TakeWritten());
  }

  std::unique_ptr<Endpoint> endpoint;
  Log log;

 private:
  std::string Told(Endpoint::Event event) {
    switch (event) {
      case Endpoint::Event::kNeedsBytes:
        break;
      case Endpoint::Event::kMessage: {
        const WireMessage message = endpoint->TakeMessage();
        const std::string payload =
            message.payload.size() > 100
                ? absl::StrCat(message.payload.size(), " bytes of ",
                               message.payload.substr(0, 1))
                : message.payload;
        return absl::StrCat(
            message.opcode == Opcode::kText ? "text " : "binary ", payload);
      }
      case Endpoint::Event::kPiece:
        return absl::StrCat("piece ", endpoint->piece(),
                            endpoint->ends_message() ? " end" : "");
      case Endpoint::Event::kTooBig:
        return "too big";
      case Endpoint::Event::kPing:
        return "ping";
      case Endpoint::Event::kPong:
        return "pong";
      case Endpoint::Event::kClose:
        return absl::StrCat("close ", static_cast<int>(endpoint->close_code()),
                            " ", endpoint->close_reason());
      case Endpoint::Event::kViolation:
        return absl::StrCat("violation ",
                            static_cast<int>(endpoint->violation().code), " ",
                            endpoint->violation().what);
    }
    return "";
  }
};

class EndpointTest : public ::testing::Test {
 protected:
  static Endpoint::Options ServerOptions() {
    Endpoint::Options options;
    options.max_message_bytes = kMaxMessage;
    return options;
  }
  Endpoint::Options ClientOptions() {
    Endpoint::Options options = ServerOptions();
    options.role = Role::kClient;
    options.masks = &masks_;
    return options;
  }
  Side Server() { return Side(ServerOptions()); }
  Side Client() { return Side(ClientOptions()); }
  static Side DeflatingServer() {
    Endpoint::Options options = ServerOptions();
    options.deflate = DeflateAgreement();
    return Side(std::move(options));
  }

  Health Tick(Side& side, absl::Duration passed, bool peer_took = false,
              bool is_reading = true) {
    now_ += passed;
    return side.endpoint->OnTick({now_, is_reading, peer_took}, timeouts_);
  }

  FixedMask masks_;
  Timeouts timeouts_;
  absl::Time now_ = absl::UnixEpoch();
};

// --- both roles

// Lets both say what they have until neither has anything to say; each hands
// over `at_a_time` bytes.
void Converse(Side& a, Side& b, std::size_t at_a_time) {
  const auto pass = [at_a_time](Side& from, Side& to) {
    bool any = false;
    for (std::string sent; !(sent = from.Send(at_a_time)).empty();) {
      to.Receive(sent);
      any = true;
    }
    return any;
  };
  for (bool any = true; any;) {
    any = pass(a, b);
    any = pass(b, a) || any;
  }
}

class ConversationTest : public EndpointTest,
                         public ::testing::WithParamInterface<bool> {
 protected:
  std::optional<DeflateAgreement> Deflate() const {
    if (!GetParam()) return std::nullopt;
    DeflateAgreement agreement;
    agreement.server = {10, false};
    agreement.client = {15, true};
    return agreement;
  }
  std::pair<Log, Log> Conversation(std::size_t at_a_time) {
    Endpoint::Options of_server = ServerOptions();
    of_server.deflate = Deflate();
    Endpoint::Options of_client = ClientOptions();
    of_client.deflate = Deflate();
    Side server(std::move(of_server)), client(std::move(of_client));
    for (const std::size_t size : {0, 1, 125, 126, 65'535, 65'536, 150'000}) {
      client.Write(std::string(size, 'c'), Opcode::kBinary);
      server.Write(std::string(size, 's'));
      Converse(client, server, at_a_time);
      EXPECT_TRUE(client.endpoint->TakeWritten());
      EXPECT_TRUE(server.endpoint->TakeWritten());
    }
    client.WriteWhole("\xC3\xA4");
    client.endpoint->Close(CloseCode::kGoingAway, "bye");
    EXPECT_EQ(client.endpoint->state(), State::kClosing);
    Converse(client, server, at_a_time);
    EXPECT_EQ(client.endpoint->state(), State::kOver);
    EXPECT_EQ(server.endpoint->state(), State::kOver);
    EXPECT_EQ(client.endpoint->end(), Endpoint::End::kClosedByUs);
    EXPECT_EQ(server.endpoint->end(), Endpoint::End::kClosedByPeer);
    EXPECT_EQ(server.endpoint->held_bytes(), kNothing);
    return {std::move(server.log), std::move(client.log)};
  }
};

TEST_P(ConversationTest, IsTheSameWholeAndByteByByte) {
  const auto [server, client] = Conversation(kEverything);
  EXPECT_THAT(server,
              ElementsAre("binary ", "binary c", "binary 125 bytes of c",
                          "binary 126 bytes of c", "binary 65535 bytes of c",
                          "binary 65536 bytes of c", "binary 150000 bytes of c",
                          "text \xC3\xA4", "close 1001 bye"));
  EXPECT_THAT(client,
              ElementsAre("text ", "text s", "text 125 bytes of s",
                          "text 126 bytes of s", "text 65535 bytes of s",
                          "text 65536 bytes of s", "text 150000 bytes of s",
                          "close 1001 "));
  EXPECT_EQ(Conversation(1), std::pair(server, client));
  EXPECT_EQ(Conversation(1000), std::pair(server, client));
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutDeflate, ConversationTest,
                         ::testing::Bool());

// Section 5.1.
TEST_F(EndpointTest, AServerRequiresMasksAndAClientRefusesThem) {
  Side server = Server();
  server.Receive(Frame(kText, "x", /*masked=*/false));
  EXPECT_THAT(server.log, ElementsAre("violation 1002 a frame without a mask"));
  Side client = Client();
  client.Receive(Frame(kText, "x"));
  EXPECT_THAT(client.log,
              ElementsAre("violation 1002 a server's frame with a mask"));
}

TEST_F(EndpointTest, AClientMasksEachFrameWithAKeyOfItsOwn) {
  Side client = Client();
  client.WriteWhole("text");
  client.WriteWhole(std::string(300, 'x'), Opcode::kBinary);
  client.Receive(Frame(kPing, "p", /*masked=*/false));
  client.endpoint->Close(CloseCode::kNormal, "");
  EXPECT_EQ(masks_.taken, 4);
  EXPECT_EQ(client.Send(), Frame(kText, "text") +
                               Frame(kBinary, std::string(300, 'x')) +
                               Frame(kPong, "p") + CloseFrame(1000));
}

// RFC 6455 section 1.3.
TEST(WsHandshakeTest, TheAcceptValueIsThatOfTheRfc) {
  EXPECT_EQ(AcceptFor("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

// --- reading

TEST_F(EndpointTest, AMessageOverTheLimitIsReportedOnceAndAllFollowingDropped) {
  Side server = Server();
  server.Receive(Frame(kText, std::string(kMaxMessage + 1, 'x')) +
                 Frame(kText, "y") + Frame(kPing, "") + CloseFrame(1000));
  EXPECT_THAT(server.log, ElementsAre("too big", "ping", "close 1000 "));
}

// RFC 7692 section 6: RSV1 is for the first frame of a message, and for no
// control frame, also once permessage-deflate is agreed on.
TEST_F(EndpointTest, Rsv1OnAContinuationOrAPingIsAViolationWithDeflate) {
  Side continuation = DeflatingServer();
  continuation.Receive(Frame(0x01, "x") + Frame(0x80 | 0x40, "y"));
  EXPECT_THAT(continuation.log,
              ElementsAre("violation 1002 a reserved bit is set"));
  for (const int opcode : {kPing, kPong, kClose}) {
    Side control = DeflatingServer();
    control.Receive(Frame(opcode | 0x40, ""));
    EXPECT_THAT(control.log,
                ElementsAre("violation 1002 a reserved bit is set"));
  }
}

TEST_F(EndpointTest, TrafficCountsBytesAndUnsolicitedControlFrames) {
  Side server = Server();
  const std::string bytes =
      Frame(kText, "x") + Frame(kPing, "") + Frame(kPong, "headgate");
  server.Receive(bytes);
  EXPECT_EQ(server.endpoint->traffic_bytes(), bytes.size());
  const Endpoint::Traffic traffic = server.endpoint->TakeTraffic();
  EXPECT_EQ(traffic.bytes, bytes.size());
  EXPECT_EQ(traffic.control_frames, 2u);
  EXPECT_EQ(server.endpoint->TakeTraffic().control_frames, 0u);
}

TEST_F(EndpointTest, PiecesAreReportedAsTheyArriveAndTextIsNotChecked) {
  Endpoint::Options options = ClientOptions();
  options.delivery = Delivery::kPieces;
  options.max_message_bytes = 0;
  Side client(std::move(options));
  const std::string frame = Frame(kText, "ab\xFF", /*masked=*/false);
  client.Receive(frame.substr(0, 4));
  client.Receive(frame.substr(4) + Frame(0x02, "c", false) +
                 Frame(0x80, "", false) + Frame(kText, "", false));
  EXPECT_THAT(client.log, ElementsAre("piece ab", "piece \xFF end", "piece c",
                                      "piece  end", "piece  end"));
  EXPECT_EQ(client.endpoint->held_bytes(), kNothing);
  client.endpoint->Close(CloseCode::kNormal, "");
  client.Receive(Frame(kText, "d", false) +
                 Frame(kClose, "", /*masked=*/false));
  EXPECT_THAT(client.log,
              ElementsAre("piece ab", "piece \xFF end", "piece c", "piece  end",
                          "piece  end", "close 1000 "));
}

TEST_F(EndpointTest, DroppedMessagesGiveTheirMemoryBack) {
  Side server = Server();
  server.Receive(Frame(kBinary, std::string(100'000, 'x')).substr(0, 50'000));
  EXPECT_GE(server.endpoint->held_bytes(), 49'000u);
  server.endpoint->DropMessages();
  EXPECT_EQ(server.endpoint->held_bytes(), kNothing);
  EXPECT_EQ(server.endpoint->state(), State::kOpen);
}

// --- writing

TEST_F(EndpointTest, WhatIsWrittenTogetherIsSentTogether) {
  Side server = Server();
  server.WriteWhole("a");
  server.WriteWhole("b", Opcode::kBinary);
  server.Receive(Frame(kPing, "p"));
  EXPECT_EQ(
      absl::StrCat(server.endpoint->Front()[0], server.endpoint->Front()[1]),
      Frame(kText, "a", false) + Frame(kBinary, "b", false) +
          Frame(kPong, "p", false));
}

// --- frames by reference

TEST_F(EndpointTest, SharedFramesReachEveryPeer) {
  FrameStore store;
  std::vector<FrameRef> frames;
  for (const std::string text : {"one", "two", "three"}) {
    frames.push_back(SharedFrame(store, Opcode::kText, text).plain());
  }
  for (int peer = 0; peer < 3; ++peer) {
    Side server = Server();
    Side client = Client();
    EXPECT_EQ(server.endpoint->WriteFrames(frames), 3u);
    EXPECT_TRUE(server.endpoint->is_scattered());
    EXPECT_TRUE(server.endpoint->TakeWritten());
    EXPECT_FALSE(server.endpoint->TakeWritten());
    client.Receive(server.Send());
    EXPECT_THAT(client.log, ElementsAre("text one", "text two", "text three"));
    EXPECT_EQ(server.endpoint->held_bytes(), kNothing);
  }
}

// Whatever else is sent comes in its turn, and frames stay whole.
TEST_F(EndpointTest, SharedFramesStandBetweenOthers) {
  FrameStore store;
  const std::vector<FrameRef> frames = {
      SharedFrame(store, Opcode::kBinary, std::string(300, 's')).plain()};
  for (const std::size_t at_most :
       {std::size_t{1}, std::size_t{7}, kEverything}) {
    Side server = Server();
    Side client = Client();
    server.WriteWhole("a");
    server.endpoint->WriteFrames(frames);
    EXPECT_TRUE(server.endpoint->TakeWritten());
    server.Receive(Frame(kPing, "p"));
    server.WriteWhole("b");
    server.endpoint->WriteFrames(frames);
    EXPECT_TRUE(server.endpoint->TakeWritten());
    server.Write(std::string(5000, 'l'));
    server.endpoint->Close(CloseCode::kNormal, "bye");
    while (server.endpoint->has_output()) client.Receive(server.Send(at_most));
    EXPECT_THAT(client.log,
                ElementsAre("text a", "binary 300 bytes of s", "text b",
                            "binary 300 bytes of s", "text 5000 bytes of l",
                            "close 1000 bye"));
  }
}

TEST_F(EndpointTest, FramesAreTakenWhileThereIsRoom) {
  FrameStore store;
  const FrameRef frame =
      SharedFrame(store, Opcode::kBinary, std::string(6000, 's')).plain();
  const std::vector<FrameRef> frames(5, frame);
  Side server = Server();
  EXPECT_EQ(server.endpoint->WriteFrames(frames), 3u);
  EXPECT_FALSE(server.endpoint->TakeWritten());
  EXPECT_EQ(server.endpoint->output_bytes(), 3 * frame.size());
  server.Send(2 * frame.size());
  EXPECT_TRUE(server.endpoint->TakeWritten());
}

TEST_F(EndpointTest, AWriteOfFramesCanCompleteWhenAllIsSent) {
  FrameStore store;
  const std::vector<FrameRef> frames = {
      SharedFrame(store, Opcode::kText, "abc").plain()};
  Side server = Server();
  EXPECT_EQ(server.endpoint->WriteFrames(frames, WriteUntil::kSent), 1u);
  EXPECT_TRUE(server.endpoint->is_writing());
  EXPECT_FALSE(server.endpoint->TakeWritten());
  server.Send(4);
  EXPECT_FALSE(server.endpoint->TakeWritten());
  server.Send();
  EXPECT_TRUE(server.endpoint->TakeWritten());
  EXPECT_FALSE(server.endpoint->is_writing());
}

TEST_F(EndpointTest, FramesThatCannotBeSentAreDropped) {
  FrameStore store;
  std::vector<FrameRef> frames = {
      SharedFrame(store, Opcode::kText, "abc").plain()};
  Side server = Server();
  server.endpoint->WriteFrames(frames);
  EXPECT_TRUE(server.endpoint->TakeWritten());
  server.endpoint->OnSendFailed();
  EXPECT_EQ(server.endpoint->WriteFrames(frames), 1u);
  EXPECT_FALSE(server.endpoint->is_writing());
  EXPECT_FALSE(server.endpoint->has_output());
  frames.clear();
  EXPECT_EQ(store.held_bytes(), 0u);
}

// Where each message stands alone one compressed frame serves all; where it
// may refer to the ones before it, none does.
TEST_F(EndpointTest, CompressedFramesAreSharedWithoutContextTakeover) {
  FrameStore store;
  const std::string text(2000, 't');
  SharedFrame frame(store, Opcode::kText, text);
  for (const bool takeover : {false, true}) {
    Endpoint::Options options = ServerOptions();
    options.deflate = DeflateAgreement();
    options.deflate->server.no_context_takeover = !takeover;
    options.deflate->server.window_bits = 12;
    options.min_deflate_bytes = 64;
    Endpoint::Options reading = ClientOptions();
    reading.deflate = options.deflate;
    Side server(std::move(options));
    Side client(std::move(reading));
    const FrameForm form = server.endpoint->frame_form();
    EXPECT_EQ(form.window_bits, takeover ? 0 : 12);
    EXPECT_EQ(form.min_bytes, takeover ? 0u : 64u);
    for (int i = 0; i < 2; ++i) {
      server.WriteWhole(text);
      EXPECT_EQ(server.endpoint->WriteFrames({frame.For(form)}), 1u);
      EXPECT_TRUE(server.endpoint->TakeWritten());
    }
    client.Receive(server.Send());
    EXPECT_EQ(client.log, Log(4, "text 2000 bytes of t"));
  }
  EXPECT_EQ(store.compressed(), 1u);
  EXPECT_EQ(Server().endpoint->frame_form().window_bits, 0);
}

TEST_F(EndpointTest, APeerThatTakesNoFramesTimesOut) {
  FrameStore store;
  const std::vector<FrameRef> frames(
      3, SharedFrame(store, Opcode::kBinary, std::string(8000, 's')).plain());
  Timeouts timeouts;
  timeouts.send = absl::Seconds(5);
  Side server = Server();
  server.endpoint->WriteFrames(frames);
  EXPECT_FALSE(server.endpoint->is_at_rest());
  const absl::Time start = absl::FromUnixSeconds(1);
  EXPECT_EQ(server.endpoint->OnTick({start}, timeouts), Health::kFine);
  EXPECT_EQ(server.endpoint->OnTick({start + absl::Seconds(5)}, timeouts),
            Health::kSendTimeout);
}

TEST_F(EndpointTest, ALongPayloadIsSentFromWhereItIs) {
  Side server = Server();
  std::string payload(100'000, 'x');
  const char* const where = payload.data();
  server.Write(std::move(payload));
  EXPECT_EQ(server.endpoint->Front()[1].data(), where);
  EXPECT_FALSE(server.endpoint->TakeWritten());
  server.Send();
  EXPECT_EQ(server.endpoint->held_bytes(), kNothing);
}

TEST_F(EndpointTest, AWriteCompletesOnceThePeerHasTakenEnough) {
  Side server = Server();
  server.Write(std::string(50'000, 'x'));
  server.Send(20'000);
  EXPECT_FALSE(server.endpoint->TakeWritten());
  EXPECT_TRUE(server.endpoint->is_writing());
  server.Send(20'000);
  EXPECT_TRUE(server.endpoint->TakeWritten());
  EXPECT_FALSE(server.endpoint->TakeWritten());
}

// Section 5.5.3: of several pings only the last needs a pong.
TEST_F(EndpointTest, APongIsOwedWhileThereIsNoRoom) {
  Side server = Server();
  server.Write(std::string(50'000, 'x'));
  server.Receive(Frame(kPing, "1") + Frame(kPing, "2"));
  EXPECT_THAT(server.log, ElementsAre("ping", "ping"));
  const std::string sent = server.Send();
  EXPECT_EQ(sent.substr(sent.size() - 3), Frame(kPong, "2", false));
  EXPECT_EQ(sent.size(), 4 + 50'000 + 3u);
}

TEST_F(EndpointTest, MessagesShorterThanTheMinimumAreNotCompressed) {
  Endpoint::Options options = ServerOptions();
  options.deflate = DeflateAgreement();
  options.min_deflate_bytes = 10;
  Side server(std::move(options));
  server.WriteWhole("123456789");
  EXPECT_EQ(server.Send(), Frame(kText, "123456789", false));
  server.WriteWhole("1234567890");
  EXPECT_EQ(static_cast<unsigned char>(server.Send()[0]), kText | 0x40);
}

TEST_F(EndpointTest, AfterAFailureNothingIsSentAndNoWriteCompletes) {
  timeouts_.send = absl::Seconds(30);
  Side server = Server();
  server.Write(std::string(50'000, 'x'));
  server.Receive(Frame(kPing, ""));
  server.endpoint->OnSendFailed();
  EXPECT_FALSE(server.endpoint->has_output());
  EXPECT_FALSE(server.endpoint->TakeWritten());
  server.Receive(Frame(kPing, ""));
  EXPECT_FALSE(server.endpoint->has_output());
  EXPECT_FALSE(server.endpoint->is_at_rest());
  EXPECT_EQ(Tick(server, absl::ZeroDuration()), Health::kFine);
  EXPECT_EQ(Tick(server, absl::Seconds(30)), Health::kSendTimeout);
}

// --- closing

// Section 5.5.1.
TEST_F(EndpointTest, TheCodeOfACloseFrameIsEchoed) {
  Side server = Server();
  server.Receive(CloseFrame(3000, "why") + Frame(kText, "dropped"));
  EXPECT_THAT(server.log, ElementsAre("close 3000 why"));
  EXPECT_EQ(server.Send(), Frame(kClose, "\x0B\xB8", false));
  Side without = Server();
  without.Receive(Frame(kClose, ""));
  EXPECT_THAT(without.log, ElementsAre("close 1005 "));
  EXPECT_EQ(without.Send(), Frame(kClose, "", false));
}

TEST_F(EndpointTest, AfterOurCloseFrameThePeersMessagesAndPingsAreDropped) {
  Side server = Server();
  server.Receive(Frame(0x01, "begun"));
  server.endpoint->Close(CloseCode::kNormal, "");
  server.Send();
  server.Receive(Frame(0x80, "") + Frame(kText, "x") + Frame(kPing, "") +
                 CloseFrame(1000));
  EXPECT_THAT(server.log, ElementsAre("ping", "close 1000 "));
  EXPECT_EQ(server.Send(), "");
  EXPECT_EQ(server.endpoint->state(), State::kOver);
  EXPECT_EQ(server.endpoint->close_code(), CloseCode::kNormal);
}

TEST_F(EndpointTest, BothMayCloseAtTheSameTime) {
  Side server = Server(), client = Client();
  server.endpoint->Close(CloseCode::kGoingAway, "");
  client.endpoint->Close(CloseCode::kNormal, "");
  const std::string from_server = server.Send();
  server.Receive(client.Send());
  client.Receive(from_server);
  for (const Side* side : {&server, &client}) {
    EXPECT_EQ(side->endpoint->state(), State::kOver);
    EXPECT_EQ(side->endpoint->end(), Endpoint::End::kClosedByUs);
    EXPECT_FALSE(side->endpoint->has_output());
  }
}

TEST_F(EndpointTest, AReasonIsCutToWhatAFrameHolds) {
  Side server = Server();
  server.endpoint->Close(CloseCode::kNormal, std::string(200, 'x'));
  EXPECT_EQ(server.Send().size(), 2 + kMaxControlBytes);
}

TEST_F(EndpointTest, AfterAViolationWritingGoesOnUntilClose) {
  Side server = Server();
  server.Write("before");
  server.Receive(Frame(0x83, "") + Frame(kText, "x"));
  EXPECT_THAT(server.log, ElementsAre("violation 1002 a reserved opcode"));
  EXPECT_EQ(server.endpoint->state(), State::kBroken);
  EXPECT_EQ(server.endpoint->end(), Endpoint::End::kViolated);
  EXPECT_EQ(server.endpoint->close_code(), CloseCode::kProtocolError);
  EXPECT_TRUE(server.endpoint->TakeWritten());
  server.WriteWhole("after");
  server.endpoint->Close(CloseCode::kProtocolError, "no");
  EXPECT_EQ(server.endpoint->state(), State::kOver);
  EXPECT_EQ(server.endpoint->end(), Endpoint::End::kViolated);
  EXPECT_EQ(server.Send(), Frame(kText, "before", false) +
                               Frame(kText, "after", false) +
                               Frame(kClose, "\x03\xEAno", false));
}

TEST_F(EndpointTest, AViolationAfterOurCloseFrameEndsTheWait) {
  Side server = Server();
  server.endpoint->Close(CloseCode::kGoingAway, "");
  server.Receive(Frame(0x83, ""));
  EXPECT_EQ(server.endpoint->state(), State::kOver);
  EXPECT_EQ(server.endpoint->close_code(), CloseCode::kGoingAway);
  EXPECT_EQ(server.endpoint->end(), Endpoint::End::kClosedByUs);
}

TEST_F(EndpointTest, BytesThatAreDroppedAreCounted) {
  Side server = Server();
  server.endpoint->Close(CloseCode::kNormal, "");
  server.Receive(Frame(kText, "0123456789"));
  EXPECT_EQ(server.endpoint->dropped_bytes(), 16u);
  server.Receive(CloseFrame(1000));
  server.Receive("anything");
  EXPECT_EQ(server.endpoint->dropped_bytes(), 16u + 8 + 8);
  EXPECT_EQ(server.endpoint->traffic_bytes(), 0u);
}

// A drain while a slow peer has not taken the responses: the Close frame waits
// behind them, and the close timeout for a peer that takes nothing.
TEST_F(EndpointTest, TheCloseTimeoutWaitsForASlowPeer) {
  timeouts_.close = absl::Seconds(5);
  Side server = Server();
  server.Write(std::string(50'000, 'x'));
  server.endpoint->Close(CloseCode::kGoingAway, "bye");
  for (int i = 0; i < 20; ++i) {
    server.Send(100);
    EXPECT_TRUE(server.endpoint->wants_progress());
    EXPECT_EQ(Tick(server, absl::Seconds(4), /*peer_took=*/true),
              Health::kFine);
  }
  EXPECT_EQ(Tick(server, absl::Seconds(4)), Health::kFine);
  EXPECT_EQ(Tick(server, absl::Seconds(1)), Health::kCloseTimeout);
  const std::string rest = server.Send();
  EXPECT_EQ(rest.substr(rest.size() - 7), Frame(kClose,
                                                "\x03\xE9"
                                                "bye",
                                                false));
}

TEST_F(EndpointTest, ThePeerHasTheCloseTimeoutToEndTheConnection) {
  timeouts_.close = absl::Seconds(5);
  Side server = Server();
  server.Receive(CloseFrame(1000));
  server.Send();
  EXPECT_EQ(Tick(server, absl::Seconds(100)), Health::kFine);
  EXPECT_EQ(Tick(server, absl::Milliseconds(4'999)), Health::kFine);
  EXPECT_EQ(Tick(server, absl::Milliseconds(1)), Health::kCloseTimeout);
}

TEST_F(EndpointTest,
       AfterAViolationTheTimeoutCountsOnlyWhileThePeerTakesNothing) {
  timeouts_.close = absl::Seconds(5);
  Side server = Server();
  server.Receive(Frame(0x83, ""));
  EXPECT_EQ(Tick(server, absl::Seconds(0)), Health::kFine);
  EXPECT_EQ(Tick(server, absl::Seconds(10)), Health::kFine);
  server.Write(std::string(50'000, 'x'));
  EXPECT_EQ(Tick(server, absl::Seconds(1)), Health::kFine);
  EXPECT_EQ(Tick(server, absl::Seconds(4), /*peer_took=*/true), Health::kFine);
  EXPECT_EQ(Tick(server, absl::Milliseconds(4'999)), Health::kFine);
  EXPECT_EQ(Tick(server, absl::Milliseconds(1)), Health::kCloseTimeout);
}

// --- keepalive (docs/protocol.md)

class EndpointKeepaliveTest : public EndpointTest {
 protected:
  EndpointKeepaliveTest() {
    timeouts_.ping_interval = absl::Seconds(25);
    timeouts_.ping_timeout = absl::Seconds(10);
    timeouts_.send = absl::Seconds(30);
    Tick(server_, absl::ZeroDuration());
  }
  const std::string ping_ = Frame(kPing, "headgate", false);
  Side server_ = Server();
};

TEST_F(EndpointKeepaliveTest, SilenceIsFollowedByAPing) {
  EXPECT_TRUE(server_.endpoint->is_at_rest());
  EXPECT_EQ(Tick(server_, absl::Milliseconds(24'999)), Health::kFine);
  EXPECT_FALSE(server_.endpoint->has_output());
  EXPECT_EQ(Tick(server_, absl::Milliseconds(1)), Health::kFine);
  EXPECT_EQ(server_.Send(), ping_);
  EXPECT_FALSE(server_.endpoint->is_at_rest());
}

TEST_F(EndpointKeepaliveTest, BytesOfTheSmallestFrameEndTheSilence) {
  Tick(server_, absl::Seconds(20));
  server_.Receive(Frame(kText, "x").substr(0, 1));
  Tick(server_, absl::Seconds(20));  // Notices the byte.
  Tick(server_, absl::Milliseconds(24'999));
  EXPECT_FALSE(server_.endpoint->has_output());
  Tick(server_, absl::Milliseconds(1));
  EXPECT_EQ(server_.Send(), ping_);
}

TEST_F(EndpointKeepaliveTest, OnlyTheRequestedPongIsReported) {
  server_.Receive(Frame(kPong, "headgate"));
  Tick(server_, absl::ZeroDuration());
  Tick(server_, absl::Seconds(25));
  const absl::Time pinged_at = now_;
  server_.Send();
  server_.Receive(Frame(kPong, "other"));
  EXPECT_THAT(server_.log, IsEmpty());
  now_ += absl::Seconds(3);
  server_.Receive(Frame(kPong, "headgate"));
  EXPECT_THAT(server_.log, ElementsAre("pong"));
  EXPECT_EQ(server_.endpoint->pinged_at(), pinged_at);
  EXPECT_TRUE(server_.endpoint->is_at_rest());
}

TEST_F(EndpointKeepaliveTest, APeerThatSendsNothingAfterThePingIsDead) {
  Tick(server_, absl::Seconds(25));
  server_.Send();
  EXPECT_TRUE(server_.endpoint->wants_progress());
  EXPECT_EQ(Tick(server_, absl::Milliseconds(9'999)), Health::kFine);
  EXPECT_EQ(Tick(server_, absl::Milliseconds(1)), Health::kPeerDead);
}

// The ping waits behind what the peer does not take: that is the send
// timeout's.
TEST_F(EndpointKeepaliveTest, WhileThePeerTakesNothingTheSendTimeoutCounts) {
  server_.Write(std::string(50'000, 'x'));
  EXPECT_EQ(Tick(server_, absl::Seconds(0)), Health::kFine);
  EXPECT_EQ(Tick(server_, absl::Seconds(25)), Health::kFine);
  EXPECT_EQ(Tick(server_, absl::Milliseconds(4'999)), Health::kFine);
  EXPECT_EQ(Tick(server_, absl::Milliseconds(1)), Health::kSendTimeout);

  timeouts_.send = absl::InfiniteDuration();
  EXPECT_EQ(Tick(server_, absl::Hours(1)), Health::kFine);
  // Once the ping has been sent its timeout counts.
  server_.Send();
  EXPECT_EQ(Tick(server_, absl::Milliseconds(9'999)), Health::kFine);
  EXPECT_EQ(Tick(server_, absl::Milliseconds(1)), Health::kPeerDead);
}

TEST_F(EndpointKeepaliveTest, APeerThatTakesWhatWasSentIsNotDead) {
  Tick(server_, absl::Seconds(25));
  server_.Send();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Tick(server_, absl::Seconds(9), /*peer_took=*/true),
              Health::kFine);
  }
  EXPECT_EQ(Tick(server_, absl::Seconds(10)), Health::kPeerDead);
}

TEST_F(EndpointKeepaliveTest, APeerThatIsNotReadIsNotDead) {
  Tick(server_, absl::Seconds(25));
  server_.Send();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Tick(server_, absl::Seconds(9), false, /*is_reading=*/false),
              Health::kFine);
  }
  EXPECT_EQ(Tick(server_, absl::Seconds(10)), Health::kPeerDead);
}

// Only one ping waits behind a message.
TEST_F(EndpointKeepaliveTest, APingThatWasNotSentIsNotPutAgain) {
  timeouts_.send = absl::InfiniteDuration();
  server_.Write(std::string(50'000, 'x'));
  Tick(server_, absl::Seconds(25));
  server_.Receive(Frame(kText, "a"));
  Tick(server_, absl::Seconds(1));
  Tick(server_, absl::Seconds(25));
  const std::string sent = server_.Send();
  EXPECT_EQ(sent.size(), 4 + 50'000 + ping_.size());
}

TEST_F(EndpointKeepaliveTest, EachTimeoutBeginsAgainWhenSomethingWasTaken) {
  server_.Write(std::string(50'000, 'x'));
  Tick(server_, absl::Seconds(0));
  Tick(server_, absl::Seconds(29), /*peer_took=*/true);
  server_.Receive(Frame(kText, "a"));
  EXPECT_EQ(Tick(server_, absl::Seconds(29)), Health::kFine);
  server_.Send();
  EXPECT_TRUE(server_.endpoint->TakeWritten());
  server_.Receive(Frame(kText, "a"));
  EXPECT_EQ(Tick(server_, absl::Seconds(2)), Health::kFine);
}

}  // namespace
}  // namespace headgate::ws
