// Frames by hand against a session: what no peer of ours would send.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/h2/peers.h"

namespace headgate::h2 {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

class HostileClientTest : public ::testing::Test {
 protected:
  HostileClientTest() {
    options_.role = Role::kServer;
    options_.flood = ServerFloodLimits();
    acceptor_.logs_fields = false;
    Make();
  }
  void Make() {
    session_ = std::make_unique<Session>(options_, &acceptor_, now_);
    sent_.clear();
    EXPECT_TRUE(Give(absl::StrCat(kPreface, Settings())).ok());
  }
  // What comes of it; the answers are in sent_.
  absl::Status Give(const std::string& bytes) {
    session_->OnWireBytes(bytes.size());
    absl::Status status = session_->Receive(bytes, now_);
    status.Update(session_->CheckFlood(now_));
    status.Update(session_->Send(1 << 20, sent_));
    return status;
  }
  // The status after at most `most` times, and how many it took.
  absl::Status Flood(const std::function<std::string(int)>& words, int most) {
    for (times_ = 1; times_ <= most; ++times_) {
      absl::Status status = Give(words(times_));
      if (!status.ok()) return status;
      sent_.clear();
    }
    return absl::OkStatus();
  }
  static std::string Request(int id, bool end_stream = true) {
    return Headers(id, kRequest, end_stream);
  }

  Time now_{seconds(1000)};
  Log log_;
  SessionOptions options_;
  LoggedAcceptor acceptor_{log_};
  std::unique_ptr<Session> session_;
  std::string sent_;
  int times_ = 0;
};

// CVE-2023-44487: a request costs more than its cancellation.
TEST_F(HostileClientTest, RapidResetEndsTheConnection) {
  const auto words = [](int i) {
    return Request(2 * i - 1, false) + Reset(2 * i - 1, kCancel);
  };
  EXPECT_THAT(std::string(Flood(words, 1000).message()),
              HasSubstr("floods the connection with streams that end early"));
  EXPECT_EQ(times_, options_.flood.resets + 1);
}

// The same, when the client has the server reset them.
TEST_F(HostileClientTest, ResetsThatTheClientCausesCount) {
  const auto words = [](int i) {
    return Request(2 * i - 1, false) + WindowUpdate(2 * i - 1, 0x7FFFFFFF);
  };
  EXPECT_FALSE(Flood(words, 1000).ok());
  EXPECT_LE(times_, options_.flood.resets + 2);
}

TEST_F(HostileClientTest, StreamsAboveTheLimitCount) {
  options_.max_streams = 1;
  Make();
  ASSERT_TRUE(Give(Frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "")).ok());
  ASSERT_TRUE(Give(Request(1, false)).ok());
  const auto words = [](int i) { return Request(2 * i + 1, false); };
  EXPECT_FALSE(Flood(words, 1000).ok());
  EXPECT_EQ(acceptor_.streams.size(), 1u);
}

// A few now and then are fine, for as long as it takes.
TEST_F(HostileClientTest, ResetsNowAndThenAreFine) {
  const auto words = [this](int i) {
    now_ += std::chrono::milliseconds(100);
    return Request(2 * i - 1, false) + Reset(2 * i - 1, kCancel);
  };
  EXPECT_TRUE(Flood(words, 2000).ok());
}

TEST_F(HostileClientTest, EachNuisanceHasALimit) {
  const struct {
    const char* name;
    std::string words;
    int most;
  } floods[] = {
      {"PING", Frame(NGHTTP2_PING, 0, 0, "12345678"), options_.flood.pings},
      {"SETTINGS", Settings(), options_.flood.settings},
      {"empty DATA", Data(1, ""), options_.flood.empty_data},
  };
  for (const auto& flood : floods) {
    Make();
    ASSERT_TRUE(Give(Request(1, false)).ok());
    const absl::Status status = Flood([&](int) { return flood.words; }, 10'000);
    EXPECT_THAT(std::string(status.message()), HasSubstr(flood.name));
    // The first SETTINGS were the preface's.
    EXPECT_GE(times_, flood.most) << flood.name;
    EXPECT_LE(times_, flood.most + 1) << flood.name;
  }
}

// What has no count has its bytes.
TEST_F(HostileClientTest, BytesOfNoUseEndTheConnection) {
  const std::pair<const char*, std::string> floods[] = {
      {"PING with ACK", Frame(NGHTTP2_PING, 1, 0, "12345678")},
      {"WINDOW_UPDATE", WindowUpdate(1, 1) + WindowUpdate(0, 1)},
      {"PRIORITY", Frame(NGHTTP2_PRIORITY, 0, 3, std::string(5, 1))},
      {"unknown frames", Frame(0xFA, 0, 0, "?")},
      {"padding", Frame(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1,
                        "\xFF" + std::string(255, 0))},
      {"GOAWAY", GoAway(0)},
  };
  for (const auto& [name, words] : floods) {
    Make();
    ASSERT_TRUE(Give(Request(1, false)).ok());
    std::string many;
    while (many.size() < 8 * 1024) many += words;
    EXPECT_FALSE(Flood([&](int) { return many; }, 1000).ok()) << name;
  }
}

// A block that never ends (CONTINUATION without END_HEADERS).
TEST_F(HostileClientTest, BlockWithoutEndEndsTheConnection) {
  for (const std::string& more :
       {Frame(NGHTTP2_CONTINUATION, 0, 1, ""),
        Frame(NGHTTP2_CONTINUATION, 0, 1,
              Encode({{"a", std::string(9000, '%')}}))}) {
    Make();
    ASSERT_TRUE(Give(Frame(NGHTTP2_HEADERS, 0, 1, Encode(kRequest))).ok());
    std::string many;
    while (many.size() < 8 * 1024) many += more;
    EXPECT_FALSE(Flood([&](int) { return many; }, 1000).ok());
  }
}

// A client that gives no window gets no data, and holds none but the stream's.
TEST_F(HostileClientTest, ZeroWindowStallsItsStreamUntilItIsGivenUp) {
  session_ = std::make_unique<Session>(options_, &acceptor_, now_);
  ASSERT_TRUE(
      Give(absl::StrCat(kPreface,
                        Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}}),
                        Request(1)))
          .ok());
  LoggedStream& stream = acceptor_.streams.back();
  session_->Respond(stream, Views({{":status", "200"}}), /*has_body=*/true);
  stream.Put("x", /*last=*/true);
  session_->OnTime(now_);
  EXPECT_EQ(stream.unsent(), 1u);
  ASSERT_TRUE(Give("").ok());
  session_->OnTime(now_);
  session_->OnTime(now_ + options_.stall_timeout - seconds(1));
  EXPECT_EQ(session_->stream_count(), 1u);
  session_->OnTime(now_ + options_.stall_timeout);
  EXPECT_EQ(session_->stream_count(), 0u);
}

TEST_F(HostileClientTest, WhatIsNotHttp2IsNamed) {
  session_ = std::make_unique<Session>(options_, &acceptor_, now_);
  EXPECT_EQ(Give("GET / HTTP/1.1\r\nHost: h\r\n\r\n").code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(HostileClientTest, MalformedRequestsAreResetAlone) {
  ASSERT_TRUE(Give(Request(1, false)).ok());
  const Fields bad[] = {
      {{":method", "POST"}},
      {{":method", "POST"}, {":path", "/"}, {":scheme", "http"}, {"A", "b"}},
      {{":method", "POST"},
       {":path", "/"},
       {":scheme", "http"},
       {"connection", "close"}},
      {{":method", "CONNECT"},
       {":protocol", "x"},
       {":authority", "h"},
       {":path", "/"},
       {":scheme", "http"}},
  };
  int id = 3;
  for (const Fields& fields : bad) {
    EXPECT_TRUE(Give(Headers(id, fields)).ok());
    EXPECT_THAT(sent_, HasSubstr(Reset(id, kProtocolError))) << id;
    id += 2;
  }
  EXPECT_EQ(session_->stream_count(), 1u);
}

// Streams that it has refused get a number and no object.
// A malformed field ends its stream; what ends the connection later is another
// reason, and a value may be a token.
TEST_F(HostileClientTest, ReasonsQuoteNoField) {
  Fields fields = kRequest;
  fields.emplace_back("authorization", "Bearer s3cr3t\x01");
  const std::string malformed = Headers(1, fields, true);
  const std::string fatal = Frame(NGHTTP2_PING, 0, 0, "x");
  const absl::Status together = Give(malformed + fatal);
  Make();
  EXPECT_TRUE(Give(malformed).ok());
  const absl::Status apart = Give(fatal);
  for (const absl::Status& status : {together, apart}) {
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("s3cr3t")));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("authorization")));
  }
}

// nghttp2 sends header blocks of up to 64 KiB.
TEST_F(HostileClientTest, ResponseThatCannotBeSentResetsItsStream) {
  EXPECT_TRUE(Give(Request(1)).ok());
  session_->Respond(
      acceptor_.streams[0],
      Views({{":status", "200"}, {"x", std::string(70'000, 'x')}}),
      /*has_body=*/true);
  EXPECT_TRUE(Give("").ok());
  EXPECT_THAT(sent_, HasSubstr(Reset(1, kInternalError)));
  EXPECT_EQ(acceptor_.streams[0].session(), nullptr);
}

TEST_F(HostileClientTest, NoiseEndsInAStatusOrIsTaken) {
  std::uint32_t seed = 7;
  for (int round = 0; round < 300; ++round) {
    Make();
    std::string noise;
    for (int i = 0; i < 200; ++i) {
      seed = seed * 1664525 + 1013904223;
      noise.push_back(static_cast<char>(seed >> 16));
    }
    // As frames whose length is right, and as it is.
    for (std::size_t at = 0; round % 2 == 0 && at + 12 < noise.size();
         at += 12) {
      (void)Give(Frame(static_cast<unsigned char>(noise[at]) % 10,
                       static_cast<unsigned char>(noise[at + 1]),
                       static_cast<unsigned char>(noise[at + 2]) % 8,
                       noise.substr(at + 3, 9)));
    }
    (void)Give(noise);
    for (LoggedStream& stream : acceptor_.streams) {
      if (stream.session() != nullptr) session_->Reset(stream, kCancel);
    }
    EXPECT_EQ(session_->stream_count(), 0u);
  }
}

// --- a server ---

class HostileServerTest : public ::testing::Test {
 protected:
  HostileServerTest() {
    EXPECT_TRUE(session_.Open(call_, Views(kRequest)));
    EXPECT_TRUE(Give(Settings()).ok());
  }
  absl::Status Give(const std::string& bytes) {
    session_.OnWireBytes(bytes.size());
    absl::Status status = session_.Receive(bytes, now_);
    status.Update(session_.CheckFlood(now_));
    status.Update(session_.Send(1 << 20, sent_));
    return status;
  }

  Time now_{seconds(1000)};
  Log log_;
  std::string sent_;
  Session session_{{}, nullptr, now_};
  LoggedStream call_{"c", log_};
};

// One large field in the table, and a block of references to it: 60 kB would be
// 240 MB of fields. They are not looked at beyond the limit, and the table
// stays as it is.
TEST_F(HostileServerTest, IndexBombEndsItsStreamAtTheLimit) {
  LoggedStream other("d", log_);
  ASSERT_TRUE(session_.Open(other, Views(kRequest)));
  ASSERT_TRUE(Give("").ok());
  const std::string large(3900, 'v');
  const std::string entry = "\x40" + Literal("x") + Literal(large);
  ASSERT_TRUE(Give(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3,
                         Encode({{":status", "200"}}) + entry))
                  .ok());
  log_.clear();
  call_.logs_fields = false;
  const std::string bomb =
      Encode({{":status", "200"}}) + std::string(16'000, '\xBE');
  ASSERT_TRUE(
      Give(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, bomb)).ok());
  EXPECT_THAT(log_, ElementsAre("c gone: list too long NO_ERROR"));
  const std::size_t counted = call_.ends().at(0).bytes;
  EXPECT_GT(counted, 64u * 1024);
  EXPECT_LE(counted, 64u * 1024 + large.size() + 33);
  EXPECT_THAT(sent_, HasSubstr(Reset(1, kInternalError)));
  // The table is in step: index 62 is what it was.
  log_.clear();
  ASSERT_TRUE(
      Give(Frame(NGHTTP2_HEADERS,
                 NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3, "\xBE"))
          .ok());
  EXPECT_EQ(log_.at(0), absl::StrCat("d field x=", large));
}

// A field that is put into the table behind the limit is there afterwards.
TEST_F(HostileServerTest, TableTakesWhatIsBehindTheLimit) {
  LoggedStream other("d", log_);
  ASSERT_TRUE(session_.Open(other, Views(kRequest)));
  call_.logs_fields = false;
  Fields many = {{":status", "200"}};
  for (int i = 0; i < 400; ++i) many.emplace_back("n", std::string(150, 'v'));
  ASSERT_TRUE(
      Give(Frame(NGHTTP2_HEADERS, 0, 1, Encode(many).substr(0, 16000)) +
           Frame(NGHTTP2_CONTINUATION, 0, 1, Encode(many).substr(16000)) +
           Frame(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1,
                 "\x40" + Literal("late") + Literal("one")))
          .ok());
  EXPECT_THAT(log_, ElementsAre("c gone: list too long NO_ERROR"));
  ASSERT_TRUE(Give(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3,
                         Encode({{":status", "200"}}) + "\xBE"))
                  .ok());
  EXPECT_THAT(log_, ::testing::Contains("d field late=one"));
}

TEST_F(HostileServerTest, StreamsOfOurOwnAreNotOpenedByIt) {
  EXPECT_FALSE(Give(Headers(2, {{":status", "200"}})).ok());
}

}  // namespace
}  // namespace headgate::h2
