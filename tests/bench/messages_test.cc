#include "cmd/headgate/bench/messages.h"

#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "headgate/v1/packet.pb.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

WireMessage DefaultMessage(const BenchDialect& dialect, std::size_t size) {
  return dialect.wire(dialect.content(size));
}

// Counts the answers of one message that comes in pieces of `bytes`.
std::optional<std::size_t> Count(AnswerCounter& counter,
                                 const std::string& message,
                                 std::size_t bytes) {
  std::size_t sum = 0;
  for (std::size_t i = 0; i == 0 || i < message.size(); i += bytes) {
    const auto piece = absl::string_view(message).substr(i, bytes);
    const auto taken = counter.Take(piece, i + bytes >= message.size());
    if (!taken.ok()) return std::nullopt;
    sum += *taken;
  }
  return sum;
}

std::string Packet(std::uint32_t type, const std::string& content) {
  std::string packet(12, '\0');
  for (int i = 0; i < 4; ++i) {
    packet[3 - i] = static_cast<char>(type >> (8 * i));
    packet[7 - i] = static_cast<char>(content.size() >> (8 * i));
  }
  return packet + content;
}

// ---- Messages

TEST(BenchMessageTest, GrpcWebSocketsIsTheSamePacketInAFrameBehindHeaders) {
  const WireMessage message = DefaultMessage(kBenchGrpcWebSockets, 64);
  EXPECT_EQ(message.payload.substr(6),
            DefaultMessage(kBenchProtobuf, 64).payload);
  EXPECT_EQ(message.payload.substr(0, 5), std::string(5, '\0'));
  EXPECT_EQ(static_cast<std::size_t>(message.payload[5]),
            message.payload.size() - 6);
  EXPECT_EQ(kBenchGrpcWebSockets.head("/p.S/M").payload,
            "content-type: application/grpc-web+proto\r\n");
}

TEST(BenchMessageTest, OverHttpItIsAGreetingInAWholeRequest) {
  WsUrl url;
  url.authority = "h:1";
  url.target = "/p.S/M";
  UpgradeHeaders headers;
  headers.headers = {{"a", "1"}};
  const WireMessage connect = DefaultMessage(kBenchConnect, 3);
  EXPECT_EQ(connect.payload.substr(0, 2), "\x0a\x03");
  EXPECT_EQ(connect.payload.size(), 5u);
  EXPECT_EQ(MakeHttpRequest(kBenchConnect, url, headers, connect),
            absl::StrCat("POST /p.S/M HTTP/1.1\r\nHost: h:1\r\nUser-Agent: "
                         "headgate-bench\r\nContent-Type: application/proto\r\n"
                         "Content-Length: 5\r\na: 1\r\n\r\n",
                         connect.payload));
  const WireMessage web = DefaultMessage(kBenchGrpcWeb, 3);
  EXPECT_EQ(web.payload,
            absl::StrCat(std::string("\0\0\0\0\5", 5), connect.payload));
}

TEST(AnswerCounterTest, BlocksOfGrpcWebSocketsAreNoAnswers) {
  for (const std::size_t bytes : {1, 2, 100}) {
    const auto counter = kBenchGrpcWebSockets.counter();
    const std::string answer("\0\0\0\0\1a", 6);
    const std::string block("\x80\0\0\0\1a", 6);
    EXPECT_THAT(Count(*counter, block, bytes), Optional(0u));
    EXPECT_THAT(Count(*counter, answer, bytes), Optional(1u));
    EXPECT_THAT(Count(*counter, block, bytes), Optional(0u));
  }
}

TEST(AnswerCounterTest, AResponseOfGrpcWebSocketsMultiplexIsBehindItsCall) {
  for (const std::size_t bytes : {1, 4, 5, 100}) {
    const auto counter = kBenchGrpcWebSocketsMultiplex.counter();
    const std::string answer("\0\0\0\1\0\0\0\0\1a", 10);
    const std::string block("\0\0\0\1\x80\0\0\0\1a", 10);
    EXPECT_THAT(Count(*counter, block, bytes), Optional(0u));
    EXPECT_THAT(Count(*counter, answer, bytes), Optional(1u));
    EXPECT_EQ(Count(*counter, answer.substr(0, 4), bytes), std::nullopt);
  }
  EXPECT_EQ(kBenchGrpcWebSocketsMultiplex.head("/p.S/M").payload,
            std::string("\0\0\0\1", 4) +
                "content-type: application/grpc-web+proto\r\n"
                "grpc-websockets-path: /p.S/M\r\n");
}

std::string Trailers(const std::string& lines) {
  std::string block("\x80\0\0\0", 4);
  block.push_back(static_cast<char>(lines.size()));
  return block + lines;
}

TEST(AnswerCounterTest, GrpcWebCountsBodiesWhoseTrailersSayOk) {
  const std::string message("\0\0\0\0\1a", 6);
  const std::string ok = message + Trailers("grpc-status: 0\r\n");
  for (const BenchDialect* dialect : {&kBenchGrpcWeb, &kBenchGrpcWebText}) {
    const auto sent = [dialect](const std::string& body) {
      return dialect == &kBenchGrpcWeb ? body : absl::Base64Escape(body);
    };
    for (const std::size_t bytes : {1, 3, 100}) {
      const auto counter = dialect->counter();
      EXPECT_THAT(Count(*counter, sent(ok), bytes), Optional(1u));
      EXPECT_THAT(Count(*counter, sent(ok), bytes), Optional(1u));
      EXPECT_EQ(Count(*counter, sent(message), bytes), std::nullopt);
    }
    const auto counter = dialect->counter();
    EXPECT_EQ(counter
                  ->Take(sent(Trailers("grpc-status:5\r\n"
                                       "grpc-message: no\r\n")),
                         true)
                  .status()
                  .message(),
              "grpc-status 5: no");
  }
}

TEST(AnswerCounterTest, StreamsCountMessagesAsTheyCome) {
  const std::string messages("\0\0\0\0\1a\0\0\0\0\0\0\0\0\0\2bb", 18);
  for (const BenchDialect* dialect :
       {&kBenchGrpcStream, &kBenchConnectStream, &kBenchConnectStreamJson}) {
    for (const std::size_t bytes : {1, 6, 100}) {
      const auto counter = dialect->counter();
      EXPECT_THAT(Count(*counter, messages, bytes), Optional(3u));
    }
  }
  EXPECT_EQ(kBenchConnectStream.counter()
                ->Take(std::string("\2\0\0\0\2{}", 7), false)
                .status()
                .message(),
            "the stream has ended: {}");
  EXPECT_FALSE(kBenchGrpcStream.counter()
                   ->Take(std::string("\2\0\0\0\2{}", 7), false)
                   .ok());
}

TEST(BenchMessageTest, ProtobufIsAPacketWithSoMuchContent) {
  const WireMessage message = DefaultMessage(kBenchProtobuf, 64);
  EXPECT_EQ(message.opcode, Opcode::kBinary);
  v1::Packet packet;
  ASSERT_TRUE(packet.ParseFromString(message.payload));
  EXPECT_EQ(packet.type(), 1u);
  EXPECT_EQ(packet.content().size(), 64u);
}

TEST(BenchMessageTest, PacketIsTheSameOnTheWire) {
  const WireMessage message = DefaultMessage(kBenchPacket, 64);
  EXPECT_EQ(message.opcode, Opcode::kBinary);
  EXPECT_EQ(message.payload.substr(0, 12),
            absl::HexStringToBytes("00000001000000400000002a"));
  EXPECT_EQ(message.payload.size(), 76u);
}

TEST(BenchMessageTest, JsonIsTheSameInALine) {
  const WireMessage message = DefaultMessage(kBenchJson, 3);
  EXPECT_EQ(message.opcode, Opcode::kText);
  EXPECT_THAT(message.payload,
              testing::MatchesRegex(R"(\{"type":1,"content":"[^"]{4}"\}.)"));
  EXPECT_EQ(message.payload.back(), '\n');
}

TEST(BenchMessageTest, RawIsBytes) {
  const WireMessage message = DefaultMessage(kBenchRaw, 64);
  EXPECT_EQ(message.opcode, Opcode::kBinary);
  EXPECT_EQ(message.payload.size(), 64u);
}

TEST(BenchMessageTest, MayBeEmpty) {
  EXPECT_EQ(DefaultMessage(kBenchRaw, 0).payload, "");
  EXPECT_EQ(DefaultMessage(kBenchPacket, 0).payload.size(), 12u);
}

TEST(OwnMessageTest, IsWhatTheCodecMakesOfIt) {
  EXPECT_EQ(kBenchProtobuf.wire("abc").payload, "abc");
  EXPECT_EQ(kBenchRaw.wire("abc").payload, "abc");
  EXPECT_EQ(kBenchJson.wire("{}").payload, "{}\n");
  EXPECT_EQ(kBenchJson.wire("{}\n").payload, "{}\n");
  EXPECT_EQ(kBenchPacket.wire("abc").payload,
            absl::HexStringToBytes("00000001000000030000002a") + "abc");
}

// ---- Answers

TEST(AnswerCounterTest, ProtobufAndRawCountMessages) {
  for (const BenchDialect* codec : {&kBenchProtobuf, &kBenchRaw}) {
    const auto counter = codec->counter();
    EXPECT_THAT(Count(*counter, "a\nb\nc", 2), Optional(1u));
    EXPECT_THAT(Count(*counter, "", 2), Optional(1u));
  }
}

TEST(AnswerCounterTest, PacketCountsPacketsThatShareAMessage) {
  const std::string message =
      Packet(1, "ab") + Packet(7, "") + Packet(0xFFFFFFFE, Packet(1, "x"));
  for (const std::size_t bytes : {1, 2, 3, 11, 12, 13, 100}) {
    const auto counter = kBenchPacket.counter();
    EXPECT_THAT(Count(*counter, message, bytes), Optional(3u)) << bytes;
    EXPECT_THAT(Count(*counter, Packet(1, ""), bytes), Optional(1u)) << bytes;
  }
}

TEST(AnswerCounterTest, PacketCountsAPacketWhenAllOfItIsThere) {
  const auto counter = kBenchPacket.counter();
  const std::string packet = Packet(1, "abc");
  EXPECT_EQ(
      counter->Take(absl::string_view(packet).substr(0, 14), false).value(),
      0u);
  EXPECT_EQ(counter->Take(absl::string_view(packet).substr(14), true).value(),
            1u);
}

TEST(AnswerCounterTest, EndPacketIsNoAnswer) {
  const auto counter = kBenchPacket.counter();
  EXPECT_THAT(Count(*counter, Packet(1, "a") + Packet(0xFFFFFFFF, "status"), 5),
              Optional(1u));
}

TEST(AnswerCounterTest, RefusesAPacketThatIsCutShort) {
  for (const std::size_t size : {1, 11, 12, 13}) {
    const auto counter = kBenchPacket.counter();
    EXPECT_EQ(Count(*counter, Packet(1, "ab").substr(0, size), 100),
              std::nullopt)
        << size;
  }
}

TEST(AnswerCounterTest, JsonCountsLinesAndWhatHasNoEnd) {
  const struct {
    const char* message;
    std::size_t answers;
  } kCases[] = {{"{}", 1},       {"{}\n", 1}, {"{}\n{}\n", 2}, {"{}\n{}", 2},
                {"{}\n\n{}", 2}, {"\n", 0},   {"", 0}};
  for (const auto& test : kCases) {
    for (const std::size_t bytes : {1, 2, 100}) {
      const auto counter = kBenchJson.counter();
      EXPECT_THAT(Count(*counter, test.message, bytes), Optional(test.answers))
          << test.message << " in pieces of " << bytes;
    }
  }
}

}  // namespace
}  // namespace headgate
