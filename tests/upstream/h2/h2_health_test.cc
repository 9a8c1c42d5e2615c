// Health checks as the HTTP/2 transport makes them (grpc/grpc
// doc/health-checking.md), against servers that say anything.

#include <chrono>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "gateway/base/gzip.h"
#include "gateway/base/status.h"
#include "tests/upstream/h2/wire_fixture.h"

namespace headgate {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Pair;

// HealthCheckResponse { ServingStatus status = 1; }
std::string Says(int id, int status) {
  return h2::Message(id, std::string("\x08") + static_cast<char>(status));
}
constexpr int kUnknown = 0;
constexpr int kServing = 1;
constexpr int kNotServing = 2;
constexpr int kServiceUnknown = 3;

class H2HealthTest : public H2WireFixture {
 protected:
  // Nothing happens by the time alone.
  H2HealthTest() {
    options_.settings.health_check = "chat.Chat";
    timing_.connect_timeout = hours(1);
    timing_.attempt_delay = hours(1);
    timing_.health_backoff = {hours(1), hours(1)};
    Connect();
  }

  // Starts a call, and waits until the server has been asked for its health.
  WireCall& StartAndBeAsked() {
    WireCall& call = Start();
    call.Read();
    EXPECT_TRUE(RunUntil([&] { return Watches() == 1; }));
    return call;
  }
  // A connection whose server has said that it serves, with one open call.
  WireCall& OpenHealthy() {
    WireCall& call = StartAndBeAsked();
    peer().Send(h2::Head(1) + Says(1, kServing));
    EXPECT_TRUE(RunUntil([&] { return Calls() == 1; }));
    return call;
  }
  absl::Status EndOf(WireCall& call) {
    EXPECT_TRUE(RunUntil([&] { return call.end.has_value(); }));
    return call.end ? call.end->status : absl::OkStatus();
  }
  absl::Status EndOfNext() {
    WireCall& call = Start();
    call.Read();
    return EndOf(call);
  }
  void Tick() {
    upstream_->OnTick(now_ += absl::Seconds(1));
    Settle();
  }
  // Requests of a path on all connections.
  int Requests(const std::string& path) {
    int count = 0;
    for (const auto& connection : server_.connections()) {
      for (const auto& frame : connection.frames()) {
        for (const auto& [name, value] : frame.fields) {
          count += name == ":path" && value == path;
        }
      }
    }
    return count;
  }
  int Watches() { return Requests("/grpc.health.v1.Health/Watch"); }
  int Calls() { return Requests("/s/m"); }

  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
};

TEST_F(H2HealthTest, ConnectionIsAskedForTheServicesHealthFirst) {
  StartAndBeAsked();
  Settle();
  EXPECT_EQ(Calls(), 0);
  const RawServer::Frame* head = nullptr;
  for (const auto& frame : peer().frames()) {
    if (frame.type == NGHTTP2_HEADERS) head = &frame;
  }
  EXPECT_THAT(head->fields, Contains(Pair("content-type", "application/grpc")));
  EXPECT_THAT(head->fields, Contains(Pair("te", "trailers")));
  EXPECT_EQ(peer().DataOf(1), h2::Framed("\x0A\x09"
                                         "chat.Chat"));
  EXPECT_TRUE(peer().HalfClosed(1));
}

TEST_F(H2HealthTest, ServerAsAWholeHasNoName) {
  options_.settings.health_check = "";
  Connect();
  StartAndBeAsked();
  EXPECT_TRUE(RunUntil([&] { return peer().HalfClosed(1); }));
  EXPECT_EQ(peer().DataOf(1), h2::Framed(""));
}

TEST_F(H2HealthTest, NoHealthCheckUnlessAskedFor) {
  options_.settings.health_check.reset();
  Connect();
  Open();
  EXPECT_EQ(Watches(), 0);
}

TEST_F(H2HealthTest, CallsWaitForServing) {
  WireCall& call = StartAndBeAsked();
  peer().Send(h2::Head(1));
  Settle();
  EXPECT_EQ(Calls(), 0);
  EXPECT_FALSE(call.end);
  peer().Send(Says(1, kServing));
  EXPECT_TRUE(RunUntil([&] { return Calls() == 1; }));
  EXPECT_FALSE(upstream_->is_failing());
  // Those that follow wait for nothing.
  Start();
  EXPECT_TRUE(RunUntil([&] { return Calls() == 2; }));
  EXPECT_EQ(Watches(), 1);
  EXPECT_EQ(server_.connections().size(), 1u);
}

// Only SERVING is a yes.
TEST_F(H2HealthTest, WhoDoesNotServeIsUnavailable) {
  for (const auto& [status, name] :
       {std::pair(kNotServing, "NOT_SERVING"),
        std::pair(kServiceUnknown, "SERVICE_UNKNOWN"),
        std::pair(kUnknown, "UNKNOWN"), std::pair(77, "status 77")}) {
    Connect();
    const int before = Watches();
    WireCall& call = Start();
    call.Read();
    ASSERT_TRUE(RunUntil([&] { return Watches() == before + 1; }));
    peer().Send(h2::Head(1) + Says(1, status));
    const absl::Status end = EndOf(call);
    EXPECT_EQ(end.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(end.message(), "the upstream cannot be reached");
    EXPECT_THAT(
        MessageForLog(end),
        HasSubstr(absl::StrCat(server_.address(), ": health check: ", name)));
    EXPECT_TRUE(upstream_->is_failing());
    // Nor is it asked by one connection after the other.
    EXPECT_EQ(EndOfNext().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(upstream_->channel_count(), 1u);
  }
  EXPECT_EQ(Calls(), 0);
}

TEST_F(H2HealthTest, CallsGoAgainWhenItServesAgain) {
  WireCall& running = OpenHealthy();
  peer().Send(Says(1, kNotServing));
  Settle();
  EXPECT_EQ(EndOfNext().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(upstream_->is_failing());
  // What runs goes on.
  EXPECT_FALSE(running.end);
  peer().Send(h2::Head(3) + h2::Message(3, "a"));
  EXPECT_TRUE(RunUntil([&] { return running.messages.size() == 1; }));
  peer().Send(Says(1, kServing));
  Settle();
  EXPECT_FALSE(upstream_->is_failing());
  Start();
  EXPECT_TRUE(RunUntil([&] { return Calls() == 2; }));
  EXPECT_EQ(server_.connections().size(), 1u);
}

TEST_F(H2HealthTest, CallsGoToWhoServes) {
  RawServer other(worker_);
  Connect(absl::StrCat("ipv4:", server_.address(), ",", other.address()));
  WireCall& call = Start();
  call.Read();
  ASSERT_TRUE(
      RunUntil([&] { return Watches() == 1 && other.StreamsOpened() == 1; }));
  peer().Send(h2::Head(1) + Says(1, kNotServing));
  Settle();
  EXPECT_FALSE(call.end);  // The other may still say yes.
  other.connections()[0].Send(h2::Head(1) + Says(1, kServing));
  ASSERT_TRUE(RunUntil([&] { return other.StreamsOpened() == 2; }));
  for (int i = 0; i < 5; ++i) Start();
  ASSERT_TRUE(RunUntil([&] { return other.StreamsOpened() == 7; }));
  EXPECT_EQ(Calls(), 0);
  EXPECT_FALSE(upstream_->is_failing());
  other.Close();
  calls_.clear();
  upstream_.reset();
  for (auto& connection : other.connections()) connection.Close();
}

// A server that has not this service is none that could be unhealthy.
TEST_F(H2HealthTest, UnimplementedIsHealthyForGood) {
  WireCall& call = StartAndBeAsked();
  peer().Send(h2::Headers(1,
                          {{":status", "200"},
                           {"content-type", "application/grpc"},
                           {"grpc-status", "12"}},
                          true));
  EXPECT_TRUE(RunUntil([&] { return Calls() == 1; }));
  for (int i = 0; i < 10; ++i) Tick();
  EXPECT_EQ(Watches(), 1);
  EXPECT_FALSE(call.end);
  EXPECT_FALSE(upstream_->is_failing());
}

// --- watches that fail ---

TEST_F(H2HealthTest, WatchThatEndsWithoutAnAnswerIsTriedAgainAfterAPause) {
  timing_.health_backoff = {milliseconds(50), milliseconds(50)};
  Connect();
  WireCall& call = StartAndBeAsked();
  peer().Send(h2::Head(1) + h2::Trailers(1, "14"));
  EXPECT_THAT(MessageForLog(EndOf(call)), HasSubstr("the watch has ended"));
  upstream_->OnTick(now_);
  Settle();
  EXPECT_EQ(Watches(), 1);
  EXPECT_TRUE(RunUntil([&] {
    upstream_->OnTick(now_ += absl::Seconds(1));
    return Watches() == 2;
  }));
  EXPECT_EQ(server_.connections().size(), 1u);
  peer().Send(h2::Head(3) + Says(3, kServing));
  Settle();
  Start();
  EXPECT_TRUE(RunUntil([&] { return Calls() == 1; }));
}

// No call goes until there is an answer again, but what answered before is
// asked at once.
TEST_F(H2HealthTest, WatchThatHadAnAnswerIsTriedAgainWithTheNextTick) {
  WireCall& running = OpenHealthy();
  peer().Send(h2::Trailers(1, "14"));
  Settle();
  EXPECT_EQ(EndOfNext().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Watches(), 1);
  Tick();
  EXPECT_EQ(Watches(), 2);
  EXPECT_EQ(EndOfNext().code(), absl::StatusCode::kUnavailable);
  peer().Send(h2::Head(5) + Says(5, kServing));
  Settle();
  Start();
  EXPECT_TRUE(RunUntil([&] { return Calls() == 2; }));
  EXPECT_FALSE(running.end);
}

// What an earlier watch has heard is not this one's: it waits like any other
// that was told nothing.
TEST_F(H2HealthTest, AnswerOfAnEarlierWatchDoesNotCount) {
  OpenHealthy();
  peer().Send(h2::Trailers(1, "14"));
  Settle();
  Tick();
  ASSERT_EQ(Watches(), 2);
  peer().Send(h2::Head(5) + h2::Trailers(5, "14"));
  Settle();
  Tick();
  Tick();
  EXPECT_EQ(Watches(), 2);
  EXPECT_EQ(EndOfNext().code(), absl::StatusCode::kUnavailable);
}

// Each is a watch that has failed: no crash, no call, one stream at a time.
TEST_F(H2HealthTest, AnswersThatMakeNoSenseAreNone) {
  const std::string head = h2::Head(1);
  const std::vector<std::string> answers = {
      h2::Headers(1, {{":status", "503"}}, true),
      h2::Headers(1, {{":status", "200"}, {"content-type", "text/html"}}) +
          h2::Data(1, "<html>"),
      head + h2::Trailers(1),  // OK, and no answer.
      head + h2::Data(1, "", true),
      head + h2::Data(1, "\x01", true),
      head + h2::Reset(1, NGHTTP2_INTERNAL_ERROR),
      h2::Reset(1, NGHTTP2_REFUSED_STREAM),
      head + h2::Message(1, "\x08"),  // Cut short.
      head + h2::Message(1, std::string(20, '\xFF')),
      head + h2::Message(1, std::string("\x0A\x7F", 2)),
      // Its status is no number.
      head + h2::Message(1, std::string("\x0A\x01\x01", 3)),
      head + h2::Message(1, ""),
      head + h2::Data(1, h2::Framed(GzipCompress("\x08\x01"), true)),
      head + h2::Data(1, "\x07nonsense"),
      // Longer than any answer.
      head + h2::Data(1, std::string("\0\x7F\xFF\xFF\xFF", 5)),
      head + h2::Message(1, std::string(5000, 0)),
  };
  for (std::size_t i = 0; i < answers.size(); ++i) {
    Connect();
    const int before = Watches();
    WireCall& call = Start();
    call.Read();
    ASSERT_TRUE(RunUntil([&] { return Watches() == before + 1; }));
    peer().Send(answers[i]);
    EXPECT_EQ(EndOf(call).code(), absl::StatusCode::kUnavailable) << i;
    Tick();
    EXPECT_LE(Watches(), before + 2) << i;
    EXPECT_EQ(upstream_->channel_count(), 1u) << i;
  }
  EXPECT_EQ(Calls(), 0);
}

TEST_F(H2HealthTest, AnswerIsReadFromAnyPieces) {
  StartAndBeAsked();
  for (const char c :
       h2::Headers(1, {{":status", "103"}}) + h2::Head(1) + h2::Data(1, "") +
           // A field that nobody knows yet, and the status twice.
           h2::Message(1, std::string("\x12\x02hi\x08\x02\x08\x01", 8))) {
    peer().Send(std::string(1, c));
    worker_.restart();
    worker_.poll();
  }
  EXPECT_TRUE(RunUntil([&] { return Calls() == 1; }));
}

// The window is given back, however long it goes on.
TEST_F(H2HealthTest, ManyAnswersAreTaken) {
  OpenHealthy();
  std::string answers;
  for (int i = 0; i < 1000; ++i) answers += Says(1, 1 + i % 2);
  for (int i = 0; i < 20; ++i) {
    peer().Send(answers);
    Settle();
  }
  EXPECT_GT(peer().WindowGiven(1), 64 * 1024);
  peer().Send(Says(1, kServing));
  Settle();
  Start();
  EXPECT_TRUE(RunUntil([&] { return Calls() == 2; }));
}

TEST_F(H2HealthTest, NoiseIsNoHarm) {
  std::mt19937 random(1);
  const std::vector<std::string> frames = {
      h2::Head(1),        Says(1, kServing),     Says(1, kNotServing),
      h2::Trailers(1),    h2::Trailers(1, "12"), h2::Data(1, std::string(3, 0)),
      h2::Reset(1, 8),    h2::GoAway(0),         h2::GoAway(1),
      h2::Message(1, "x")};
  for (int i = 0; i < 200; ++i) {
    Connect();
    const int before = Watches();
    WireCall& call = Start();
    call.Read();
    ASSERT_TRUE(RunUntil([&] { return Watches() > before; }));
    std::string bytes;
    for (int count = 1 + static_cast<int>(random() % 8); count > 0; --count) {
      bytes += frames[random() % frames.size()];
    }
    if (random() % 2 == 0) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    peer().Send(bytes);
    worker_.restart();
    worker_.run_for(milliseconds(2));
    upstream_->OnTick(now_ += absl::Seconds(1));
    worker_.restart();
    worker_.run_for(milliseconds(1));
    calls_.clear();
    upstream_.reset();
    for (auto& one : server_.connections()) one.Close();
  }
}

// --- time and room ---

TEST_F(H2HealthTest, ServerThatNeverAnswersIsUnavailable) {
  timing_.connect_timeout = milliseconds(50);
  Connect();
  WireCall& call = StartAndBeAsked();
  EXPECT_EQ(EndOf(call).code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageForLog(EndOf(call)), HasSubstr("no answer in time"));
  // By now nobody waits for it any more.
  EXPECT_EQ(EndOfNext().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(upstream_->channel_count(), 1u);
  EXPECT_TRUE(upstream_->is_failing());
  // It is late, and welcome.
  peer().Send(h2::Head(1) + Says(1, kServing));
  Settle();
  Start();
  EXPECT_TRUE(RunUntil([&] { return Calls() == 1; }));
}

// The check is one of the streams that a connection may have.
TEST_F(H2HealthTest, CheckTakesAPlace) {
  options_.settings.max_streams_per_channel = 3;
  Connect();
  OpenHealthy();
  Start();
  Start();
  ASSERT_TRUE(RunUntil([&] { return server_.connections().size() == 2; }));
  EXPECT_TRUE(RunUntil([&] { return peer(0).Count(NGHTTP2_HEADERS) == 3; }));
  ASSERT_TRUE(RunUntil([&] { return Watches() == 2; }));
  peer().Send(h2::Head(1) + Says(1, kServing));
  ASSERT_TRUE(RunUntil([&] { return Calls() == 3; }));
}

// As with transport grpc one call has its place in any case.
TEST_F(H2HealthTest, OneCallHasAPlaceBesideTheCheck) {
  options_.settings.max_streams_per_channel = 1;
  Connect();
  OpenHealthy();
  EXPECT_EQ(server_.connections().size(), 1u);
}

TEST_F(H2HealthTest, ServerWithRoomForTheCheckAloneIsUnavailable) {
  server_.set_greeting(
      h2::Settings({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1}}));
  const absl::Status end = EndOfNext();
  EXPECT_EQ(end.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageForLog(end), HasSubstr("health check"));
  EXPECT_LE(server_.connections().size(), 2u);
}

// The stream of the check is no call.
TEST_F(H2HealthTest, ConnectionsWithoutCallsGoAfterAWhile) {
  options_.settings.max_streams_per_channel = 2;
  Connect();
  OpenHealthy();
  Start();
  ASSERT_TRUE(RunUntil([&] { return Watches() == 2; }));
  peer().Send(h2::Head(1) + Says(1, kServing));
  ASSERT_TRUE(RunUntil([&] { return Calls() == 2; }));
  calls_.clear();
  Settle();
  Tick();
  EXPECT_EQ(upstream_->channel_count(), 2u);
  now_ += absl::Minutes(1);
  Tick();
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

// RFC 9113 section 6.8: the check does not keep a connection that is to go.
TEST_F(H2HealthTest, GoAwayEndsTheCheck) {
  WireCall& running = OpenHealthy();
  peer().Send(h2::GoAway(3));
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(1) >= 0; }));
  Settle();
  EXPECT_FALSE(running.end);
  EXPECT_FALSE(peer().ended());
  peer().Send(h2::Head(3) + h2::Trailers(3));
  ASSERT_TRUE(RunUntil([&] { return running.end.has_value(); }));
  EXPECT_TRUE(running.end->status.ok());
  EXPECT_TRUE(RunUntil([&] { return peer().ended(); }));
}

// A server that says yes and closes is not connected to without end.
TEST_F(H2HealthTest, ConnectionThatTookNoCallIsAFailure) {
  timing_.connect_backoff = {hours(1), hours(1)};
  server_.set_greeting(h2::Settings() + h2::GoAway(0));
  Connect();
  EXPECT_EQ(EndOfNext().code(), absl::StatusCode::kUnavailable);
  server_.set_greeting(h2::Settings());
  Connect();
  WireCall& call = StartAndBeAsked();
  peer().Close();
  EXPECT_EQ(EndOf(call).code(), absl::StatusCode::kUnavailable);
  const std::size_t before = server_.connections().size();
  for (int i = 0; i < 5; ++i) Tick();
  EXPECT_EQ(server_.connections().size(), before);
}

}  // namespace
}  // namespace headgate
