#include "gateway/session/grpc_multiplex_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gateway/base/message_framing.h"
#include "gateway/codec/dialect.h"
#include "tests/session/hello.h"
#include "tests/testing/fake_schema_source.h"
#include "tests/testing/fake_transport.h"
#include "tests/testing/fake_upstream.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Log;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;

constexpr std::uint32_t kLast = 0x80000000;
constexpr std::uint32_t kGoAway = 0x7FFFFFFF;

std::string Number(std::uint32_t number) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes += static_cast<char>(number >> shift & 0xFF);
  }
  return bytes;
}

std::string FramedMessage(absl::string_view message) {
  const MessagePrefix prefix = MakeMessagePrefix(0, message.size());
  return absl::StrCat(absl::string_view(prefix.data(), prefix.size()), message);
}

// The log shows what the client gets as "ws binary 1 headers",
// "ws binary 1 a" and "ws binary 1! grpc-status: 0", "!" for the last one of a
// call; a client that reads at once.
class GrpcMultiplexTest : public ::testing::Test {
 protected:
  GrpcMultiplexTest() { schemas_->schema = HelloSchema(); }

  void Start(std::vector<Route> routes = {Route{}}) {
    auto router = std::make_shared<const Router>(std::move(routes));
    SessionRequest request;
    request.id = "id";
    request.route = router->Find("h", "/s/m")->route;
    request.codec = &kGrpcWebSocketsMultiplexDialect;
    request.metadata = {{"x-player", "ann"}};
    request.router = std::move(router);
    request.host = "h";
    session_.emplace(std::move(request),
                     std::make_shared<const SessionContext>(SessionContext{
                         limits_, upstream_, schemas_, nullptr,
                         [this] {
                           return Moment{now_, now_};
                         },
                         nullptr, nullptr, "sub", count_identity_}),
                     transport_);
    session_->Start(now_);
  }
  void Send(std::uint32_t number, absl::string_view bytes) {
    session_->OnMessage({Opcode::kBinary, absl::StrCat(Number(number), bytes)});
  }
  void Open(std::uint32_t number, absl::string_view method = "s/m",
            absl::string_view more = "") {
    Send(number, absl::StrCat("grpc-websockets-path: ", method, "\r\n", more));
  }
  void Data(std::uint32_t number, absl::string_view message) {
    Send(number,
         absl::StrCat(absl::string_view("\0", 1), FramedMessage(message)));
  }
  void HalfClose(std::uint32_t number) { Send(number | kLast, "\x01"); }

  UpstreamCallObserver& backend(std::size_t index) {
    return upstream_->call(index).observer();
  }
  Log Steps() {
    Log steps;
    while (!log_.empty()) {
      const Log taken = std::exchange(log_, {});
      for (const std::string& step : taken) {
        steps.push_back(step);
        if (absl::StartsWith(step, "ws binary")) session_->OnWritten();
      }
    }
    return steps;
  }
  // Those for the client alone.
  Log Told() {
    Log told = Steps();
    told.erase(std::remove_if(told.begin(), told.end(),
                              [](const std::string& step) {
                                return !absl::StartsWith(step, "ws binary") &&
                                       !absl::StartsWith(step, "ws close");
                              }),
               told.end());
    return told;
  }

  static std::string Describe(const std::string& message) {
    std::uint32_t number = 0;
    for (int i = 0; i < 4; ++i) {
      number = number << 8 | static_cast<unsigned char>(message.at(i));
    }
    if (number == kGoAway) return "GOAWAY";
    const std::string who =
        absl::StrCat(number & ~kLast, (number & kLast) != 0 ? "!" : "");
    const std::string content = message.substr(9);
    if (message.at(4) == 0) return absl::StrCat(who, " ", content);
    if (absl::StartsWith(content, "content-type: ")) {
      return absl::StrCat(who, " headers");
    }
    return absl::StrCat(who, " ",
                        absl::StrReplaceAll(content, {{"\r\n", ";"}}));
  }

  testing::Log log_;
  const std::shared_ptr<testing::FakeUpstream> upstream_ =
      std::make_shared<testing::FakeUpstream>(log_);
  const std::shared_ptr<testing::FakeSchemaSource> schemas_ =
      std::make_shared<testing::FakeSchemaSource>();
  testing::FakeTransport transport_{log_, Describe};
  SessionLimits limits_;
  std::function<std::shared_ptr<void>(const std::string&)> count_identity_;
  absl::Time now_ = absl::UnixEpoch();
  std::optional<GrpcMultiplexSession> session_;
};

// --- Calls

TEST_F(GrpcMultiplexTest, TheHeadersOfACallNameItsMethod) {
  Start();
  Open(1, "s/m", "a: 1\r\ngrpc-timeout: 5S\r\n");
  EXPECT_THAT(Steps(), ElementsAre("ws read", "start /s/m", "read", "ws read"));
  EXPECT_THAT(upstream_->call(0).request().metadata,
              ElementsAre(Pair("x-player", "ann"), Pair("a", "1")));
  EXPECT_EQ(upstream_->call(0).request().timeout, absl::Seconds(5));
  Data(1, "a");
  EXPECT_THAT(Steps(), ElementsAre("write a", "ws read"));
}

TEST_F(GrpcMultiplexTest, CallsAreApart) {
  Start();
  Open(0);
  Open(7, "/s/other");
  Data(7, "b");
  Data(0, "a");
  EXPECT_THAT(Steps(), Contains("#1 write b"));
  EXPECT_EQ(upstream_->call(1).method(), "/s/other");
  backend(1).OnHeaders({});
  backend(1).OnMessage("y");
  backend(0).OnMessage("x");
  EXPECT_THAT(Told(), ElementsAre("ws binary 7 headers", "ws binary 7 y",
                                  "ws binary 0 headers", "ws binary 0 x"));
  backend(1).OnDone({absl::NotFoundError("gone"), "", {{"t", "1"}}});
  EXPECT_THAT(Told(),
              ElementsAre("ws binary 7! grpc-status: 5;grpc-message: gone;t: "
                          "1;"));
  Data(0, "c");
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(GrpcMultiplexTest, TheTopBitIsTheHalfClose) {
  Start();
  Open(1);
  HalfClose(1);
  EXPECT_THAT(Steps(), Contains("writes-done"));
  Open(2);
  Data(2 | kLast, "a");
  EXPECT_THAT(Steps(), Contains("#1 write a"));
  backend(1).OnWritten();
  EXPECT_THAT(Steps(), Contains("#1 writes-done"));
  Open(3 | kLast);
  EXPECT_THAT(Steps(), Contains("#2 writes-done"));
}

// What a client sends before it knows would open another call.
TEST_F(GrpcMultiplexTest, TheRestOfACallThatIsOverIsDropped) {
  Start();
  Open(1);
  backend(0).OnDone({absl::OkStatus(), ""});
  EXPECT_THAT(Told(), ElementsAre("ws binary 1 headers",
                                  "ws binary 1! grpc-status: 0;"));
  Data(1, "late");
  HalfClose(1);
  EXPECT_THAT(Told(), IsEmpty());
  Open(1);
  EXPECT_EQ(upstream_->call_count(), 2u);
}

TEST_F(GrpcMultiplexTest, AMessageMayComeInPieces) {
  Start();
  Open(1);
  Open(2);
  Steps();
  Send(1, absl::string_view("\0\0\0\0\0\2a", 7));
  Send(2, absl::string_view("\0\0\0\0\0\2x", 7));
  Send(1, absl::string_view("\0b", 2));
  EXPECT_THAT(Steps(), Contains("write ab"));
}

// --- Faults that end one call

TEST_F(GrpcMultiplexTest, AFaultInTheHeadersIsItsCallsAlone) {
  Start();
  Open(1);
  Steps();
  Send(2, "no header");
  Open(3, "s/m", "a: \xC3\xA4\r\n");
  Send(4, "a: 1\r\n");
  Open(5, "not-a-method");
  EXPECT_THAT(
      Told(),
      ElementsAre("ws binary 2 headers", HasSubstr("2! grpc-status: 3;"),
                  "ws binary 3 headers", HasSubstr("3! grpc-status: 3;"),
                  "ws binary 4 headers", HasSubstr("4! grpc-status: 3;"),
                  "ws binary 5 headers", HasSubstr("5! grpc-status: 12;")));
  Data(2, "late");
  Data(1, "a");
  EXPECT_THAT(Steps(), Contains("write a"));
  EXPECT_EQ(upstream_->call_count(), 1u);
}

// {"exp":100}
TEST_F(GrpcMultiplexTest, ATokenThatExpiresEndsItsCallAlone) {
  Route closes;
  closes.path = "/s/closes";
  closes.target = FixedMethod{"/s/closes"};
  closes.token = {TokenRule::Expiry::kCloses, absl::Seconds(10)};
  Start({closes, Route{}});
  constexpr absl::string_view kToken =
      "authorization: Bearer e30.eyJleHAiOjEwMH0.x\r\n";
  Open(1, "s/closes", kToken);
  Open(2, "s/m", kToken);
  Steps();
  now_ += absl::Seconds(109);
  session_->OnTick(now_);
  EXPECT_THAT(Told(), IsEmpty());
  now_ += absl::Seconds(1);
  session_->OnTick(now_);
  EXPECT_THAT(
      Told(),
      ElementsAre("ws binary 1 headers",
                  HasSubstr("1! grpc-status: 16;grpc-message: the token")));
  Open(3, "s/closes", kToken);
  EXPECT_THAT(Told(), Contains(HasSubstr("3! grpc-status: 16;")));
  Data(2, "a");
  EXPECT_THAT(Steps(), Contains("#1 write a"));
}

// An in-band head that says the token is of the client {"sub":NAME}.
std::string OfClient(absl::string_view name) {
  return absl::StrCat(
      "authorization: Bearer e30.",
      absl::WebSafeBase64Escape(absl::StrCat("{\"sub\":\"", name, "\"}")),
      ".x\r\n");
}

TEST_F(GrpcMultiplexTest, AClientIsCountedOnceHoweverManyCallsAreItsOwn) {
  int counted = 0;
  count_identity_ = [&](const std::string&) -> std::shared_ptr<void> {
    ++counted;
    if (counted > 1) return nullptr;
    return std::make_shared<int>();
  };
  Start();
  for (std::uint32_t number = 1; number <= 3; ++number) {
    Open(number, "s/m", OfClient("ann"));
  }
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_EQ(counted, 1);
  // The call of a client with too many sessions fails, the others go on.
  Open(4, "s/m", OfClient("bob"));
  EXPECT_THAT(Told(), Contains(HasSubstr("4! grpc-status: 8;")));
  Data(1, "a");
  EXPECT_THAT(Steps(), Contains("write a"));
}

TEST_F(GrpcMultiplexTest, TheCallsOfASocketAreForFewClients) {
  count_identity_ = [](const std::string&) { return std::make_shared<int>(); };
  Start();
  for (std::uint32_t number = 1; number <= 16; ++number) {
    Open(number, "s/m", OfClient(absl::StrCat(number)));
  }
  EXPECT_THAT(Told(), IsEmpty());
  Open(17, "s/m", OfClient("17"));
  EXPECT_THAT(Told(), Contains(HasSubstr("17! grpc-status: 8;")));
  Open(18, "s/m", OfClient("16"));
  EXPECT_THAT(Steps(), Contains("#16 start /s/m"));
}

TEST_F(GrpcMultiplexTest, SoIsOneInItsMessages) {
  Start();
  Open(1);
  Open(2);
  Steps();
  Send(1, "\x02");
  EXPECT_THAT(Told(), ElementsAre("ws binary 1 headers",
                                  HasSubstr("1! grpc-status: 3;")));
  Data(2, "a");
  EXPECT_THAT(Steps(), Contains("#1 write a"));
}

TEST_F(GrpcMultiplexTest, CallsAreBounded) {
  Start();
  for (std::uint32_t number = 0; number <= 100; ++number) Open(number);
  EXPECT_EQ(upstream_->call_count(), 100u);
  EXPECT_THAT(Told(), Contains(HasSubstr("100! grpc-status: 8;")));
}

TEST_F(GrpcMultiplexTest, APathOfAnotherUpstreamNeedsAnotherSocket) {
  Route other;
  other.path = "/o/m";
  other.upstream = "other";
  Route same;
  same.path = "/same";
  same.target = FixedMethod{"/s/fixed"};
  Start({other, same, Route{}});
  Open(1, "o/m");
  EXPECT_THAT(Told(), Contains(HasSubstr("1! grpc-status: 12;")));
  Open(2, "same");
  EXPECT_EQ(upstream_->call(0).method(), "/s/fixed");
}

// --- Flow control

TEST_F(GrpcMultiplexTest, AMessageForAFullCallWaits) {
  Start();
  Open(1);
  Steps();
  Data(1, std::string(70'000, 'a'));  // Is being written.
  Data(1, std::string(70'000, 'b'));  // Fills the window.
  EXPECT_TRUE(absl::StrContains(Steps().back(), "ws read"));
  Data(1, "c");
  EXPECT_THAT(Steps(), Not(Contains("ws read")));
  backend(0).OnWritten();
  EXPECT_THAT(Steps(), Contains("ws read"));
  backend(0).OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("write c"));
}

TEST_F(GrpcMultiplexTest, ItWaitsForTheDescriptorsToo) {
  schemas_->answers_at_once = false;
  Start();
  Open(1);
  Data(1, std::string(70'000, 'a'));
  Steps();
  Data(1, "b");
  EXPECT_THAT(Steps(), IsEmpty());
  schemas_->Answer();
  EXPECT_THAT(Steps(), Contains("start /s/m"));
  backend(0).OnWritten();
  EXPECT_THAT(Steps(), Contains("write b"));
}

TEST_F(GrpcMultiplexTest, TheBeginningsOfMessagesAreBounded) {
  Start();
  const std::string half = absl::StrCat(
      absl::string_view("\0", 1),
      FramedMessage(std::string(1'000'000, 'a')).substr(0, 900'000));
  for (std::uint32_t number = 0; number < 10; ++number) {
    Open(number);
    Send(number, half);
  }
  EXPECT_THAT(Told(), Contains(HasSubstr("! grpc-status: 8;")));
  EXPECT_LT(session_->held_bytes(), 4u << 20);
}

// --- The end

TEST_F(GrpcMultiplexTest, AFaultOfTheFramingEndsAllCalls) {
  for (const std::string& message :
       {std::string("abc"), Number(1), Number(kGoAway | kLast)}) {
    Start();
    Open(5);
    Steps();
    session_->OnMessage({Opcode::kBinary, message});
    EXPECT_THAT(Told(), ElementsAre("ws binary 5 headers",
                                    HasSubstr("5! grpc-status: 3;"),
                                    StartsWith("ws close 1002")));
  }
}

TEST_F(GrpcMultiplexTest, TextIsTheWrongOpcode) {
  Start();
  session_->OnMessage({Opcode::kText, ""});
  EXPECT_THAT(Told(), ElementsAre(StartsWith("ws close 1003")));
}

TEST_F(GrpcMultiplexTest, AClientThatLeavesCancelsItsCalls) {
  Start();
  Open(1);
  Open(2);
  Steps();
  session_->OnClosed(
      {TransportEnd::Cause::kClosedByClient, CloseCode::kNormal, ""});
  EXPECT_THAT(Steps(), ::testing::UnorderedElementsAre("cancel", "#1 cancel"));
}

TEST_F(GrpcMultiplexTest, ADrainIsToldAndOpenCallsMayEnd) {
  Start();
  Open(1);
  Steps();
  session_->Drain({now_, now_ + absl::Seconds(10), "the gateway stops"});
  EXPECT_THAT(Steps(), ElementsAre("ws binary GOAWAY"));
  Send(kGoAway | kLast, "\x01");
  Data(1, "a");
  EXPECT_THAT(Steps(), Contains("write a"));
  now_ += absl::Seconds(5);
  session_->OnTick(now_);
  EXPECT_THAT(Told(), IsEmpty());
  backend(0).OnDone({absl::OkStatus(), ""});
  session_->OnTick(now_);
  EXPECT_THAT(Told(),
              ElementsAre("ws binary 1 headers", "ws binary 1! grpc-status: 0;",
                          StartsWith("ws close 1001")));
}

TEST_F(GrpcMultiplexTest, ADrainDoesNotWaitForCallsWithoutEnd) {
  Start();
  Open(1);
  Steps();
  session_->Drain({now_, now_ + absl::Seconds(10), "the gateway stops"});
  Steps();
  for (int i = 0; i < 2; ++i) {
    now_ += absl::Seconds(9);
    session_->OnTick(now_);
  }
  EXPECT_THAT(Told(), ElementsAre("ws binary 1 headers",
                                  HasSubstr("1! grpc-status: 14;"),
                                  StartsWith("ws close 1001")));
}

TEST_F(GrpcMultiplexTest, AnIdleSocketIsClosedBehindGoAway) {
  Start();
  session_->Drain({now_, now_ + absl::Seconds(10), "the gateway stops"});
  EXPECT_THAT(Told(),
              ElementsAre("ws binary GOAWAY", StartsWith("ws close 1001")));
}

TEST_F(GrpcMultiplexTest, NoCallOpensOnceGoAwayWasAcknowledged) {
  Start();
  Open(1);
  session_->Drain({now_, now_ + absl::Seconds(10), "the gateway stops"});
  Open(2);
  EXPECT_EQ(upstream_->call_count(), 2u);
  Send(kGoAway | kLast, "\x01");
  Steps();
  Open(3);
  EXPECT_THAT(Told(), Contains(StartsWith("ws close 1002")));
}

}  // namespace
}  // namespace headgate
