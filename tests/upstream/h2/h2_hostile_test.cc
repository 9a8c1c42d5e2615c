// Servers that mean harm, or are broken beyond what a frame can say.

#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <boost/asio/local/stream_protocol.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "tests/upstream/h2/wire_fixture.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class H2HostileTest : public H2WireFixture {
 protected:
  // Has the server say so again and again, and take whatever comes; whether the
  // connection was closed before `max_bytes` of it had come.
  bool FloodEnds(const std::string& words, std::size_t max_bytes = 4 << 20) {
    std::string many;
    while (many.size() < 8 * 1024) many += words;
    auto& connection = peer();
    for (std::size_t sent = 0; sent < max_bytes; sent += many.size()) {
      connection.Send(many);
      worker_.restart();
      worker_.poll();
      if (connection.ended() || upstream_->channel_count() == 0) return true;
    }
    return false;
  }
};

// RFC 9113 section 10.5: what is legal and of no use must be noticed.
TEST_F(H2HostileTest, FloodEndsTheConnection) {
  const std::string ping = h2::Frame(NGHTTP2_PING, 0, 0, "12345678");
  const std::string block = h2::Encode({{":status", "103"}, {"link", "x"}});
  const std::pair<const char*, std::string> floods[] = {
      {"PING", ping},
      {"PING with ACK", h2::Frame(NGHTTP2_PING, 1, 0, "12345678")},
      {"SETTINGS", h2::Settings()},
      {"SETTINGS that change", h2::Settings({{4, 1}}) + h2::Settings({{4, 2}})},
      {"SETTINGS with ACK", h2::Frame(NGHTTP2_SETTINGS, 1, 0, "")},
      {"RST_STREAM", h2::Reset(3, NGHTTP2_CANCEL)},
      {"empty DATA", h2::Data(1, "")},
      {"padding", h2::Frame(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1,
                            "\xFF" + std::string(255, 0))},
      {"DATA for nobody", h2::Data(3, std::string(1000, 'x'))},
      {"informational heads",
       h2::Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block)},
      {"CONTINUATION", h2::Frame(NGHTTP2_CONTINUATION, 0, 1, "")},
      {"WINDOW_UPDATE", h2::WindowUpdate(1, 1) + h2::WindowUpdate(0, 1)},
      {"PRIORITY", h2::Frame(NGHTTP2_PRIORITY, 0, 1, std::string(5, 1))},
      {"GOAWAY", h2::GoAway(1)},
      {"unknown frames", h2::Frame(0xFA, 0, 0, "?")},
  };
  for (const auto& [name, words] : floods) {
    Connect();
    WireCall& call = Open();
    Open().Destroy();  // A stream that is gone.
    ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(3) >= 0; })) << name;
    if (std::string(name) == "CONTINUATION") {
      peer().Send(h2::Frame(NGHTTP2_HEADERS, 0, 1, ""));
    } else if (std::string(name) != "informational heads") {
      peer().Send(h2::Head(1));
    }
    EXPECT_TRUE(FloodEnds(words)) << name;
    ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); })) << name;
    EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable) << name;
    EXPECT_EQ(upstream_->channel_count(), 0u) << name;
  }
}

// The same of a server that takes none of our answers to it.
TEST_F(H2HostileTest, FloodThatIsNotAnsweredEndsTheConnection) {
  Connect();
  Open();
  std::string pings;
  for (int i = 0; i < 2000; ++i) {
    pings += h2::Frame(NGHTTP2_PING, 0, 0, "12345678");
  }
  peer().Send(pings);  // In one read: more than nghttp2 keeps answers for.
  EXPECT_TRUE(RunUntil([&] { return upstream_->channel_count() == 0; }));
}

// `block` as a header block of frames of 16 KiB.
std::string LongBlock(int id, const std::string& block, int flags) {
  constexpr std::size_t kFrame = 16 * 1024;
  std::string frames;
  for (std::size_t at = 0; at < block.size(); at += kFrame) {
    const bool last = at + kFrame >= block.size();
    frames +=
        h2::Frame(at == 0 ? NGHTTP2_HEADERS : NGHTTP2_CONTINUATION,
                  (at == 0 ? flags : 0) | (last ? NGHTTP2_FLAG_END_HEADERS : 0),
                  id, block.substr(at, kFrame));
  }
  return frames;
}

// RFC 9113 section 10.5.1: nobody else need suffer from it, and the next block
// can be read. nghttp2 itself takes no string of more than 64 KiB.
TEST_F(H2HostileTest, LongMetadataEndsItsCallAlone) {
  WireCall& other = Open();
  const std::string fill(1'000'000, '%');
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 10'000; ++i) many.emplace_back("name", "value");
  for (const std::string& block :
       {h2::Encode({{"grpc-status", "3"}, {"grpc-message", fill}}),
        h2::Encode({{"grpc-status", "3"}, {fill, "1"}}), h2::Encode(many)}) {
    for (const bool is_head : {false, true}) {
      const int id = 1 + 2 * server_.StreamsOpened();
      WireCall& call = Open();
      if (!is_head) peer().Send(h2::Head(id));
      peer().Send(LongBlock(
          id, (is_head ? h2::Encode({{":status", "200"}}) : "") + block,
          is_head ? 0 : NGHTTP2_FLAG_END_STREAM));
      ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
      EXPECT_EQ(call.end->status.code(), absl::StatusCode::kResourceExhausted);
      EXPECT_THAT(std::string(call.end->status.message()),
                  ::testing::MatchesRegex(
                      "the upstream's status or metadata is [0-9]{5,7} bytes "
                      "of headers, at most 65536 are taken"));
    }
  }
  EXPECT_EQ(server_.connections().size(), 1u);
  EXPECT_FALSE(other.end);
  peer().Send(h2::Head(1) + h2::Message(1, "a") + h2::Trailers(1));
  ASSERT_TRUE(RunUntil([&] { return other.end.has_value(); }));
  EXPECT_TRUE(other.end->status.ok());
}

// The same of 60 kB that are references to one large field: they would be 64 MB
// of fields, of which no more are looked at than the limit lets through.
TEST_F(H2HostileTest, IndexBombEndsItsCallAlone) {
  WireCall& other = Open();
  WireCall& call = Open();
  const std::string large(4000, 'v');
  peer().Send(LongBlock(3,
                        h2::Encode({{":status", "200"}}) + "\x40" +
                            h2::Literal("x") + h2::Literal(large) +
                            std::string(16'000, '\xBE'),
                        0));
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(call.end->status.message()),
              ::testing::MatchesRegex(
                  "the upstream's status or metadata is [0-9]{5} bytes of "
                  "headers, at most 65536 are taken"));
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(3) >= 0; }));
  peer().Send(h2::Head(1) + h2::Message(1, "a") + h2::Trailers(1));
  ASSERT_TRUE(RunUntil([&] { return other.end.has_value(); }));
  EXPECT_TRUE(other.end->status.ok());
  EXPECT_EQ(server_.connections().size(), 1u);
}

// One that never ends has ended its call by then, and is a flood all the same.
TEST_F(H2HostileTest, BlockWithoutEndEndsTheConnection) {
  WireCall& call = Open();
  peer().Send(h2::Frame(NGHTTP2_HEADERS, 0, 1, h2::Encode({{"a", "b"}})));
  EXPECT_TRUE(FloodEnds(h2::Frame(NGHTTP2_CONTINUATION, 0, 1,
                                  h2::Encode({{"a", std::string(9000, '%')}})),
                        16 << 20));
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kResourceExhausted);
}

// nghttp2 does not say what it has against a block that cannot be decoded.
TEST_F(H2HostileTest, FaultOfHpackIsNamedInTheLog) {
  const absl::Status status = Answer(
      h2::Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\xFF\x80\x01"));
  EXPECT_THAT(MessageForLog(status), HasSubstr("HTTP/2: COMPRESSION_ERROR"));
}

// A call is served by its messages, however small and many they are, and what
// goes with them.
TEST_F(H2HostileTest, ManySmallMessagesAreNoFlood) {
  WireCall& call = Open();
  std::string answer;
  for (int i = 0; i < 100; ++i) answer += h2::Message(1, "x");
  answer += h2::Frame(NGHTTP2_PING, 0, 0, "12345678") + h2::WindowUpdate(0, 1);
  peer().Send(h2::Head(1));
  for (std::size_t i = 1; i <= 500; ++i) {
    peer().Send(answer);
    ASSERT_TRUE(RunUntil([&] { return call.messages.size() == 100 * i; }));
  }
  EXPECT_FALSE(call.end);
}

// Nor are the windows that a server opens for what it takes.
TEST_F(H2HostileTest, WindowsForWhatWasSentAreNoFlood) {
  WireCall& call = Open();
  for (int i = 1; i <= 10'000; ++i) {
    call.Write("x");
    peer().Send(h2::WindowUpdate(1, 6) + h2::WindowUpdate(0, 6) +
                h2::Frame(NGHTTP2_PING, 0, 0, "12345678"));
    ASSERT_TRUE(RunUntil([&] { return call.written == i || call.end; }));
  }
  EXPECT_FALSE(call.end);
}

// Nor is what was under way for calls that were given up.
TEST_F(H2HostileTest, AnswersToCallsThatAreGoneAreNoFlood) {
  const std::string rest(8 * 1024, 'x');
  for (int id = 1; id < 400; id += 2) {
    Open().Destroy();
    ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(id) >= 0; }));
    std::string late = h2::Head(id);
    for (int i = 0; i < 8; ++i) late += h2::Data(id, rest.substr(10));
    peer().Send(late);
    calls_.clear();
  }
  Settle();
  EXPECT_EQ(server_.connections().size(), 1u);
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

// What cannot be written to is of no use, though it can be read from.
TEST_F(H2HostileTest, ConnectionThatCannotBeWrittenToEnds) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "headgate-deaf-", getpid(), ".sock");
  std::remove(path.c_str());
  RawServer deaf(worker_, h2::Settings(),
                 boost::asio::local::stream_protocol::endpoint(path));
  Connect("unix:" + path);
  WireCall& call = Start();
  call.Read();
  ASSERT_TRUE(RunUntil([&] { return deaf.StreamsOpened() == 1; }));
  auto& connection = deaf.connections()[0];
  connection.Send(h2::Head(1) + h2::Message(1, "last words"));
  connection.StopReading();
  call.Write("unheard");
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageForLog(call.end->status), HasSubstr("Broken pipe"));
  // What had come before is there.
  EXPECT_THAT(call.messages, ElementsAre("last words"));
  EXPECT_EQ(upstream_->channel_count(), 0u);
  deaf.Close();
  for (auto& one : deaf.connections()) one.Close();
  std::remove(path.c_str());
}

}  // namespace
}  // namespace headgate
