#include "gateway/ws/reader.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/ws/frames.h"

namespace headgate::ws {
namespace {

using ::testing::ElementsAre;

// A server's.
Reader MakeReader(std::size_t max_message_bytes,
                  std::unique_ptr<Inflater> inflater = nullptr) {
  Reader::Options options;
  options.max_message_bytes = max_message_bytes;
  options.inflater = std::move(inflater);
  return Reader(std::move(options));
}

class ReaderTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kMostBytes = 1000;

  // The events of `bytes`, as a log, given to it `at_a_time`.
  static std::vector<std::string> Events(Reader& reader,
                                         const std::string& bytes,
                                         std::size_t at_a_time) {
    std::vector<std::string> events;
    for (std::size_t i = 0; i < bytes.size(); i += at_a_time) {
      absl::string_view piece = absl::string_view(bytes).substr(i, at_a_time);
      while (!piece.empty()) {
        const Reader::Event event = reader.Next(piece);
        if (event == Reader::Event::kNeedsBytes) {
          EXPECT_TRUE(piece.empty());
        } else {
          events.push_back(Told(reader, event));
        }
      }
    }
    return events;
  }
  // The same whole and byte by byte, which must agree.
  static std::vector<std::string> Events(const std::string& bytes) {
    Reader whole = MakeReader(kMostBytes);
    Reader slow = MakeReader(kMostBytes);
    const auto events = Events(whole, bytes, bytes.size());
    EXPECT_EQ(Events(slow, bytes, 1), events);
    return events;
  }

 protected:
  static std::string Told(Reader& reader, Reader::Event event) {
    switch (event) {
      case Reader::Event::kNeedsBytes:
        return "";
      case Reader::Event::kMessage: {
        const WireMessage message = reader.TakeMessage();
        return absl::StrCat(
            message.opcode == Opcode::kText ? "text " : "binary ",
            message.payload);
      }
      case Reader::Event::kPiece:
        return absl::StrCat("piece ", reader.piece(),
                            reader.ends_message() ? " end" : "");
      case Reader::Event::kTooBig:
        return "too big";
      case Reader::Event::kPing:
        return absl::StrCat("ping ", reader.control_payload());
      case Reader::Event::kPong:
        return absl::StrCat("pong ", reader.control_payload());
      case Reader::Event::kClose:
        return absl::StrCat("close ", static_cast<int>(reader.close_code()),
                            " ", reader.close_reason());
      case Reader::Event::kFault:
        return absl::StrCat("fault ", static_cast<int>(reader.fault().code),
                            " ", reader.fault().what);
    }
    return "";
  }
};

TEST_F(ReaderTest, MessagesAndControlFramesComeInTheirOrder) {
  EXPECT_THAT(
      Events(Frame(kText, "a") + Frame(kBinary, "") + Frame(0x01, "b") +
             Frame(kPing, "p") + Frame(0x00, "") + Frame(0x80, "c") +
             Frame(kPong, "") + CloseFrame(1000, "bye") + Frame(kText, "d")),
      ElementsAre("text a", "binary ", "ping p", "text bc", "pong ",
                  "close 1000 bye"));
}

TEST_F(ReaderTest, EveryFormOfLengthIsRead) {
  for (const std::size_t size : {0u, 1u, 7u, 8u, 9u, 125u, 126u, 999u, 1000u}) {
    const std::string payload(size, 'x');
    EXPECT_THAT(Events(Frame(kBinary, payload)),
                ElementsAre("binary " + payload));
  }
  const std::string payload(70'000, 'x');
  Reader reader = MakeReader(100'000);
  EXPECT_THAT(Events(reader, Frame(kBinary, payload), 1000),
              ElementsAre("binary " + payload));
}

// RFC 6455 section 5.2; each is told as soon as it can be known.
TEST_F(ReaderTest, FaultsSayWhatIsWrong) {
  EXPECT_THAT(Events(Frame(kText | 0x40, "x")),
              ElementsAre("fault 1002 a reserved bit is set"));
  EXPECT_THAT(Events(Frame(kText, "x", false).substr(0, 2)),
              ElementsAre("fault 1002 a frame without a mask"));
  EXPECT_THAT(Events(Frame(0x83, "x")),
              ElementsAre("fault 1002 a reserved opcode"));
  EXPECT_THAT(Events(Frame(0x80, "x")),
              ElementsAre("fault 1002 a continuation of no message"));
  EXPECT_THAT(Events(Frame(0x01, "x") + Frame(kText, "y")),
              ElementsAre("fault 1002 a new message within a message"));
  EXPECT_THAT(Events(Frame(0x09, "x")),
              ElementsAre("fault 1002 a control frame in fragments"));
  EXPECT_THAT(Events(Frame(kPing, std::string(126, 'x'))),
              ElementsAre("fault 1002 a control frame of more than 125 bytes"));
  EXPECT_THAT(Events(std::string("\x82\xFE\x00\x7Dmask", 8)),
              ElementsAre("fault 1002 a length in more bytes than it needs"));
  EXPECT_THAT(
      Events(std::string("\x82\xFF\x00\x00\x00\x00\x00\x00\xFF\xFFmask", 14)),
      ElementsAre("fault 1002 a length in more bytes than it needs"));
  EXPECT_THAT(
      Events(std::string("\x82\xFF\x80\x00\x00\x00\x00\x00\x00\x00mask", 14)),
      ElementsAre("fault 1002 a length with its top bit set"));
  EXPECT_THAT(Events(Frame(kClose, "x")),
              ElementsAre("fault 1002 a Close frame with half a code"));
  EXPECT_THAT(Events(CloseFrame(5000)),
              ElementsAre("fault 1002 no such close code"));
  EXPECT_THAT(
      Events(CloseFrame(1000, "\xFF")),
      ElementsAre("fault 1002 the reason of a Close frame is not UTF-8"));
}

// RFC 7692 section 6: RSV1 marks a compressed message, on its first frame
// alone.
TEST_F(ReaderTest, OnlyTheFirstFrameOfAMessageMayBeMarkedAsCompressed) {
  const auto events = [](const std::string& bytes) {
    Reader reader =
        MakeReader(kMostBytes, std::make_unique<Inflater>(DeflateSide()));
    return Events(reader, bytes, bytes.size());
  };
  const std::string fault = "fault 1002 a reserved bit is set";
  const std::string deflated("\x4a\x04\x00", 3);  // "a"
  EXPECT_THAT(events(Frame(kText | 0x40, deflated)), ElementsAre("text a"));
  EXPECT_THAT(events(Frame(0x01 | 0x40, deflated) + Frame(0x80 | 0x40, "")),
              ElementsAre(fault));
  EXPECT_THAT(events(Frame(0x01, "a") + Frame(0x80 | 0x40, "")),
              ElementsAre(fault));
  EXPECT_THAT(events(Frame(kPing | 0x40, "")), ElementsAre(fault));
  EXPECT_THAT(events(Frame(kPong | 0x40, "")), ElementsAre(fault));
  EXPECT_THAT(events(Frame(kClose | 0x40, "")), ElementsAre(fault));
  EXPECT_THAT(events(Frame(kText | 0x20, deflated)), ElementsAre(fault));
  EXPECT_THAT(events(Frame(kText | 0x10, deflated)), ElementsAre(fault));
}

TEST_F(ReaderTest, WhatFollowsAFaultIsDropped) {
  EXPECT_THAT(Events(Frame(0x83, "x") + Frame(kText, "y")),
              ElementsAre("fault 1002 a reserved opcode"));
}

// Section 8.1. The first byte that cannot be UTF-8 is told, not the message's
// end awaited.
TEST_F(ReaderTest, TextIsUtf8AsEarlyAsCanBeTold) {
  const std::string fault = "fault 1007 text is not UTF-8";
  EXPECT_THAT(Events(Frame(0x01, "\xC0")), ElementsAre(fault));
  EXPECT_THAT(Events(Frame(0x01, "ok\xE2\x28")), ElementsAre(fault));
  EXPECT_THAT(Events(Frame(0x01, "\xED\xA0")), ElementsAre(fault));
  EXPECT_THAT(Events(Frame(0x01, "\xF4\x90")), ElementsAre(fault));
  EXPECT_THAT(Events(Frame(0x01, "\xE2\x82")), ElementsAre());
  EXPECT_THAT(Events(Frame(0x01, "\xE2\x82") + Frame(0x80, "")),
              ElementsAre(fault));
  EXPECT_THAT(Events(Frame(0x01, "\xE2\x82") + Frame(0x80, "\xAC")),
              ElementsAre("text \xE2\x82\xAC"));
  EXPECT_THAT(Events(Frame(kBinary, "\xC0")), ElementsAre("binary \xC0"));
}

// From the announced length on, and of all fragments together.
TEST_F(ReaderTest, WhatIsTooBigIsToldOnceAndDropped) {
  Reader announced = MakeReader(kMostBytes);
  EXPECT_THAT(
      Events(announced, Frame(kBinary, std::string(1001, 'x')).substr(0, 8), 8),
      ElementsAre("too big"));
  EXPECT_THAT(Events(Frame(0x02, std::string(600, 'x')) +
                     Frame(0x00, std::string(401, 'x')) + Frame(kPing, "p") +
                     Frame(0x80, std::string(2000, 'x')) +
                     Frame(kText, "next") + CloseFrame(1009)),
              ElementsAre("too big", "ping p", "close 1009 "));
}

TEST_F(ReaderTest, MessagesCanBeDropped) {
  Reader reader = MakeReader(kMostBytes);
  EXPECT_THAT(Events(reader, Frame(0x01, "a"), 3), ElementsAre());
  reader.DropMessages();
  EXPECT_THAT(Events(reader,
                     Frame(0x80, "\xFF") + Frame(kText, "\xFF") +
                         Frame(kPing, "p") + CloseFrame(1000),
                     3),
              ElementsAre("ping p", "close 1000 "));
}

TEST(WsFrameTest, AServersFramesAreWholeAndUnmasked) {
  std::string out;
  AppendFrameHead(FrameOpcode::kText, 3, false, nullptr, out);
  AppendFrameHead(FrameOpcode::kBinary, 126, true, nullptr, out);
  AppendFrameHead(FrameOpcode::kBinary, 65536, false, nullptr, out);
  EXPECT_EQ(out, std::string("\x81\x03\xC2\x7E\x00\x7E\x82\x7F\x00\x00\x00\x00"
                             "\x00\x01\x00\x00",
                             16));
  out.clear();
  AppendCloseFrame(CloseCode::kNoStatus, "", nullptr, out);
  AppendCloseFrame(CloseCode::kNormal, "ok", nullptr, out);
  EXPECT_EQ(out, std::string("\x88\x00\x88\x04\x03\xE8ok", 8));
}

// --- the client's side

class ClientReaderTest : public ReaderTest {
 protected:
  static Reader MakeClient(Delivery delivery) {
    Reader::Options options;
    options.role = Role::kClient;
    options.delivery = delivery;
    options.max_message_bytes = 100'000;
    return Reader(std::move(options));
  }
  // With pieces joined.
  static std::vector<std::string> Messages(Delivery delivery,
                                           const std::string& bytes,
                                           std::size_t at_a_time) {
    Reader reader = MakeClient(delivery);
    std::vector<std::string> joined;
    std::string message;
    for (const std::string& event : Events(reader, bytes, at_a_time)) {
      if (!absl::StartsWith(event, "piece ")) {
        joined.push_back(event);
        continue;
      }
      const bool ends = absl::EndsWith(event, " end");
      message += event.substr(6, event.size() - 6 - (ends ? 4 : 0));
      if (ends) joined.push_back("binary " + std::exchange(message, {}));
    }
    return joined;
  }
};

TEST_F(ClientReaderTest, PiecesAndMessagesAreTheSameHoweverTheBytesAreCut) {
  std::string bytes;
  std::vector<std::string> expected;
  for (const std::size_t size : {0u, 5u, 125u, 126u, 65'535u, 65'536u}) {
    bytes += Frame(kBinary, std::string(size, 'x'), false);
    expected.push_back("binary " + std::string(size, 'x'));
  }
  bytes += Frame(0x02, "ab", false) + Frame(kPing, "p", false) +
           Frame(0x00, "", false) + Frame(0x80, "cd", false) +
           Frame(kPong, "", false) +
           Frame(kClose,
                 "\x03\xE8"
                 "bye",
                 false) +
           Frame(kText, "dropped", false);
  expected.insert(expected.end(),
                  {"ping p", "binary abcd", "pong ", "close 1000 bye"});
  for (const Delivery delivery : {Delivery::kMessages, Delivery::kPieces}) {
    for (const std::size_t at_a_time :
         {std::size_t{1}, std::size_t{1000}, bytes.size()}) {
      EXPECT_EQ(Messages(delivery, bytes, at_a_time), expected);
    }
  }
}

TEST_F(ClientReaderTest, FaultsAreTheSameInPieces) {
  const std::pair<std::string, std::string> cases[] = {
      {Frame(kText | 0x40, "", false), "a reserved bit is set"},
      {Frame(0x83, "", false), "a reserved opcode"},
      {Frame(0x8B, "", false), "a reserved opcode"},
      {Frame(kText, ""), "a server's frame with a mask"},
      {Frame(0x09, "", false), "a control frame in fragments"},
      {Frame(kPing, std::string(126, 'x'), false),
       "a control frame of more than 125 bytes"},
      {Frame(0x80, "", false), "a continuation of no message"},
      {Frame(0x01, "", false) + Frame(kText, "", false),
       "a new message within a message"},
      {Frame(kClose, "\x03", false), "a Close frame with half a code"},
  };
  for (const auto& [bytes, what] : cases) {
    for (const std::size_t at_a_time : {std::size_t{1}, bytes.size()}) {
      Reader reader = MakeClient(Delivery::kPieces);
      const auto events = Events(reader, bytes, at_a_time);
      ASSERT_FALSE(events.empty()) << what;
      EXPECT_EQ(events.back(), "fault 1002 " + what);
    }
  }
}

// RFC 6455 section 5.7: "Hello", masked.
TEST(WsFrameTest, AClientsFrameIsThatOfTheRfc) {
  const MaskKey mask = {0x37, '\xFA', 0x21, 0x3D};
  std::string out;
  AppendFrame(FrameOpcode::kText, "Hello", &mask, out);
  EXPECT_EQ(absl::BytesToHexString(out), "818537fa213d7f9f4d5158");
}

TEST(WsFrameTest, AClientsFrameHasTheShortestLength) {
  const MaskKey mask = {1, 2, 3, 4};
  const auto head = [&mask](std::size_t size) {
    std::string out;
    AppendFrameHead(FrameOpcode::kBinary, size, false, &mask, out);
    return absl::BytesToHexString(out);
  };
  EXPECT_EQ(head(0), "828001020304");
  EXPECT_EQ(head(125), "82fd01020304");
  EXPECT_EQ(head(126), "82fe007e01020304");
  EXPECT_EQ(head(65'535), "82feffff01020304");
  EXPECT_EQ(head(65'536), "82ff000000000001000001020304");
}

// --- what has begun

TEST_F(ReaderTest, AFrameThatIsNotWholeIsUnfinished) {
  Reader reader = MakeReader(kMostBytes);
  EXPECT_EQ(reader.unfinished(), std::nullopt);
  const std::string frame = Frame(kBinary, "abc");
  for (std::size_t i = 0; i < frame.size(); ++i) {
    EXPECT_EQ(Events(reader, frame.substr(i, 1), 1).size(),
              i + 1 == frame.size() ? 1u : 0u);
    EXPECT_EQ(reader.unfinished().has_value(), i + 1 < frame.size()) << i;
  }
  EXPECT_EQ(reader.data_bytes(), 3u);
}

TEST_F(ReaderTest, AMessageIsUnfinishedUntilItsLastFragment) {
  Reader reader = MakeReader(kMostBytes);
  Events(reader, Frame(0x01, "a"), 100);
  EXPECT_EQ(reader.unfinished(), 0u);
  Events(reader, Frame(kPing, "ping"), 100);
  EXPECT_EQ(reader.unfinished(), 0u);
  Events(reader, Frame(0x80, "b"), 100);
  EXPECT_EQ(reader.unfinished(), std::nullopt);
  Events(reader, Frame(0x01, "c"), 100);
  EXPECT_EQ(reader.unfinished(), 1u) << "another one";
  EXPECT_EQ(reader.data_bytes(), 3u) << "a ping's are none";
}

// Not only its length: a string keeps its buffer when it is emptied.
TEST_F(ReaderTest, AMessageThatIsDroppedIsFreed) {
  Reader reader = MakeReader(100'000);
  Events(reader, Frame(0x02, std::string(50'000, 'x')), 50'100);
  EXPECT_GE(reader.held_bytes(), 50'000u);
  reader.DropMessages();
  EXPECT_LT(reader.held_bytes(), 100u);
}

}  // namespace
}  // namespace headgate::ws
