// The pure parts of `headgate dial`.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/url.h"
#include "cmd/headgate/dial/answers.h"
#include "cmd/headgate/dial/backoff.h"
#include "cmd/headgate/dial/calls.h"
#include "cmd/headgate/dial/ending.h"
#include "cmd/headgate/dial/handshake.h"
#include "cmd/headgate/dial/line_reader.h"
#include "cmd/headgate/dial/lines.h"
#include "cmd/headgate/dial/text.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

// ---- URLs

TEST(WsUrlTest, TakesAUrlApart) {
  const auto url = ParseWsUrl("ws://example.com:8080/a/b?x=%20y");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->host, "example.com");
  EXPECT_EQ(url->port, "8080");
  EXPECT_EQ(url->authority, "example.com:8080");
  EXPECT_EQ(url->target, "/a/b?x=%20y");
  EXPECT_EQ(url->security, WsUrl::Security::kPlain);
  EXPECT_EQ(url->socket, "");
}

// RFC 6455 section 3: the default port is 443.
TEST(WsUrlTest, TakesTls) {
  const auto url = ParseWsUrl("wss://example.com/x");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->security, WsUrl::Security::kTls);
  EXPECT_EQ(url->port, "443");
  EXPECT_EQ(url->authority, "example.com");
  EXPECT_EQ(ParseWsUrl("WSS://a:1/")->authority, "a:1");
}

TEST(WsUrlTest, TakesASocketFile) {
  const auto url = ParseWsUrl("ws+unix:/run/a.sock:/chat?x=:/y");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->socket, "/run/a.sock");
  EXPECT_EQ(url->target, "/chat?x=:/y");
  EXPECT_EQ(url->authority, "localhost");
  EXPECT_EQ(url->security, WsUrl::Security::kPlain);
  EXPECT_EQ(ParseWsUrl("ws+unix:/run/a.sock")->target, "/");
  EXPECT_EQ(ParseWsUrl("wss+unix:/a:/")->security, WsUrl::Security::kTls);
  for (const std::string& bad :
       {std::string("ws+unix:"), std::string("ws+unix:a.sock:/x"),
        std::string("ws+unix:/a:/x y"), std::string("ws+unix:/a:/\r\nb"),
        "ws+unix:/" + std::string(200, 'a') + ":/"}) {
    EXPECT_EQ(ParseWsUrl(bad).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

// RFC 6455 section 3: the default port is 80, the default path "/".
TEST(WsUrlTest, FillsInWhatIsLeftOut) {
  const auto url = ParseWsUrl("WS://example.com");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->port, "80");
  EXPECT_EQ(url->authority, "example.com");
  EXPECT_EQ(url->target, "/");
  EXPECT_EQ(ParseWsUrl("ws://example.com?a=b")->target, "/?a=b");
}

TEST(WsUrlTest, LooksUpAnIpv6AddressWithoutItsBrackets) {
  const auto url = ParseWsUrl("ws://[::1]:8080/x");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->authority, "[::1]:8080");
}

TEST(WsUrlTest, RefusesWhatIsNoWebSocketUrl) {
  for (const char* url :
       {"", "127.0.0.1:8080/x", "http://a/", "ws://", "ws:///x", "ws://a:0/",
        "ws://a:65536/", "ws://a:b/", "ws://a/ b", "ws://a/#b",
        "ws://user:pass@a/", "ws://[::1/"}) {
    EXPECT_EQ(ParseWsUrl(url).status().code(),
              absl::StatusCode::kInvalidArgument)
        << url;
  }
}

// ---- Handshake

TEST(DialHandshakeTest, OffersTheCodecThenTheToken) {
  const auto handshake =
      MakeDialHandshake({.codec = &kJsonDialect, .bearer = "s3.cret"});
  ASSERT_TRUE(handshake.ok()) << handshake.status();
  EXPECT_THAT(handshake->subprotocols,
              ElementsAre("headgate.json.v1", "Bearer", "s3.cret"));
  EXPECT_THAT(handshake->headers, IsEmpty());
}

// RFC 6455 section 4.1: a subprotocol is a token, which base64 with padding,
// for one, is not.
TEST(DialHandshakeTest, SendsATokenThatCannotBeASubprotocolInAHeader) {
  for (const std::string token : {"YQ==", "a/b", "a b", "a,b"}) {
    const auto handshake = MakeDialHandshake({.bearer = token});
    ASSERT_TRUE(handshake.ok()) << handshake.status();
    EXPECT_THAT(handshake->subprotocols, IsEmpty());
    EXPECT_THAT(handshake->headers,
                ElementsAre(Pair("Authorization", "Bearer " + token)));
  }
}

TEST(DialHandshakeTest, SendsHeadersAsGiven) {
  const auto handshake = MakeDialHandshake(
      {.origin = "https://a", .headers = {"X-A: 1", "X-A:  2 ", "X-B:"}});
  ASSERT_TRUE(handshake.ok()) << handshake.status();
  EXPECT_THAT(handshake->headers,
              ElementsAre(Pair("Origin", "https://a"), Pair("X-A", "1"),
                          Pair("X-A", "2"), Pair("X-B", "")));
}

TEST(DialHandshakeTest, RefusesWhatWouldBreakTheRequest) {
  for (const std::string header :
       {"no colon", ": a", "a b: c", "A: b\r\nC: d", "Upgrade: x",
        "sec-websocket-protocol: x", "Content-Length: 3"}) {
    EXPECT_FALSE(MakeDialHandshake({.headers = {header}}).ok()) << header;
  }
  EXPECT_FALSE(MakeDialHandshake({.bearer = ""}).ok());
  EXPECT_FALSE(MakeDialHandshake({.bearer = "a\r\nB: c"}).ok());
  EXPECT_FALSE(MakeDialHandshake({.origin = "a\nb"}).ok());
}

// ---- Lines -> messages

std::optional<WireMessage> Message(absl::string_view line,
                                   const LineOptions& options) {
  auto message = MessageOfLine(line, options);
  EXPECT_TRUE(message.ok()) << message.status();
  if (!message.ok() || !message->has_value()) return std::nullopt;
  return (*message)->wire;
}

// Of the packet that the line becomes.
std::optional<std::uint32_t> WhoOf(absl::string_view line,
                                   const LineOptions& options) {
  auto message = MessageOfLine(line, options);
  EXPECT_TRUE(message.ok()) << message.status();
  return message.ok() && message->has_value() ? (*message)->who : std::nullopt;
}

TEST(MessageOfLineTest, ALineIsATextWithoutACodec) {
  const auto message = Message("a\tb", {});
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->opcode, Opcode::kText);
  EXPECT_EQ(message->payload, "a\tb");
}

// An empty text ends the client's side in every codec but raw.
TEST(MessageOfLineTest, AnEmptyLineNeverEndsTheClientsSide) {
  EXPECT_FALSE(Message("", {}).has_value());
  EXPECT_EQ(Message("", {.codec = &kJsonDialect})->payload, "\n");
  EXPECT_EQ(Message("", {.codec = &kProtobufDialect})->opcode, Opcode::kBinary);
  EXPECT_EQ(Message("", {.codec = &kPacketDialect})->payload.size(), 12u);
  EXPECT_EQ(Message("", {.codec = &kRawDialect})->payload, "");
}

TEST(MessageOfLineTest, ALineOfBase64IsAProtobufMessage) {
  const LineOptions options{.codec = &kProtobufDialect};
  const auto message = Message("CgNhbm4=", options);
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->opcode, Opcode::kBinary);
  EXPECT_EQ(message->payload,
            "\x0a\x03"
            "ann");
  EXPECT_EQ(MessageOfLine("{}", options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(MessageOfLineTest, ALineIsTheContentOfAPacket) {
  LineOptions options{.codec = &kPacketDialect, .packet = PacketAddress{7, 42}};
  EXPECT_EQ(Message("hi", options)->opcode, Opcode::kBinary);
  EXPECT_EQ(Message("hi", options)->payload,
            std::string("\0\0\0\x07\0\0\0\x02\0\0\0\x2ahi", 14));
  options.wire.order = PacketOptions::Order::kTypeWhoLength;
  options.wire.endian = PacketOptions::Endian::kLittle;
  options.wire.length_counts = PacketOptions::LengthCounts::kPacket;
  EXPECT_EQ(Message("hi", options)->payload,
            std::string("\x07\0\0\0\x2a\0\0\0\x0e\0\0\0hi", 14));
}

TEST(MessageOfLineTest, ContentIsInTheFormThatWasAskedFor) {
  LineOptions options{.codec = &kPacketDialect,
                      .packet = PacketAddress{1, 2},
                      .content = ContentForm::kHex};
  const std::string header("\0\0\0\x01\0\0\0\x02\0\0\0\x02", 12);
  EXPECT_EQ(Message("0aFF", options)->payload, header + "\x0a\xff");
  EXPECT_FALSE(MessageOfLine("0a0", options).ok());
  EXPECT_FALSE(MessageOfLine("0g", options).ok());
  options.content = ContentForm::kBase64;
  EXPECT_EQ(Message("Cv8=", options)->payload, header + "\x0a\xff");
  EXPECT_FALSE(MessageOfLine("0g!", options).ok());
  const LineOptions protobuf{.codec = &kProtobufDialect,
                             .content = ContentForm::kHex};
  EXPECT_EQ(Message("0aff", protobuf)->payload, "\x0a\xff");
}

// The fields are type, length and who.
TEST(MessageOfLineTest, ALineMayNameItsPacketItself) {
  const LineOptions options{.codec = &kPacketDialect, .packet = {}};
  EXPECT_EQ(Message("7:0x2a hi you", options)->payload,
            std::string("\0\0\0\x07\0\0\0\x06\0\0\0\x2ahi you", 18));
  EXPECT_EQ(Message("7:42", options)->payload.size(), 12u);
  EXPECT_EQ(Message("end:42", options)->payload,
            std::string("\xff\xff\xff\xff\0\0\0\0\0\0\0\x2a", 12));
  for (const char* line : {"", "hi", "7 42", "end:", "end:42 bye", ":1 x"}) {
    EXPECT_FALSE(MessageOfLine(line, options).ok()) << line;
  }
}

// Its number, which an end packet is not the beginning of.
TEST(MessageOfLineTest, SaysWhichCallAPacketIsOf) {
  const LineOptions options{.codec = &kPacketDialect, .packet = {}};
  EXPECT_EQ(WhoOf("7:42 hi", options), 42u);
  EXPECT_EQ(WhoOf("end:42", options), std::nullopt);
  EXPECT_EQ(WhoOf("{}", {.codec = &kJsonDialect}), std::nullopt);
}

TEST(PacketAddressTest, TakesDecimalAndHexadecimal) {
  const auto address = ParsePacketAddress("0xFFFFFFFE:42");
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->type, 0xFFFFFFFEu);
  EXPECT_EQ(address->who, 42u);
}

TEST(PacketAddressTest, RefusesWhatIsNotTwoNumbers) {
  for (const char* text :
       {"", "7", "7:", ":7", "a:b", "4294967296:1", "-1:1", "1:2:3", "0x:1"}) {
    EXPECT_FALSE(ParsePacketAddress(text).ok()) << text;
  }
}

// ---- Messages -> lines

const LineOptions kPacketLines{.codec = &kPacketDialect};

std::string Packet(std::uint32_t type, std::uint32_t who,
                   const std::string& content) {
  std::string bytes;
  AppendPacketHeader({type, who, content.size()}, PacketOptions(), bytes);
  return bytes + content;
}

TEST(PrintMessageTest, PrintsATextAsItIs) {
  EXPECT_EQ(PrintMessage({Opcode::kText, "a\nb"}, {}).text, "a\nb\n");
  EXPECT_EQ(PrintMessage({Opcode::kText, "x"}, kPacketLines).text, "x\n");
  EXPECT_EQ(
      PrintMessage({Opcode::kText, "{}\n"}, {.codec = &kJsonDialect}).text,
      "{}\n");
}

TEST(PrintMessageTest, PrintsBytesAsBase64) {
  EXPECT_EQ(PrintMessage({Opcode::kBinary, "\xff"}, {}).text, "binary /w==\n");
  EXPECT_EQ(
      PrintMessage({Opcode::kBinary, "\xff"}, {.codec = &kProtobufDialect})
          .text,
      "/w==\n");
}

TEST(PrintMessageTest, PrintsALinePerPacket) {
  const PrintedMessage printed = PrintMessage(
      {Opcode::kBinary, Packet(7, 42, "caf\xc3\xa9") + Packet(8, 0, "") +
                            Packet(9, 1, "two\nlines") + Packet(1, 2, "\xff")},
      kPacketLines);
  EXPECT_EQ(printed.text,
            "7:42 caf\xc3\xa9\n8:0 \n9:1 base64:dHdvCmxpbmVz\n"
            "1:2 base64:/w==\n");
  EXPECT_TRUE(printed.fault.ok());
  EXPECT_THAT(printed.ends, IsEmpty());
}

TEST(PrintMessageTest, IndentsThePacketsThatAreNested) {
  LineOptions options = kPacketLines;
  options.wire.container_types = {100};
  const std::string inner = Packet(100, 3, Packet(4, 5, "deep"));
  EXPECT_EQ(PrintMessage({Opcode::kBinary, Packet(kContainerPacket, 9,
                                                  Packet(1, 2, "a") + inner) +
                                               Packet(7, 8, "b")},
                         options)
                .text,
            "4294967294:9 {2}\n"
            "  1:2 a\n"
            "  100:3 {1}\n"
            "    4:5 deep\n"
            "7:8 b\n");
}

// However deep a peer nests: what is below the eighth depth is bytes.
TEST(PrintMessageTest, DoesNotFollowNestingForEver) {
  std::string bytes = Packet(1, 2, "bottom");
  for (int i = 0; i < 1000; ++i) bytes = Packet(kContainerPacket, 0, bytes);
  const PrintedMessage printed =
      PrintMessage({Opcode::kBinary, bytes}, kPacketLines);
  EXPECT_TRUE(printed.fault.ok());
  EXPECT_THAT(printed.text, HasSubstr("\n              4294967294:0 base64:"));
  EXPECT_EQ(printed.text.find("bottom"), std::string::npos);
}

TEST(PrintMessageTest, PrintsContentInTheFormThatWasAskedFor) {
  LineOptions options = kPacketLines;
  const std::string bytes =
      Packet(7, 42, "hi") + Packet(kContainerPacket, 1, Packet(1, 2, "\n"));
  options.content = ContentForm::kHex;
  EXPECT_EQ(PrintMessage({Opcode::kBinary, bytes}, options).text,
            "7:42 6869\n4294967294:1 {1}\n  1:2 0a\n");
  options.content = ContentForm::kBase64;
  EXPECT_EQ(PrintMessage({Opcode::kBinary, bytes}, options).text,
            "7:42 aGk=\n4294967294:1 {1}\n  1:2 Cg==\n");
  EXPECT_EQ(
      PrintMessage({Opcode::kBinary, "\xff"},
                   {.codec = &kProtobufDialect, .content = ContentForm::kHex})
          .text,
      "ff\n");
}

TEST(PrintMessageTest, PrintsEndPacketsAndTakesTheirStatuses) {
  const PrintedMessage printed = PrintMessage(
      {Opcode::kBinary, Packet(7, 1, "last") + Packet(kEndPacket, 42, "") +
                            Packet(kEndPacket, 0, "\x08\x05\x12\x05gone\n") +
                            Packet(kEndPacket, 3, "\x12\x7fshort")},
      kPacketLines);
  EXPECT_EQ(printed.text,
            "7:1 last\nend:42 OK\nend:0 NOT_FOUND: gone\\x0a\n"
            "end:3 UNKNOWN: its status cannot be read\n");
  ASSERT_EQ(printed.ends.size(), 3u);
  EXPECT_EQ(printed.ends[0].who, 42u);
  EXPECT_EQ(printed.ends[0].status.code, 0);
  EXPECT_EQ(printed.ends[1].status.code, 5);
  EXPECT_EQ(printed.ends[1].status.message, "gone\n");
}

TEST(PrintMessageTest, PrintsWhatCameBeforeAPacketThatIsCutShort) {
  for (const std::string& rest :
       {Packet(1, 1, "abc").substr(0, 13), std::string("\x01"),
        Packet(kContainerPacket, 1, "not packets")}) {
    const PrintedMessage printed = PrintMessage(
        {Opcode::kBinary, Packet(7, 1, "whole") + rest}, kPacketLines);
    EXPECT_THAT(printed.text, HasSubstr("7:1 whole\n"));
    EXPECT_FALSE(printed.fault.ok());
  }
}

// ---- Several calls

TEST(NumberedCallsTest, HaveEndedWhenEachOneHas) {
  NumberedCalls calls;
  EXPECT_FALSE(calls.all_ended());
  calls.OnSent(1);
  calls.OnSent(2);
  calls.OnSent(1);
  calls.OnEnded({1, {}});
  EXPECT_FALSE(calls.all_ended());
  calls.OnEnded({2, {}});
  EXPECT_TRUE(calls.all_ended());
  EXPECT_EQ(calls.status().code, 0);
  calls.OnSent(1);  // Free again.
  EXPECT_FALSE(calls.all_ended());
}

TEST(NumberedCallsTest, EndAsTheFirstThatFailed) {
  NumberedCalls calls;
  for (const std::uint32_t who : {1, 2, 3}) calls.OnSent(who);
  calls.OnEnded({3, {}});
  calls.OnEnded({2, {5, "gone"}});
  calls.OnEnded({1, {13, "oops"}});
  EXPECT_EQ(calls.status().code, 5);
  EXPECT_EQ(calls.status().message, "call 2: gone");
}

// On a route with one call its end packet has the number 0.
TEST(NumberedCallsTest, KnowNothingOfOtherNumbers) {
  NumberedCalls calls;
  calls.OnSent(42);
  calls.OnEnded({0, {5, "gone"}});
  EXPECT_FALSE(calls.all_ended());
  EXPECT_EQ(calls.status().code, 0);
}

// ---- Terminals

TEST(TextTest, MakesControlCharactersVisible) {
  EXPECT_EQ(ForTerminal("a\x1b[31m\r\x07\x7f"), "a\\x1b[31m\\x0d\\x07\\x7f");
  EXPECT_EQ(ForTerminal("a\tb\nc\xc3\xa9"), "a\tb\nc\xc3\xa9");
  EXPECT_EQ(ForTerminal("\xc2\x9b"
                        "31m"),
            "\\x9b31m");  // C1's CSI.
  EXPECT_EQ(ForTerminal("\xff\xc2"), "??");
  EXPECT_EQ(OneLine("a\nb"), "a\\x0ab");
  // What reorders the line around it, or breaks it.
  EXPECT_EQ(ForTerminal("a\xe2\x80\xae"
                        "b\xe2\x80\xa8"),
            "a\\u202eb\\u2028");
}

// ---- Endings

struct EndingCase {
  DialEnding ending;
  int exit_status;
  std::string line;
  std::string json;
};

TEST(DialEndingTest, IsToldInEveryForm) {
  const std::vector<EndingCase> cases = {
      {Closed{1000, "", {}}, 0, "closed 1000 (OK)",
       R"({"close":1000,"code":0,"status":"OK","message":""})"},
      {Closed{4005, "no such room", {}}, 5,
       "closed 4005 (NOT_FOUND): no such room",
       R"({"close":4005,"code":5,"status":"NOT_FOUND",)"
       R"("message":"no such room"})"},
      {Closed{4016, "", {}}, 16, "closed 4016 (UNAUTHENTICATED)",
       R"({"close":4016,"code":16,"status":"UNAUTHENTICATED","message":""})"},
      {Closed{1001, "draining", {}}, 23, "closed 1001 (going away): draining",
       R"({"close":1001,"code":null,"status":null,"message":"draining"})"},
      {Closed{1005, "", {}}, 23, "closed 1005 (no status)",
       R"({"close":1005,"code":null,"status":null,"message":""})"},
      {Closed{4000, "", {}}, 23, "closed 4000",
       R"({"close":4000,"code":null,"status":null,"message":""})"},
      {Closed{4017, "", {}}, 23, "closed 4017",
       R"({"close":4017,"code":null,"status":null,"message":""})"},
      {ClosedByUs{}, 0, "closed 1000 (OK)",
       R"({"close":1000,"code":0,"status":"OK","message":""})"},
      {ClosedByUs{{1, "interrupted"}}, 1,
       "closed 1000 (CANCELLED): interrupted",
       R"({"close":1000,"code":1,"status":"CANCELLED",)"
       R"("message":"interrupted"})"},
      {GivenUp{{4, "not over within 1s"}}, 4,
       "gave up (DEADLINE_EXCEEDED): not over within 1s",
       R"({"close":null,"code":4,"status":"DEADLINE_EXCEEDED",)"
       R"("message":"not over within 1s"})"},
      {Refused{404, "{\"code\":5,\"message\":\"no route\"}\n", ""}, 20,
       R"(refused: HTTP 404: {"code":5,"message":"no route"})",
       R"({"http":404,"code":5,"status":"NOT_FOUND","message":"no route"})"},
      {Refused{502, "<html>", ""}, 20, "refused: HTTP 502: <html>",
       R"({"http":502,"code":null,"status":null,"message":"<html>"})"},
      {Refused{403, R"({"code":99,"message":7})", ""}, 20,
       R"(refused: HTTP 403: {"code":99,"message":7})",
       R"({"http":403,"code":null,"status":null,)"
       R"("message":"{\"code\":99,\"message\":7}"})"},
      {Unreachable{"Connection refused"}, 21,
       "could not connect: Connection refused",
       R"({"close":null,"code":null,"status":null,)"
       R"("message":"Connection refused"})"},
      {Lost{"broken"}, 22, "lost: broken",
       R"({"close":null,"code":null,"status":null,"message":"broken"})"},
      {BadInput{"line 3 is not base64"}, 64, "stopped: line 3 is not base64",
       R"({"close":null,"code":null,"status":null,)"
       R"("message":"line 3 is not base64"})"},
  };
  for (const EndingCase& c : cases) {
    EXPECT_EQ(ExitStatus(c.ending), c.exit_status) << c.line;
    EXPECT_EQ(Describe(c.ending), c.line);
    EXPECT_EQ(StatusJson(c.ending), c.json);
  }
}

// A Close frame has room for 123 bytes of the message only.
TEST(DialEndingTest, TellsTheWholeMessageOfTheEndPacket) {
  const DialEnding ending =
      Closed{4005, "no such", RpcStatus{5, "no such room"}};
  EXPECT_EQ(Describe(ending), "closed 4005 (NOT_FOUND): no such room");
  EXPECT_THAT(StatusJson(ending), HasSubstr(R"("message":"no such room")"));
}

// An end packet that tells another code is not this ending's.
TEST(DialEndingTest, IgnoresTheStatusOfAnotherCode) {
  EXPECT_EQ(Describe(Closed{1002, "bad frame", RpcStatus{5, "other"}}),
            "closed 1002 (protocol error): bad frame");
}

TEST(DialEndingTest, CannotMessUpATerminal) {
  EXPECT_EQ(Describe(Closed{4005, "\x1b[2J\n", {}}),
            "closed 4005 (NOT_FOUND): \\x1b[2J\\x0a");
  EXPECT_EQ(Describe(Refused{404, "\x1b", ""}), "refused: HTTP 404: \\x1b");
}

TEST(DialEndingTest, OnlyWhatMayPassIsTriedAgain) {
  for (const int code : {1001, 1012, 1013, 4014}) {
    EXPECT_TRUE(IsPassing(Closed{static_cast<std::uint16_t>(code), "", {}}));
  }
  EXPECT_TRUE(IsPassing(Lost{}));
  EXPECT_TRUE(IsPassing(Unreachable{}));
  EXPECT_TRUE(IsPassing(Refused{503, "", ""}));
  for (const int code : {1000, 1002, 1008, 1011, 4005, 4008}) {
    EXPECT_FALSE(IsPassing(Closed{static_cast<std::uint16_t>(code), "", {}}));
  }
  EXPECT_FALSE(IsPassing(ClosedByUs{}));
  EXPECT_FALSE(IsPassing(GivenUp{}));
  EXPECT_FALSE(IsPassing(Refused{401, "", ""}));
  EXPECT_FALSE(IsPassing(BadInput{}));
}

TEST(DialEndingTest, SaysHowLongTheOtherSideAsksUsToStayAway) {
  const auto closed = [](const std::string& reason) {
    return RetryAfter(Closed{1001, reason, {}});
  };
  EXPECT_EQ(closed("the gateway is shutting down; retry-after=3s"),
            absl::Seconds(3));
  EXPECT_EQ(closed("retry-after=250ms"), absl::Milliseconds(250));
  EXPECT_EQ(closed("retry-after=9h"), absl::Minutes(5));
  for (const char* reason : {"", "bye", "retry-after=", "retry-after=soon",
                             "retry-after=-3s", "retry-after=3s or so"}) {
    EXPECT_EQ(closed(reason), std::nullopt) << reason;
  }
  EXPECT_EQ(RetryAfter(Refused{503, "", "5"}), absl::Seconds(5));
  EXPECT_EQ(RetryAfter(Refused{503, "", "Fri, 31 Dec 1999 23:59:59 GMT"}),
            std::nullopt);
  EXPECT_EQ(RetryAfter(Refused{503, "", ""}), std::nullopt);
  EXPECT_EQ(RetryAfter(Lost{}), std::nullopt);
}

TEST(RpcStatusTest, TakesTheCodeAndTheMessage) {
  const auto status =
      ParseRpcStatus(absl::StrCat("\x08\x0d\x12\x02hi", "\x1a\x03xyz"));
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->code, 13);
  EXPECT_EQ(status->message, "hi");
  EXPECT_EQ(ParseRpcStatus("")->code, 0);
  EXPECT_FALSE(ParseRpcStatus("\x12\x7fshort").has_value());
}

// ---- Backoff

TEST(BackoffTest, DoublesUpToTenSecondsAndStartsAgain) {
  Backoff backoff;
  EXPECT_EQ(backoff.Next(1), absl::Milliseconds(250));
  EXPECT_EQ(backoff.Next(1), absl::Milliseconds(500));
  EXPECT_EQ(backoff.Next(0), absl::ZeroDuration());
  EXPECT_EQ(backoff.Next(0.5), absl::Seconds(1));
  for (int i = 0; i < 100; ++i) backoff.Next(1);
  EXPECT_EQ(backoff.Next(1), absl::Seconds(10));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(1), absl::Milliseconds(250));
}

// ---- Input

// A reader of a pipe, asked for one event at a time.
class LineReaderTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe(pipe_), 0); }
  void TearDown() override {
    close(pipe_[0]);
    CloseInput();
  }

  void Input(const std::string& bytes) {
    ASSERT_EQ(write(pipe_[1], bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
  }
  void CloseInput() {
    if (pipe_[1] >= 0) close(std::exchange(pipe_[1], -1));
  }

  // "line TEXT", "end" or "too long".
  std::string Next(LineReader& reader) {
    came_ = {};
    reader.Next();
    const LineReader::Event event = came_.get_future().get();
    if (const auto* line = std::get_if<LineReader::Line>(&event)) {
      return "line " + line->text;
    }
    return std::holds_alternative<LineReader::End>(event) ? "end" : "too long";
  }

  std::function<void(LineReader::Event)> Handler() {
    return
        [this](LineReader::Event event) { came_.set_value(std::move(event)); };
  }

  int pipe_[2];
  // For each event one; not abseil's Notification, whose library TSan cannot
  // look into.
  std::promise<LineReader::Event> came_;
};

TEST_F(LineReaderTest, GivesLineAfterLineAndTheLastOneWithoutNewline) {
  LineReader reader(pipe_[0], Handler());
  Input("a\n\nb");
  EXPECT_EQ(Next(reader), "line a");
  EXPECT_EQ(Next(reader), "line ");
  Input("c\nlast");
  EXPECT_EQ(Next(reader), "line bc");
  CloseInput();
  EXPECT_EQ(Next(reader), "line last");
  EXPECT_EQ(Next(reader), "end");
}

TEST_F(LineReaderTest, StopsAtALineThatIsTooLong) {
  LineReader reader(pipe_[0], Handler());
  std::thread writer(
      [this] { Input(std::string(LineReader::kMaxLineBytes + 1, 'x')); });
  EXPECT_EQ(Next(reader), "too long");
  writer.join();
}

// Its destructor does not wait for input that never comes.
TEST_F(LineReaderTest, CanBeDestroyedWhileItWaits) {
  std::future<LineReader::Event> event = came_.get_future();
  {
    LineReader reader(pipe_[0], Handler());
    reader.Next();
  }
  EXPECT_EQ(event.wait_for(std::chrono::seconds(0)),
            std::future_status::timeout);
}

TEST_F(LineReaderTest, WhatCannotBeReadIsAtItsEnd) {
  const int directory = open("/", O_RDONLY);
  ASSERT_GE(directory, 0);
  {
    LineReader reader(directory, Handler());
    EXPECT_EQ(Next(reader), "end");
  }
  close(directory);
}

// ---- Metadata

PrintedMessage TakeText(AnswerReader& reader, const std::string& text) {
  return reader.Take({Opcode::kText, text});
}

TEST(AnswerReaderTest, JsonMetadataIsTheFirstMessageAndTheLast) {
  LineOptions options;
  options.codec = &kJsonDialect;
  AnswerReader reader(options, Verbosity::kMetadata);
  PrintedMessage printed =
      TakeText(reader, R"({"headers":{"a":["1","2"],"b":["x\u001by"]}})");
  EXPECT_EQ(printed.text, "");
  EXPECT_THAT(printed.notes, ElementsAre("< a: 1", "< a: 2", R"(< b: x\x1by)"));
  EXPECT_EQ(TakeText(reader, R"({"headers":{"a":["1"]}})").text,
            "{\"headers\":{\"a\":[\"1\"]}}\n");
  printed = TakeText(
      reader,
      R"({"status":{"code":5,"message":"m","details":[{"@type":"t"}],"trailers":{"k":["v"]}}})");
  EXPECT_EQ(printed.text, "");
  EXPECT_THAT(reader.TakeRest().notes,
              ElementsAre("< status: NOT_FOUND: m",
                          R"(< detail: {"@type":"t"})", "< k: v"));
}

TEST(AnswerReaderTest, ResponsesThatLookLikeItAreResponses) {
  LineOptions options;
  options.codec = &kJsonDialect;
  AnswerReader reader(options, Verbosity::kMetadata);
  EXPECT_EQ(TakeText(reader, R"({"headers":[1]})").text, "{\"headers\":[1]}\n");
  const std::string status = R"({"status":{"code":5}})";
  EXPECT_EQ(TakeText(reader, status).text, "");
  EXPECT_EQ(TakeText(reader, "{}").text, status + "\n{}\n");
  EXPECT_EQ(TakeText(reader, R"({"status":"x"})").text, "{\"status\":\"x\"}\n");
  EXPECT_THAT(reader.TakeRest().notes, IsEmpty());
  AnswerReader plain(options, Verbosity::kEvents);
  EXPECT_EQ(TakeText(plain, status).text, status + "\n");
}

TEST(AnswerReaderTest, GrpcWebMessagesMayComeInPieces) {
  LineOptions options;
  options.codec = &kGrpcWebSocketsDialect;
  AnswerReader reader(options, Verbosity::kMetadata);
  const std::string bytes = absl::StrCat(
      std::string("\x80\0\0\0\x06", 5), "a: 1\r\n",
      std::string("\0\0\0\0\x01x", 6), std::string("\x80\0\0\0\x2d", 5),
      "grpc-status: 5\r\ngrpc-message: a%20%zz\r\nk: v\r\n");
  PrintedMessage all;
  for (const char byte : bytes) {
    PrintedMessage printed =
        reader.Take({Opcode::kBinary, std::string(1, byte)});
    EXPECT_TRUE(printed.fault.ok()) << printed.fault;
    all.text += printed.text;
    for (std::string& note : printed.notes) all.notes.push_back(note);
    for (const CallEnded& ended : printed.ends) all.ends.push_back(ended);
  }
  EXPECT_EQ(all.text, "eA==\n");
  EXPECT_THAT(all.notes,
              ElementsAre("< a: 1", "< status: NOT_FOUND: a %zz", "< k: v"));
  ASSERT_EQ(all.ends.size(), 1u);
  EXPECT_EQ(all.ends[0].status.code, 5);
  EXPECT_FALSE(reader.Take({Opcode::kBinary, std::string(5, 2)}).fault.ok());
}

TEST(LinesTest, ALineOfGrpcWebSocketsIsAFrame) {
  LineOptions options;
  options.codec = &kGrpcWebSocketsDialect;
  const auto message = MessageOfLine("eA==", options);
  ASSERT_TRUE(message.ok() && message->has_value());
  EXPECT_EQ((*message)->wire.payload, std::string("\0\0\0\0\0\1x", 7));
  EXPECT_EQ(HalfCloseMessage(options).payload, "\x01");
}

TEST(DialEndingTest, DetailsOfAStatusAreRead) {
  // details: {type_url: "t/a", value: "x"}
  const auto status = ParseRpcStatus("\x08\x05\x1a\x08\x0a\x03t/a\x12\x01x");
  ASSERT_TRUE(status.has_value());
  EXPECT_THAT(status->details, ElementsAre("t/a eA=="));
}

}  // namespace
}  // namespace headgate
