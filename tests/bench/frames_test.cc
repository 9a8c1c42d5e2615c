#include "cmd/headgate/bench/frames.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Hex(absl::string_view hex) { return absl::HexStringToBytes(hex); }

// What a reader finds, as a log.
class Log final : public FrameSink {
 public:
  absl::Status OnData(absl::string_view piece, bool end) override {
    message_ += std::string(piece);
    if (!end) return absl::OkStatus();
    events.push_back(message_.size() > 20
                         ? absl::StrCat("message of ", message_.size())
                         : "message " + message_);
    message_.clear();
    return fault;
  }
  void OnPing(absl::string_view payload) override {
    events.push_back(absl::StrCat("ping ", payload));
  }
  void OnClose(std::uint16_t code, absl::string_view reason) override {
    events.push_back(absl::StrCat("close ", code, " ", reason));
  }

  std::vector<std::string> events;
  absl::Status fault;

 private:
  std::string message_;
};

std::vector<std::string> Read(const std::string& bytes) {
  FrameReader reader;
  Log log;
  const absl::Status status = reader.Read(bytes, log);
  if (!status.ok()) log.events.emplace_back(status.message());
  return log.events;
}

// The same, a byte at a time.
std::vector<std::string> ReadInPieces(const std::string& bytes) {
  FrameReader reader;
  Log log;
  for (const char& byte : bytes) {
    const absl::Status status = reader.Read({&byte, 1}, log);
    if (!status.ok()) {
      log.events.emplace_back(status.message());
      break;
    }
  }
  return log.events;
}

std::string Frame(absl::string_view head, std::size_t payload) {
  return Hex(head) + std::string(payload, 'x');
}

// ---- Out

// RFC 6455 section 5.7: "Hello", masked.
TEST(MaskedFrameTest, IsThatOfTheRfc) {
  EXPECT_EQ(MaskedFrame(FrameKind::kText, "Hello", {0x37, 0xfa, 0x21, 0x3d}),
            Hex("818537fa213d7f9f4d5158"));
}

TEST(MaskedFrameTest, HasTheShortestLength) {
  const FrameMask mask = {1, 2, 3, 4};
  EXPECT_EQ(MaskedFrame(FrameKind::kBinary, "", mask), Hex("828001020304"));
  EXPECT_EQ(
      MaskedFrame(FrameKind::kBinary, std::string(125, 'x'), mask).substr(0, 6),
      Hex("82fd01020304"));
  EXPECT_EQ(
      MaskedFrame(FrameKind::kBinary, std::string(126, 'x'), mask).substr(0, 8),
      Hex("82fe007e01020304"));
  EXPECT_EQ(MaskedFrame(FrameKind::kBinary, std::string(65535, 'x'), mask)
                .substr(0, 8),
            Hex("82feffff01020304"));
  EXPECT_EQ(MaskedFrame(FrameKind::kBinary, std::string(65536, 'x'), mask)
                .substr(0, 14),
            Hex("82ff000000000001000001020304"));
}

TEST(ClosePayloadTest, HasCodeAndReasonAndFitsAFrame) {
  EXPECT_EQ(ClosePayload(1000, "bye"), Hex("03e8") + "bye");
  EXPECT_EQ(ClosePayload(1000, std::string(200, 'x')).size(), 125u);
}

// ---- In

TEST(FrameReaderTest, ReadsMessagesOfEachLength) {
  EXPECT_THAT(
      Read(Frame("8100", 0) + Hex("8105") + "Hello" + Frame("827e007e", 126) +
           Frame("827effff", 65535) + Frame("827f0000000000010000", 65536)),
      ElementsAre("message ", "message Hello", "message of 126",
                  "message of 65535", "message of 65536"));
}

TEST(FrameReaderTest, PiecesMakeNoDifference) {
  const std::string bytes =
      Hex("8105") + "Hello" + Frame("8900", 0) + Frame("827e007e", 126) +
      Hex("890474657374") + Hex("01026162") + Hex("8900") + Hex("80026364") +
      Frame("827f0000000000010000", 65536) + Hex("880503e8627965");
  const auto whole = Read(bytes);
  EXPECT_THAT(whole, ElementsAre("message Hello", "ping ", "message of 126",
                                 "ping test", "ping ", "message abcd",
                                 "message of 65536", "close 1000 bye"));
  EXPECT_EQ(ReadInPieces(bytes), whole);
}

// RFC 6455 section 5.4.
TEST(FrameReaderTest, JoinsFragments) {
  EXPECT_THAT(Read(Hex("010161") + Hex("0000") + Hex("000162") + Hex("8000")),
              ElementsAre("message ab"));
}

TEST(FrameReaderTest, PassesOverPongs) {
  EXPECT_THAT(Read(Hex("8a026162") + Hex("810161")), ElementsAre("message a"));
}

TEST(FrameReaderTest, TellsAnIncompleteFrameFromNone) {
  EXPECT_THAT(Read(""), IsEmpty());
  EXPECT_THAT(Read(Hex("8105") + "Hell"), IsEmpty());
}

TEST(FrameReaderTest, DropsWhatFollowsAClose) {
  EXPECT_THAT(Read(Hex("8800") + Hex("810161")), ElementsAre("close 1005 "));
}

TEST(FrameReaderTest, RefusesWhatBreaksTheProtocol) {
  const struct {
    const char* bytes;
    const char* why;
  } kCases[] = {
      {"c100", "a frame uses an extension that was not agreed on"},
      {"8300", "a frame has an opcode that is reserved"},
      {"8b00", "a frame has an opcode that is reserved"},
      {"8180", "a server's frame is masked"},
      {"0900", "a control frame is in fragments"},
      {"897e007e", "a control frame is too long"},
      {"8000", "a continuation of no message"},
      {"01008100", "a message begins within another"},
      {"827fffffffffffffffff", "a frame's length is over 2^63"},
      {"880103", "a Close frame has half a code"},
  };
  for (const auto& test : kCases) {
    const auto events = Read(Hex(test.bytes));
    ASSERT_FALSE(events.empty()) << test.bytes;
    EXPECT_EQ(events.back(), test.why) << test.bytes;
    EXPECT_EQ(ReadInPieces(Hex(test.bytes)), events) << test.bytes;
  }
}

TEST(FrameReaderTest, StopsAtAFaultOfTheSink) {
  FrameReader reader;
  Log log;
  log.fault = absl::InvalidArgumentError("no packet");
  EXPECT_EQ(reader.Read(Hex("810161810162"), log).message(), "no packet");
  EXPECT_THAT(log.events, ElementsAre("message a"));
}

// What we write is what a server reads, but for the mask.
TEST(FrameReaderTest, ReadsWhatWasWrittenWithoutAMask) {
  std::string frame = MaskedFrame(FrameKind::kText, "ab", {0, 0, 0, 0});
  frame[1] = static_cast<char>(frame[1] & 0x7F);
  frame.erase(2, 4);
  EXPECT_THAT(Read(frame), ElementsAre("message ab"));
}

}  // namespace
}  // namespace headgate
