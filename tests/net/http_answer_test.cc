#include "tests/net/exchange_fixture.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kEndEvent[] =
    "event: end\ndata: {\"code\":0,\"message\":\"\",\"details\":[]}\n\n";

class HttpAnswerTest : public ExchangeTest {
 protected:
  void Fail(absl::Status status, const std::string& json) {
    session().End(EndingOf(std::move(status)), json);
  }
};

TEST_F(HttpAnswerTest, OneAnswerHasItsLengthAndTheStatusOfTheCall) {
  Connect();
  Begin(Get("/api/things/a", "X-Request-Id: r1\r\n"));
  session().Head({{"x-branch", "main"}, {"k-bin", "\xFF"}});
  session().Respond(R"({"name":"a"})");
  Settle();
  Receive();
  EXPECT_EQ(received_, "");  // It could still fail.
  session().End(EndingOf(absl::OkStatus()));
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nContent-Type: application/json\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nContent-Length: 12\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nGrpc-Metadata-X-Branch: main\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nGrpc-Metadata-K-Bin: /w==\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nX-Request-Id: r1\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nDate: Mon, 12 Jan 1970"));
  EXPECT_THAT(head, Not(HasSubstr("Connection:")));
  EXPECT_EQ(body, R"({"name":"a"})");
  ASSERT_TRUE(Until([&] { return host_->ended_.size() == 1; }));
  EXPECT_THAT(log_, ElementsAre("start /p.S/Get", "got ", "written",
                                "closed by gateway", "gone"));
  ExpectReusable();
}

// An answer that was there before the call failed is nobody's.
TEST_F(HttpAnswerTest, FailureHasItsHttpStatusAndNothingButItself) {
  Connect();
  Begin(Get("/api/things/a"));
  Piece(R"({"name":"a"})");
  Fail(absl::NotFoundError("no"), R"({"code":5})");
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_EQ(body, R"({"code":5})");
  ExpectReusable();
}

TEST_F(HttpAnswerTest, FailureWithoutAMessageOfTheCodecIsToldAllTheSame) {
  Connect();
  Begin(Get("/api/things/a"));
  session().End(EndingOf(absl::UnavailableError("away")));
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(head, HasSubstr("\r\nRetry-After: 5\r\n"));
  EXPECT_EQ(body, R"({"code":14,"message":"away","details":[]})");
}

TEST_F(HttpAnswerTest, UnauthenticatedSaysHow) {
  Connect();
  Begin(Get("/api/things/a"));
  Fail(absl::UnauthenticatedError("who"), "{}");
  EXPECT_THAT(ReceiveHead(),
              AllOf(StartsWith("HTTP/1.1 401 "),
                    HasSubstr("\r\nWWW-Authenticate: Bearer\r\n")));
}

TEST_F(HttpAnswerTest, TooBigIs413) {
  Connect();
  Begin(Get("/api/things/a"));
  session().End({CloseCode::kMessageTooBig,
                 {absl::ResourceExhaustedError("too long"), ""}},
                "{}");
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 413 "));
}

TEST_F(HttpAnswerTest, BytesHaveTheirOwnMediaType) {
  Connect();
  Begin(Get("/api/things/a"));
  session().Respond("\x89PNG", "image/png");
  Settle();
  session().End(EndingOf(absl::OkStatus()));
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, HasSubstr("\r\nContent-Type: image/png\r\n"));
  EXPECT_EQ(body, "\x89PNG");
}

// A backend's media type must not become a header of its own.
TEST_F(HttpAnswerTest, MediaTypeCannotSplitTheAnswer) {
  Connect();
  Begin(Get("/api/things/a"));
  session().Respond("x", "a\r\nSet-Cookie: b");
  Settle();
  session().End(EndingOf(absl::OkStatus()));
  EXPECT_THAT(ReceiveHead(), Not(HasSubstr("\nSet-Cookie")));
}

// --- streams ---

TEST_F(HttpAnswerTest, EachAnswerOfAStreamLeavesAtOnceAsALine) {
  Connect();
  Begin(Get("/api/things/a:watch"));
  Piece("{\"n\":1}");
  const std::string head = ReceiveHead();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nContent-Type: application/json\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Content-Length")));
  ExpectChunk("{\"n\":1}\n");
  Piece("{}");
  ExpectChunk("{}\n");
  session().End(EndingOf(absl::OkStatus()));
  Expect("0\r\n\r\n");
  ExpectReusable();
}

TEST_F(HttpAnswerTest, StreamWithoutAnswersIsEmpty) {
  Connect();
  Begin(Get("/api/things/a:watch"));
  session().End(EndingOf(absl::OkStatus()));
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 200 OK\r\n"));
  Expect("0\r\n\r\n");
  ExpectReusable();
}

TEST_F(HttpAnswerTest, StreamThatFailsBeforeItsFirstAnswerHasTheHttpStatus) {
  Connect();
  Begin(Get("/api/things/a:watch", "Accept: text/event-stream\r\n"));
  Fail(absl::NotFoundError("no"), R"({"error":{"code":5}})");
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nContent-Type: application/json\r\n"));
  EXPECT_EQ(body, R"({"error":{"code":5}})");
  ExpectReusable();
}

TEST_F(HttpAnswerTest, StreamThatFailsLaterHasALastLine) {
  Connect();
  Begin(Get("/api/things/a:watch"));
  Piece("{}");
  Fail(absl::NotFoundError("no"), R"({"error":{"code":5}})");
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 200 OK\r\n"));
  ExpectChunk("{}\n");
  ExpectChunk("{\"error\":{\"code\":5}}\n");
  Expect("0\r\n\r\n");
  ExpectReusable();
}

// HTML standard section 9.2.
TEST_F(HttpAnswerTest, EventsForThoseWhoTakeThem) {
  Connect();
  Begin(Get("/api/things/a:watch",
            "Accept: application/json;q=0.5, text/event-stream;q=1\r\n"));
  Piece("{\"n\":1}");
  const std::string head = ReceiveHead();
  EXPECT_THAT(head, HasSubstr("\r\nContent-Type: text/event-stream\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nCache-Control: no-cache\r\n"));
  ExpectChunk("retry: 3000\n\n");
  ExpectChunk("data: {\"n\":1}\n\n");
  session().End(EndingOf(absl::OkStatus()));
  ExpectChunk(kEndEvent);
  Expect("0\r\n\r\n");
  ExpectReusable();
}

TEST_F(HttpAnswerTest, StreamOfNoEventsHasItsEnd) {
  Connect();
  Begin(Get("/api/things/a:watch", "Accept: text/event-stream\r\n"));
  session().End(EndingOf(absl::OkStatus()));
  ReceiveHead();
  ExpectChunk("retry: 3000\n\n");
  ExpectChunk(kEndEvent);
  Expect("0\r\n\r\n");
}

// What stands in between may end a connection on which nothing comes.
TEST_F(HttpAnswerTest, SilenceAmongEventsIsBrokenByComments) {
  settings_.keepalive.interval = absl::Seconds(25);
  Connect();
  Begin(Get("/api/things/a:watch", "Accept: text/event-stream\r\n"));
  Tick(absl::Seconds(60));  // Not before the head.
  Piece("1");
  ReceiveHead();
  ExpectChunk("retry: 3000\n\n");
  ExpectChunk("data: 1\n\n");
  Tick(absl::Seconds(1));
  Tick(absl::Seconds(24));
  Tick(absl::Seconds(1));
  ExpectChunk(":\n\n");
  Piece("2");
  ExpectChunk("data: 2\n\n");
  Tick(absl::Seconds(24));
  Tick(absl::Seconds(24));
  session().End(EndingOf(absl::OkStatus()));
  ExpectChunk(kEndEvent);
  Expect("0\r\n\r\n");
}

TEST_F(HttpAnswerTest, LinesOfJsonHaveNoComments) {
  settings_.keepalive.interval = absl::Seconds(25);
  Connect();
  Begin(Get("/api/things/a:watch"));
  Piece("1");
  ReceiveHead();
  ExpectChunk("1\n");
  for (int i = 0; i < 4; ++i) Tick(absl::Seconds(25));
  session().End(EndingOf(absl::OkStatus()));
  Expect("0\r\n\r\n");
}

// --- the head of a stream ---

TEST_F(HttpAnswerTest, HeadOfAStreamLeavesWithTheInitialMetadata) {
  Connect();
  Begin(Get("/api/things/a:watch"));
  session().Head({{"x-branch", "main"}});
  const std::string head = ReceiveHead();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nGrpc-Metadata-X-Branch: main\r\n"));
  EXPECT_THAT(host_->first_answers_, IsEmpty());
  Piece("{}");
  ExpectChunk("{}\n");
  EXPECT_EQ(host_->first_answers_.size(), 1u);
  session().End(EndingOf(absl::OkStatus()));
  Expect("0\r\n\r\n");
  ExpectReusable();
}

// gRPC C++ sends initial metadata of its own even where it fails at once.
TEST_F(HttpAnswerTest, FailureRightBehindTheMetadataHasTheHttpStatus) {
  Connect();
  Begin(Get("/api/things/a:watch"));
  session().Head({{"x-branch", "main"}});
  Fail(absl::NotFoundError("no"), R"({"error":{"code":5}})");
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nGrpc-Metadata-X-Branch: main\r\n"));
}

TEST_F(HttpAnswerTest, FailureAfterTheHeadIsALastLine) {
  Connect();
  Begin(Get("/api/things/a:watch"));
  session().Head({});
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 200 OK\r\n"));
  Fail(absl::NotFoundError("no"), R"({"error":{"code":5}})");
  ExpectChunk("{\"error\":{\"code\":5}}\n");
  Expect("0\r\n\r\n");
}

TEST_F(HttpAnswerTest, HeadOfOneAnswerWaitsForItsStatus) {
  Connect();
  Begin(Get("/api/things/a"));
  session().Head({});
  Settle();
  Fail(absl::NotFoundError("no"), R"({"code":5})");
  EXPECT_THAT(ReceiveAnswer().first, StartsWith("HTTP/1.1 404 Not Found\r\n"));
}

TEST_F(HttpAnswerTest, HeadRequestOfAStreamEndsWithTheMetadata) {
  Connect();
  Begin("HEAD /api/things/a:watch HTTP/1.1\r\nHost: h\r\n\r\n");
  session().Head({});
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 200 OK\r\n"));
  ExpectReusable();
}

// Answers that were still waiting when the call failed are data.
TEST_F(HttpAnswerTest, FailureAmongEventsIsAnEventOfItsOwn) {
  Connect();
  Begin(Get("/api/things/a:watch", "Accept: text/event-stream\r\n"));
  Piece("1");
  ReceiveHead();
  ExpectChunk("retry: 3000\n\n");
  ExpectChunk("data: 1\n\n");
  session().Respond("2");
  session().Respond("3");
  Fail(absl::NotFoundError("no"), R"({"code":5})");
  ExpectChunk("data: 2\n\n");
  ExpectChunk("data: 3\n\n");
  ExpectChunk("event: status-error\ndata: {\"code\":5}\n\n");
  Expect("0\r\n\r\n");
  ExpectReusable();
}

// One answer is no stream of events.
TEST_F(HttpAnswerTest, OneAnswerIsNoEvent) {
  Connect();
  Begin(Get("/api/things/a", "Accept: text/event-stream\r\n"));
  Answer("{}");
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, HasSubstr("\r\nContent-Type: application/json\r\n"));
  EXPECT_EQ(body, "{}");
}

TEST_F(HttpAnswerTest, StreamOfBytesGoesOutAsItIs) {
  Connect();
  Begin(Get("/api/things/a:watch", "Accept: text/event-stream\r\n"));
  session().Respond("ab", "image/png");
  Settle();
  session().Respond("", "image/png");
  Settle();
  session().Respond("c", "image/png");
  Settle();
  session().End(EndingOf(absl::OkStatus()));
  EXPECT_THAT(ReceiveHead(), HasSubstr("\r\nContent-Type: image/png\r\n"));
  ExpectChunk("ab");
  ExpectChunk("c");
  Expect("0\r\n\r\n");
}

// RFC 9112 section 8: an answer without its last chunk is not complete. The
// failure itself has no place among the bytes.
TEST_F(HttpAnswerTest, StreamOfBytesThatFailsHasNoEnd) {
  Connect();
  Begin(Get("/api/things/a:watch"));
  session().Respond("ab", "image/png");
  Settle();
  Fail(absl::DataLossError("no"), R"({"code":15})");
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 200 OK\r\n"));
  ExpectChunk("ab");
  ExpectEnd();
  ASSERT_TRUE(UntilEnded());
  EXPECT_EQ(log_.back(), "gone");
}

// --- trailers (RFC 9110 section 6.5) ---

TEST_F(HttpAnswerTest, TrailersComeToThoseWhoAskForThem) {
  const CallEnd end{absl::OkStatus(), "", {{"x-count", "3"}, {"k", "v"}}};
  Connect();
  Begin(Get("/api/things/a", "TE: trailers\r\nConnection: TE\r\n"));
  Piece("{}");
  session().End(EndingOf(end));
  const std::string head = ReceiveHead();
  EXPECT_THAT(
      head, HasSubstr("\r\nTrailer: Grpc-Trailer-X-Count, Grpc-Trailer-K\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Content-Length")));
  ExpectChunk("{}");
  Expect("0\r\nGrpc-Trailer-X-Count: 3\r\nGrpc-Trailer-K: v\r\n\r\n");

  Begin(Get("/api/things/a:watch", "TE: trailers\r\n"));
  Piece("{}");
  ReceiveHead();
  ExpectChunk("{}\n");
  session().End(EndingOf(end));
  Expect("0\r\nGrpc-Trailer-X-Count: 3\r\nGrpc-Trailer-K: v\r\n\r\n");

  Begin(Get("/api/things/a"));
  Piece("{}");
  session().End(EndingOf(end));
  EXPECT_THAT(ReceiveHead(), HasSubstr("\r\nContent-Length: 2\r\n"));
  Expect("{}");
}

TEST_F(HttpAnswerTest, NoTrailersIsAnAnswerWithALength) {
  Connect();
  Begin(Get("/api/things/a", "TE: trailers\r\n"));
  Answer("{}");
  EXPECT_THAT(ReceiveHead(), HasSubstr("\r\nContent-Length: 2\r\n"));
  Expect("{}");
}

// --- HEAD, HTTP/1.0 ---

// RFC 9110 section 9.3.2: what GET would say, without the content.
TEST_F(HttpAnswerTest, HeadIsGetWithoutTheBody) {
  Connect();
  Begin("HEAD /api/things/a HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n");
  EXPECT_EQ(session().request().method, "/p.S/Get");
  Piece("{\"name\":\"a\"}");
  session().End(EndingOf(CallEnd{absl::OkStatus(), "", {{"k", "v"}}}));
  EXPECT_THAT(ReceiveHead(), HasSubstr("\r\nContent-Length: 12\r\n"));
  ExpectReusable();
}

// The stream might have no end, and its content is not wanted.
TEST_F(HttpAnswerTest, HeadOfAStreamEndsWithItsHead) {
  Connect();
  Begin("HEAD /api/things/a:watch HTTP/1.1\r\nHost: h\r\n\r\n");
  Piece("{}");
  EXPECT_THAT(ReceiveHead(), HasSubstr("\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_EQ(log_.back(), "gone");
  ExpectReusable();
}

TEST_F(HttpAnswerTest, HeadOfAFailureHasNoBody) {
  Connect();
  Begin("HEAD /api/things/a HTTP/1.1\r\nHost: h\r\n\r\n");
  Fail(absl::NotFoundError("no"), "{\"code\":5}");
  EXPECT_THAT(ReceiveHead(), AllOf(StartsWith("HTTP/1.1 404 "),
                                   HasSubstr("\r\nContent-Length: 10\r\n")));
  ExpectReusable();
}

// RFC 9112 section 6.1: no chunks for who does not know them.
TEST_F(HttpAnswerTest, OldClientGetsTheEndOfTheConnectionForAnEnd) {
  Connect();
  Begin("GET /api/things/a:watch HTTP/1.0\r\nTE: trailers\r\n\r\n");
  Piece("{}");
  session().End(EndingOf(CallEnd{absl::OkStatus(), "", {{"k", "v"}}}));
  EXPECT_THAT(ReceiveHead(), AllOf(HasSubstr("\r\nConnection: close\r\n"),
                                   Not(HasSubstr("Transfer-Encoding"))));
  Expect("{}\n");
  ExpectEnd();
}

// --- CORS ---

TEST_F(HttpAnswerTest, ScriptOfAnAllowedOriginMayReadTheAnswer) {
  Connect();
  Begin(Get("/api/things/a", "Origin: http://h\r\n"));
  session().Head({{"x-branch", "main"}});
  Answer("{}");
  const std::string head = ReceiveAnswer().first;
  EXPECT_THAT(head, HasSubstr("\r\nAccess-Control-Allow-Origin: http://h\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nVary: Origin\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nAccess-Control-Expose-Headers: "
                              "Grpc-Metadata-X-Branch, X-Request-Id\r\n"));
}

TEST_F(HttpAnswerTest, NobodysScriptIsNotTalkedTo) {
  Connect();
  Begin(Get("/api/things/a"));
  Answer("{}");
  EXPECT_THAT(ReceiveAnswer().first, Not(HasSubstr("Access-Control")));
}

}  // namespace
}  // namespace headgate
