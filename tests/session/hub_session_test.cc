#include "gateway/session/hub_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "headgate/v1/hub_backend.pb.h"
#include "tests/session/unknown_type.h"
#include "tests/testing/fake_schema_source.h"
#include "tests/testing/fake_upstream.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// A WebSocket that takes as many frames as the test lets it.
class FrameTransport final : public Transport {
 public:
  explicit FrameTransport(testing::Log& log) : log_(log) {}

  void Read() override { log_.push_back("read"); }
  void SendHead(OutHead /*head*/) override {}
  bool head_is_sent() const override { return true; }
  void Write(WireMessage message) override {
    log_.push_back("write " + message.payload);
  }
  FramesTaken WriteFrames(absl::Span<const ws::FrameRef> frames,
                          ws::WriteUntil /*until*/) override {
    if (!takes_) {
      Log("blocked", frames.first(1));
      return {1, true};
    }
    Log("frames", frames);
    return {frames.size(), false};
  }
  void WriteLastFrames(absl::Span<const ws::FrameRef> frames) override {
    Log("last", frames);
  }
  std::size_t unsent_bytes() const override { return unsent_; }
  void Close(const OutEnd& end) override {
    log_.push_back(absl::StrCat("close ", static_cast<int>(end.ending.close),
                                " ", end.ending.end.status.message()));
  }

  bool takes_ = true;
  std::size_t unsent_ = 0;

 private:
  // Payloads of up to 125 bytes, in frames of a server.
  void Log(absl::string_view what, absl::Span<const ws::FrameRef> frames) {
    std::string line(what);
    for (const ws::FrameRef& frame : frames) {
      absl::StrAppend(&line, " ", frame.bytes().substr(2));
    }
    log_.push_back(line);
  }

  testing::Log& log_;
};

class HubSessionTest : public ::testing::Test {
 protected:
  HubSessionTest() { target_.slow.warn_bytes = 0; }

  void Start(const Dialect& codec = kRawDialect) {
    port_ = std::make_shared<HubPort>(
        target_, form_, 0, 1, [] {}, nullptr,
        std::make_shared<PinnedFrames>(pinned_limit_));
    HubArrival arrival;
    arrival.codec = HubCodecOf(codec);
    auto member = HubPort::Join(port_, std::move(arrival), nullptr);
    SessionRequest request;
    request.id = "id";
    request.route = std::make_shared<Route>();
    request.codec = &codec;
    session_.emplace(
        std::move(request),
        std::make_shared<const SessionContext>(SessionContext{
            SessionLimits{}, std::make_shared<testing::FakeUpstream>(log_),
            schemas_}),
        std::move(member), transport_);
    session_->Start(now_);
    port_->TakeEvents();
    log_.clear();
  }

  // --- The client ---

  void Text(const std::string& text) {
    session_->OnMessage({Opcode::kText, text});
  }
  void Gone(TransportEnd end) { session_->OnClosed(end); }
  void Pass(absl::Duration time) { session_->OnTick(now_ += time); }

  // --- The hub ---

  void Deliver(const std::string& text, const std::string& key = "",
               HubReport report = {}) {
    HubDeliver deliver{{1}, Frame(text), key, report};
    deliver.policy = target_.slow.policy;
    Apply(std::move(deliver));
  }
  template <typename Command>
  void Apply(Command command) {
    HubCommands commands;
    commands.commands.emplace_back(std::move(command));
    port_->Take(std::move(commands));
    while (port_->ApplySlice()) {
    }
  }
  void Return(std::size_t bytes) {
    HubCommands commands;
    commands.credit.push_back({1, bytes, bytes});
    port_->Take(std::move(commands));
    port_->ApplySlice();
  }
  static HubFrame Frame(const std::string& text) {
    return std::make_shared<const WireMessage>(
        WireMessage{Opcode::kText, text});
  }

  // What the session has told the hub since the last look.
  std::vector<std::string> Events() {
    HubEvents events = port_->TakeEvents();
    dropped_ += events.dropped;
    std::vector<std::string> shown;
    for (const auto& [who, wait] : events.waits) {
      shown.push_back(wait == HubWait::kBegins  ? "wait"
                      : wait == HubWait::kTaken ? "go on"
                                                : "go on without");
    }
    for (const HubEvent& event : events.events) {
      if (const auto* body = std::get_if<HubEventBody>(&event.what)) {
        v1::Event parsed;
        EXPECT_TRUE(parsed.ParseFromString(body->bytes));
        shown.push_back(
            parsed.has_message()
                ? "message " + parsed.message().payload().text() +
                      parsed.message().payload().message()
            : parsed.has_pong()
                ? absl::StrCat("pong ", parsed.pong().ShortDebugString())
            : parsed.has_sent()
                ? absl::StrCat("sent ", parsed.sent().command(), " of ",
                               body->report_of)
                : absl::StrCat("backlog ",
                               parsed.backlog().over() ? "over" : "",
                               " dropped ", parsed.backlog().dropped()));
      } else if (const auto* end = std::get_if<HubDeparture>(&event.what)) {
        shown.push_back(absl::StrCat(
            "departed ", static_cast<int>(end->code), " cause ",
            static_cast<int>(end->cause), " unsent ", end->messages_unsent,
            end->reason.empty() ? "" : " ", end->reason));
      }
    }
    return shown;
  }
  testing::Log Steps() { return std::exchange(log_, {}); }

  testing::Log log_;
  HubTarget target_;
  HubForm form_;
  std::size_t pinned_limit_ = PinnedFrames::kNoLimit;
  absl::Time now_ = absl::UnixEpoch();
  FrameTransport transport_{log_};
  const std::shared_ptr<testing::FakeSchemaSource> schemas_ =
      std::make_shared<testing::FakeSchemaSource>();
  std::shared_ptr<HubPort> port_;
  std::optional<HubSession> session_;
  std::uint64_t dropped_ = 0;
};

TEST_F(HubSessionTest, WhatTheClientSaysIsAnEventAndTheNextIsRead) {
  Start();
  Text("a");
  EXPECT_THAT(Events(), ElementsAre("message a"));
  EXPECT_THAT(Steps(), ElementsAre("read"));
}

TEST_F(HubSessionTest, ASessionThatPinsTooMuchIsEndedAsSlow) {
  pinned_limit_ = 400;
  target_.slow.policy = SlowClientSettings::Policy::kDropOldest;
  Start();
  transport_.takes_ = false;
  const std::string text(90, 'x');
  for (int i = 0; i < 4; ++i) Deliver(text);
  EXPECT_THAT(Events(), IsEmpty());
  // The transport has the first.
  for (int i = 0; i < 2; ++i) Deliver(text);
  EXPECT_THAT(Events(), ElementsAre("departed 4008 cause 6 unsent 5 too slow"));
  EXPECT_THAT(Steps(), ElementsAre("blocked " + text, "close 4008 too slow"));
}

TEST_F(HubSessionTest, ASessionWhoseClientTakesAllPinsNothing) {
  pinned_limit_ = 400;
  Start();
  const std::string text(90, 'x');
  for (int i = 0; i < 20; ++i) Deliver(text);
  EXPECT_THAT(Events(), IsEmpty());
  EXPECT_EQ(Steps().size(), 20u);
}

TEST_F(HubSessionTest, TheClientIsReadWhileTheHubHasRoom) {
  target_.session_events_bytes = 100;
  Start();
  const std::string text(200, 'x');
  Text(text);
  EXPECT_THAT(Events(), ElementsAre("message " + text));
  // The message was taken; the next is not asked for.
  EXPECT_THAT(Steps(), IsEmpty());
  Return(1000);
  EXPECT_THAT(Steps(), ElementsAre("read"));
}

// No other session waits for what this one's client has sent.
TEST_F(HubSessionTest, AMessageAndThoseBehindItWaitForTheTypeOfAnAny) {
  UnknownType type(*schemas_);
  form_.message = "s.M";
  Start(kJsonDialect);
  Text(std::string("{}") + UnknownType::kJson + "{}");
  EXPECT_THAT(Events(), ElementsAre("message "));
  EXPECT_THAT(schemas_->awaited_types(), ElementsAre("t.T"));
  EXPECT_FALSE(session_->is_at_rest());
  Deliver("b");
  EXPECT_THAT(Steps(), ElementsAre("frames b"));
  type.Answer();
  EXPECT_THAT(Events(),
              ElementsAre("message " + UnknownType::Message(), "message "));
  EXPECT_THAT(Steps(), ElementsAre("read"));
}

TEST_F(HubSessionTest, AMessageOfATypeThatTheServerDoesNotKnowEndsIt) {
  UnknownType type(*schemas_);
  form_.message = "s.M";
  Start(kJsonDialect);
  Text(UnknownType::kJson);
  Pass(absl::Seconds(1));
  EXPECT_THAT(Steps(), IsEmpty());
  Pass(absl::Seconds(6));
  EXPECT_THAT(Steps(), Contains(StartsWith("close 4003 ")));
  type.Answer();
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(HubSessionTest, AClientThatLeavesWaitsForNoType) {
  UnknownType type(*schemas_);
  form_.message = "s.M";
  Start(kJsonDialect);
  Text(UnknownType::kJson);
  Gone({TransportEnd::Cause::kClosedByClient, CloseCode::kNormal, ""});
  Events();
  type.Answer();
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(HubSessionTest, AFaultOfTheClientsEndsIt) {
  Start(kPacketDialect);
  session_->OnMessage({Opcode::kBinary, "short"});
  EXPECT_THAT(Steps(), Contains(StartsWith("close 1002 ")));
  Gone({TransportEnd::Cause::kClosedByGateway, CloseCode::kProtocolError, ""});
  const std::vector<std::string> events = Events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_TRUE(absl::StartsWith(events[0], "departed 1002 cause 5 unsent 0"))
      << events[0];
}

TEST_F(HubSessionTest, MessagesLeaveInTheirOrder) {
  Start();
  Deliver("a");
  Deliver("b");
  EXPECT_THAT(Steps(), ElementsAre("frames a", "frames b"));
}

TEST_F(HubSessionTest, WhatWaitsForASlowClientLeavesTogether) {
  Start();
  transport_.takes_ = false;
  Deliver("a");
  Deliver("b");
  Deliver("c");
  EXPECT_THAT(Steps(), ElementsAre("blocked a"));
  EXPECT_FALSE(session_->is_at_rest());
  transport_.takes_ = true;
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("frames b c"));
  EXPECT_TRUE(session_->is_at_rest());
}

TEST_F(HubSessionTest, TheStreamWaitsUntilTheClientHasTakenEnough) {
  target_.slow.policy = SlowClientSettings::Policy::kBlock;
  target_.slow.max_messages = 2;
  Start();
  transport_.takes_ = false;
  for (const char* text : {"a", "b", "c"}) Deliver(text);
  EXPECT_THAT(Events(), IsEmpty());  // The transport has the first.
  Deliver("d");
  EXPECT_THAT(Events(), ElementsAre("wait"));
  Pass(absl::Seconds(10));  // It is for the hub to decide.
  EXPECT_THAT(Events(), IsEmpty());
  transport_.takes_ = true;
  session_->OnWritten();
  EXPECT_THAT(Events(), ElementsAre("go on"));
  EXPECT_THAT(Steps(), ElementsAre("blocked a", "frames b c d"));
}

TEST_F(HubSessionTest, AClientThatIsWaitedForInVainIsSlow) {
  target_.slow.policy = SlowClientSettings::Policy::kBlock;
  target_.slow.max_messages = 2;
  Start();
  transport_.takes_ = false;
  for (const char* text : {"a", "b", "c", "d"}) Deliver(text);
  Events();
  Apply(HubClose{{1},
                 EndingOf(absl::ResourceExhaustedError("too slow")),
                 HubDeparture::Cause::kSlow});
  EXPECT_THAT(Events(), ElementsAre("go on without",
                                    "departed 4008 cause 6 unsent 3 too slow"));
  EXPECT_THAT(Steps(), ElementsAre("blocked a", "close 4008 too slow"));
}

TEST_F(HubSessionTest, ASessionThatEndsHoldsTheStreamNoLonger) {
  target_.slow.policy = SlowClientSettings::Policy::kBlock;
  target_.slow.max_messages = 2;
  for (const bool is_closed : {false, true}) {
    Start();
    transport_.takes_ = false;
    for (const char* text : {"a", "b", "c", "d"}) Deliver(text);
    EXPECT_THAT(Events(), ElementsAre("wait"));
    if (is_closed) {  // Its last messages may take long.
      Ending ending;
      ending.close = CloseCode::kNormal;
      Apply(HubClose{{1}, ending});
      EXPECT_THAT(Events(), ElementsAre("go on without"));
    } else {
      Gone({TransportEnd::Cause::kLost, CloseCode::kAbnormal, ""});
      EXPECT_THAT(Events(), Contains(StartsWith("departed")));
    }
    transport_.takes_ = true;
  }
}

TEST_F(HubSessionTest, ASlowClientIsDisconnectedAndToldAtOnce) {
  target_.slow.max_messages = 2;
  Start();
  transport_.takes_ = false;
  for (const char* text : {"a", "b", "c", "d"}) Deliver(text);
  EXPECT_THAT(Events(), IsEmpty());
  Pass(absl::Milliseconds(100));
  EXPECT_THAT(Events(), ElementsAre("departed 4008 cause 6 unsent 3 too slow"));
  Gone({});
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(HubSessionTest, DroppedMessagesAreCountedAndTold) {
  target_.slow.policy = SlowClientSettings::Policy::kDropOldest;
  target_.slow.max_messages = 2;
  target_.slow.warn_bytes = 4;
  Start();
  transport_.takes_ = false;
  for (const char* text : {"a", "b", "c", "d", "e"}) Deliver(text);
  Pass(absl::Milliseconds(100));
  EXPECT_THAT(Events(), ElementsAre("backlog over dropped 0"));
  EXPECT_EQ(dropped_, 2u);
  transport_.takes_ = true;
  Steps();
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("frames d e"));
  EXPECT_THAT(Events(), ElementsAre("backlog  dropped 2"));
  EXPECT_EQ(dropped_, 2u);
}

TEST_F(HubSessionTest, ABacklogIsToldWhereTheHubHasRoom) {
  target_.slow.policy = SlowClientSettings::Policy::kDropOldest;
  target_.slow.warn_bytes = 1;
  target_.session_events_bytes = 100;
  Start();
  Text(std::string(100, 'x'));
  Events();
  transport_.takes_ = false;
  Deliver("a");
  Deliver("b");
  EXPECT_THAT(Events(), IsEmpty());
  Return(1000);
  Pass(absl::Milliseconds(100));
  EXPECT_THAT(Events(), ElementsAre("backlog over dropped 0"));
}

TEST_F(HubSessionTest, PongsAreToldWhereTheRouteWantsThemAndTheHubHasRoom) {
  Start();
  session_->OnPong(absl::Milliseconds(5));
  EXPECT_THAT(Events(), IsEmpty());

  target_.reports_pongs = true;
  target_.session_events_bytes = 300;
  Start();
  session_->OnPong(absl::Milliseconds(2005));
  session_->OnPong(-absl::Milliseconds(1));
  EXPECT_THAT(Events(),
              ElementsAre("pong round_trip { seconds: 2 nanos: 5000000 }",
                          "pong round_trip { }"));
  Text(std::string(300, 'x'));
  Events();
  session_->OnPong(absl::Milliseconds(5));
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(HubSessionTest, AFarewellLeavesBehindWhatWaits) {
  Start();
  transport_.takes_ = false;
  Deliver("a");
  Deliver("b");
  HubClose close{{1}, EndingOf(absl::NotFoundError("bye"))};
  close.farewell = Frame("farewell");
  Apply(std::move(close));
  EXPECT_THAT(Steps(),
              ElementsAre("blocked a", "last b farewell", "close 4005 bye"));
  Gone({TransportEnd::Cause::kClosedByGateway, static_cast<CloseCode>(4005),
        ""});
  EXPECT_THAT(Events(), ElementsAre("departed 4005 cause 4 unsent 0 bye"));
}

TEST_F(HubSessionTest, CloseNowLeavesOutWhatWaits) {
  Start();
  transport_.takes_ = false;
  Deliver("a");
  Deliver("b");
  HubClose close{{1}, EndingOf(absl::NotFoundError("bye"))};
  close.farewell = Frame("farewell");
  close.now = true;
  Apply(std::move(close));
  Deliver("too late");
  EXPECT_THAT(Steps(),
              ElementsAre("blocked a", "last farewell", "close 4005 bye"));
  Gone({TransportEnd::Cause::kClosedByGateway, static_cast<CloseCode>(4005),
        ""});
  EXPECT_THAT(Events(), ElementsAre("departed 4005 cause 4 unsent 1 bye"));
}

// Its connection may be one that nobody has noticed to be dead.
TEST_F(HubSessionTest, OneThatWasResumedEndsForTheHubAtOnce) {
  Start();
  transport_.takes_ = false;
  Deliver("a");
  Deliver("b");
  HubClose close{{1},
                 EndingOf(absl::AbortedError("resumed")),
                 HubDeparture::Cause::kReplaced};
  close.now = true;
  Apply(std::move(close));
  EXPECT_THAT(Events(), ElementsAre("departed 4010 cause 8 unsent 1 resumed"));
  EXPECT_THAT(Steps(), ElementsAre("blocked a", "close 4010 resumed"));
  Gone({TransportEnd::Cause::kClosedByGateway, static_cast<CloseCode>(4010),
        ""});
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(HubSessionTest, AClientThatLeavesIsToldWithItsCode) {
  Start();
  transport_.takes_ = false;
  Deliver("a");
  Deliver("b");
  Gone({TransportEnd::Cause::kClosedByClient, static_cast<CloseCode>(4321),
        "bye"});
  EXPECT_THAT(Events(), ElementsAre("departed 4321 cause 1 unsent 1 bye"));
}

TEST_F(HubSessionTest, ItExpiresWhenItIsTold) {
  Start();
  Apply(HubExpire{1, now_ + absl::Seconds(5)});
  Pass(absl::Seconds(4));
  EXPECT_THAT(Steps(), IsEmpty());
  Pass(absl::Seconds(1));
  EXPECT_THAT(Steps(), ElementsAre("close 4016 the token has expired"));
  Gone({TransportEnd::Cause::kClosedByGateway, static_cast<CloseCode>(4016),
        ""});
  EXPECT_THAT(Events(),
              ElementsAre("departed 4016 cause 7 unsent 0 the token has "
                          "expired"));
}

TEST_F(HubSessionTest, SentIsToldWhenTheConnectionHasTakenAllOfIt) {
  Start();
  Deliver("a", "", {7, 1});
  EXPECT_THAT(Events(), ElementsAre("sent 7 of 1"));
  transport_.unsent_ = 1;
  Deliver("b", "", {8, 1});
  EXPECT_THAT(Events(), IsEmpty());
  EXPECT_FALSE(session_->is_at_rest());
  transport_.unsent_ = 2 + 4;  // The frame of "cccc", of which nothing left.
  Deliver("cccc");
  EXPECT_THAT(Events(), ElementsAre("sent 8 of 1"));
  transport_.unsent_ = 1;
  Deliver("d", "", {9, 2});
  Pass(absl::Milliseconds(100));
  EXPECT_THAT(Events(), IsEmpty());
  transport_.unsent_ = 0;
  Pass(absl::Milliseconds(100));
  EXPECT_THAT(Events(), ElementsAre("sent 9 of 2"));
}

}  // namespace
}  // namespace headgate
