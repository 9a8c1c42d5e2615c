// Frames that many sessions share, over a WebSocket.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/ws/shared_frame.h"
#include "tests/net/connection_fixture.h"
#include "tests/net/exchange_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ws::WriteUntil;

class WsFramesTest : public ConnectionTest {
 protected:
  void OpenScripted(const std::string& headers = "", bool reads = true,
                    int buffer_bytes = 0) {
    host_->open_ = [this, reads](SessionRequest request, Transport& transport) {
      auto session = std::make_unique<ScriptedSession>(std::move(request),
                                                       transport, log_);
      session->reads_ = reads;
      session_ = session.get();
      return session;
    };
    Connect(buffer_bytes);
    Send(Request("/raw", headers));
    ASSERT_THAT(ReceiveHead(), ::testing::StartsWith("HTTP/1.1 101 "));
    Settle();
    log_.clear();
  }
  Transport& transport() { return session_->transport(); }
  ws::FrameRef Text(const std::string& text) {
    return ws::SharedFrame(store_, Opcode::kText, text)
        .For(transport().frame_form());
  }
  // Its frame, as it is on the wire.
  static std::string Wire(const std::string& text) {
    return Frame(kText, text, false);
  }
  // Writes them all as a session does; `log_` has "written" for each OnWritten.
  bool Write(absl::Span<const ws::FrameRef>& frames,
             WriteUntil until = WriteUntil::kRoom) {
    while (!frames.empty()) {
      const Transport::FramesTaken taken =
          transport().WriteFrames(frames, until);
      EXPECT_GT(taken.count, 0u);
      frames.remove_prefix(taken.count);
      if (taken.is_pending) return false;
    }
    return true;
  }
  bool WriteAll(const std::vector<ws::FrameRef>& frames) {
    absl::Span<const ws::FrameRef> left = frames;
    return Write(left);
  }
  void BreakConnection() {
    client_.set_option(boost::asio::socket_base::linger(true, 0));
    client_.close();
  }

  ws::FrameStore store_;
  ScriptedSession* session_ = nullptr;
};

TEST_F(WsFramesTest, LeaveBeforeTheCallReturns) {
  OpenScripted();
  EXPECT_TRUE(WriteAll({Text("a"), Text("b"), Text("")}));
  EXPECT_EQ(transport().unsent_bytes(), 0u);
  EXPECT_EQ(store_.held_bytes(), 0u);
  Receive();
  EXPECT_EQ(received_, Wire("a") + Wire("b") + Wire(""));
  received_.clear();
  Settle();
  EXPECT_THAT(log_, Not(Contains("written")));
}

TEST_F(WsFramesTest, ThousandsReachTheClientInOrder) {
  OpenScripted();
  std::vector<ws::FrameRef> frames;
  std::string expected;
  for (int i = 0; i < 3000; ++i) {
    frames.push_back(Text(std::to_string(i)));
    expected += Wire(std::to_string(i));
  }
  EXPECT_TRUE(WriteAll(frames));
  Expect(expected);
}

TEST_F(WsFramesTest, StandBehindWhatTheSessionWroteBefore) {
  OpenScripted();
  transport().Write({Opcode::kText, "own"});
  EXPECT_EQ(transport().unsent_bytes(), Wire("own").size());
  Settle();  // The session's write completes.
  EXPECT_TRUE(WriteAll({Text("shared")}));
  transport().Write({Opcode::kText, "own"});
  Expect(Wire("own") + Wire("shared") + Wire("own"));
}

// The session sees what waits, and hears when it may go on.
TEST_F(WsFramesTest, ASlowClientHasAWritePending) {
  OpenScripted("", true, 4096);
  const std::string text(10'000, 's');
  const std::vector<ws::FrameRef> frames(100, Text(text));
  absl::Span<const ws::FrameRef> left = frames;
  EXPECT_FALSE(Write(left));
  EXPECT_GT(transport().unsent_bytes(), 16 * 1024u);
  EXPECT_FALSE(left.empty());
  Settle();
  EXPECT_THAT(log_, Not(Contains("written")));
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += Wire(text);
  EXPECT_TRUE(Until([&] {
    Receive();
    if (!log_.empty() && log_.back() == "written") {
      log_.clear();
      Write(left);
    }
    return received_.size() >= expected.size();
  }));
  EXPECT_TRUE(received_ == expected);
  received_.clear();
  EXPECT_TRUE(left.empty());
}

TEST_F(WsFramesTest, AWriteCanWaitUntilTheClientsTcpHasAll) {
  OpenScripted("", true, 4096);
  // Fills the buffers of the kernel.
  const std::vector<ws::FrameRef> frames(100, Text(std::string(10'000, 's')));
  absl::Span<const ws::FrameRef> left = frames;
  EXPECT_FALSE(Write(left));
  std::size_t expected = (frames.size() - left.size()) * frames.front().size();
  EXPECT_TRUE(Until([&] {
    Receive();
    return !log_.empty();
  }));
  EXPECT_THAT(log_, ElementsAre("written"));
  const std::vector<ws::FrameRef> last = {Text("last")};
  const Transport::FramesTaken taken =
      transport().WriteFrames(last, WriteUntil::kSent);
  expected += last.front().size();
  EXPECT_EQ(taken.count, 1u);
  if (taken.is_pending) {
    EXPECT_GT(transport().unsent_bytes(), 0u);
    EXPECT_TRUE(Until([&] {
      Receive();
      return log_.size() == 2;
    }));
    EXPECT_EQ(transport().unsent_bytes(), 0u);
  }
  EXPECT_TRUE(UntilReceived(expected));
  received_.clear();
}

// No event comes from within a call of the session's.
TEST_F(WsFramesTest, AFailureIsReportedFromTheEventLoop) {
  for (const bool reads : {false, true}) {
    OpenScripted("", reads);
    BreakConnection();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(WriteAll({Text("x")}));
    EXPECT_THAT(log_, ElementsAre());
    EXPECT_TRUE(UntilEnded());
    EXPECT_THAT(log_, ElementsAre("closed lost", "gone"));
    EXPECT_EQ(store_.held_bytes(), 0u);
    client_ = TcpSocket(io_.get_executor());
    end_ = {};
  }
}

TEST_F(WsFramesTest, AreDroppedOnceTheClientHasClosed) {
  OpenScripted();
  Send(CloseFrame(1000));
  EXPECT_TRUE(Until([&] { return !log_.empty(); }));
  EXPECT_THAT(log_, ElementsAre("closed by client"));
  EXPECT_TRUE(WriteAll({Text("x")}));
  ExpectClose(1000, "");
}

TEST_F(WsFramesTest, TheLastOnesStandBeforeTheCloseFrame) {
  OpenScripted("", true, 4096);
  const std::vector<ws::FrameRef> frames(100, Text(std::string(10'000, 's')));
  absl::Span<const ws::FrameRef> left = frames;
  EXPECT_FALSE(Write(left));
  transport().WriteLastFrames(left);
  transport().WriteLastFrames({Text("bye")});
  transport().Close({EndingOf(absl::OkStatus())});
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += Wire(std::string(10'000, 's'));
  ASSERT_TRUE(UntilReceived(expected.size()));
  EXPECT_TRUE(received_.substr(0, expected.size()) == expected);
  received_.erase(0, expected.size());
  Expect(Wire("bye"));
  ExpectClose(1000, "");
  Send(CloseFrame(1000));
}

// A fan-out to 10,000 idle clients leaves them at rest.
TEST_F(WsFramesTest, AClientThatTakesThemAtOnceStaysAtRest) {
  OpenScripted();
  session_->rests_ = true;
  Tick(absl::ZeroDuration());
  EXPECT_EQ(host_->resting_.size(), 1u);
  EXPECT_TRUE(WriteAll({Text("x")}));
  EXPECT_EQ(host_->resting_.size(), 1u);
  Expect(Wire("x"));
}

TEST_F(WsFramesTest, AClientThatDoesNotIsAwake) {
  OpenScripted("", true, 4096);
  session_->rests_ = true;
  Tick(absl::ZeroDuration());
  const std::vector<ws::FrameRef> frames(100, Text(std::string(10'000, 's')));
  EXPECT_FALSE(WriteAll(frames));
  EXPECT_EQ(host_->resting_.size(), 0u);
  Abort();
  EXPECT_TRUE(Until([&] {
    Receive();
    return bool(end_);
  }));
}

TEST_F(WsFramesTest, AreCompressedForClientsWithoutContextTakeover) {
  settings_.compression.enabled = true;
  settings_.compression.min_bytes = 10;
  OpenScripted(
      "Sec-WebSocket-Extensions: permessage-deflate; "
      "server_no_context_takeover; server_max_window_bits=11\r\n");
  EXPECT_EQ(transport().frame_form().window_bits, 11);
  const ws::FrameRef frame = Text(std::string(1000, 'x'));
  EXPECT_LT(frame.size(), 50u);
  EXPECT_TRUE(WriteAll({frame}));
  Expect(std::string(frame.bytes()));
}

}  // namespace
}  // namespace headgate
