#ifndef TESTS_NET_EXCHANGE_FIXTURE_H_
#define TESTS_NET_EXCHANGE_FIXTURE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/codec/http_form.h"
#include "tests/http/api_rules.h"
#include "tests/net/connection_fixture.h"

namespace headgate {

// A session whose wits are the test's: it says what it hears, asks for the next
// message at once, and does what it is told.
class ScriptedSession final : public Session {
 public:
  ScriptedSession(SessionRequest request, Transport& transport,
                  testing::Log& log)
      : Session(std::move(request), std::make_shared<SessionContext>()),
        transport_(transport),
        log_(log) {}
  ~ScriptedSession() override { log_.push_back("gone"); }

  Transport& transport() { return transport_; }
  // What a codec and its session do with the backend's metadata, with a
  // response, and when the call ends so. `failure`: "-" where the session has
  // no codec to tell it.
  void Head(const Metadata& headers) {
    form("").Head(headers, outgoing_);
    Flush();
  }
  void Respond(const std::string& text, const std::string& media_type = "") {
    form(media_type).Message(text, media_type, outgoing_);
    Flush();
  }
  void End(const Ending& ending, const std::string& failure = "-") {
    outgoing_.set_head_is_sent(transport_.head_is_sent());
    if (failure == "-" && !ending.end.status.ok()) {
      outgoing_.End({ending});
    } else {
      form("").End(ending, failure, outgoing_);
    }
    Flush();
  }

  void Start(absl::Time) override {
    log_.push_back("start " + request_.method);
    if (reads_) transport_.Read();
  }
  void OnTick(absl::Time) override {}
  bool is_at_rest() const override { return rests_; }
  void Drain(const DrainOrder&) override {
    log_.push_back("drain");
    if (ends_at_drain_) {
      End({CloseCode::kGoingAway, {absl::UnavailableError("bye"), ""}},
          R"({"code":14})");
    }
  }
  void CloseByOperator() override { log_.push_back("closed by operator"); }
  void CloseForMemory() override {
    log_.push_back("closed for memory");
    End({CloseCode::kTryAgainLater, {absl::UnavailableError("full"), ""}});
  }
  std::size_t held_bytes() const override { return 1000; }
  Buffered buffered() const override { return {}; }
  void OnMessage(WireMessage message) override {
    EXPECT_EQ(message.opcode, Opcode::kText);
    log_.push_back("got " + message.payload);
    if (on_message_) on_message_();
    if (reads_) transport_.Read();
  }
  void OnMessageTooBig(const AnswerWait&) override {
    log_.push_back("too big");
  }
  void OnViolation(const Ending&, const AnswerWait&) override {
    log_.push_back("violation");
  }
  void OnWritten() override {
    log_.push_back("written");
    writing_ = false;
    Flush();
  }
  void OnClosed(const TransportEnd& end) override {
    const char* causes[] = {"by client",    "by gateway", "broken", "lost",
                            "send timeout", "dead",       "aborted"};
    log_.push_back(
        absl::StrCat("closed ", causes[static_cast<int>(end.cause)]));
    report_.cause = end.cause;
    report_.close = end.code;
  }

  bool reads_ = true;
  bool rests_ = false;
  bool ends_at_drain_ = true;
  std::function<void()> on_message_;

 private:
  HttpForm& form(const std::string& media_type) {
    if (form_ != nullptr) return *form_;
    if (request_.method != "/p.S/Watch" && request_.method != "/p.S/Talk") {
      form_ = MakeWholeForm();
    } else if (!media_type.empty()) {
      form_ = MakeBytesForm();
    } else {
      form_ = request_.codec == &kHttpEventsDialect ? MakeEventsForm()
                                                    : MakeLinesForm();
    }
    return *form_;
  }
  void Flush() {
    if (closed_) return;
    if (outgoing_.has_head()) transport_.SendHead(*outgoing_.TakeHead());
    if (writing_) return;
    if (outgoing_.has_messages()) {
      writing_ = true;
      transport_.Write(outgoing_.TakeMessage(0));
    } else if (outgoing_.end() != nullptr) {
      closed_ = true;
      transport_.Close(*outgoing_.end());
    }
  }

  Transport& transport_;
  testing::Log& log_;
  Outgoing outgoing_{Watermarks()};
  std::unique_ptr<HttpForm> form_;
  bool writing_ = false;
  bool closed_ = false;
};

// Plain HTTP over a loopback connection, at whose other end the test is the
// session.
class ExchangeTest : public ConnectionTest {
 protected:
  ExchangeTest() {
    host_->rules_ = ApiRules();
    host_->open_ = [this](SessionRequest request, Transport& transport) {
      auto session = std::make_unique<ScriptedSession>(std::move(request),
                                                       transport, log_);
      session->reads_ = reads_;
      sessions_.push_back(session.get());
      return session;
    };
  }

  static std::string Get(const std::string& path,
                         const std::string& headers = "") {
    return absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: h\r\n", headers,
                        "\r\n");
  }
  static std::string Post(const std::string& path, const std::string& body,
                          const std::string& headers = "") {
    return absl::StrCat("POST ", path, " HTTP/1.1\r\nHost: h\r\n",
                        "Content-Length: ", body.size(), "\r\n", headers,
                        "\r\n", body);
  }

  // Sends a request, and waits until it has become a session.
  void Begin(const std::string& request) {
    const std::size_t before = sessions_.size();
    Send(request);
    ASSERT_TRUE(Until([&] { return sessions_.size() > before; }));
    Settle();
  }
  // The one at work.
  ScriptedSession& session() { return *sessions_.back(); }
  Transport& transport() { return session().transport(); }
  // A unary call's good end.
  void Answer(const std::string& json) {
    session().Respond(json);
    Settle();
    session().End(EndingOf(absl::OkStatus()));
  }
  void Piece(const std::string& json) {
    session().Respond(json);
    Settle();
  }
  void ExpectChunk(const std::string& content) {
    Expect(absl::StrCat(absl::Hex(content.size()), "\r\n", content, "\r\n"));
  }
  // The head of a refusal, or of another answer that has a length, and its
  // body.
  std::pair<std::string, std::string> ReceiveAnswer() {
    std::string head = ReceiveHead();
    const std::size_t at = head.find("Content-Length: ");
    if (at == std::string::npos) return {head, ""};
    const std::size_t bytes = std::stoul(head.substr(at + 16));
    EXPECT_TRUE(UntilReceived(bytes));
    std::string body = received_.substr(0, bytes);
    received_.erase(0, bytes);
    return {head, body};
  }
  // Whether the connection still takes requests.
  void ExpectReusable() {
    Begin(Get("/api/things/again"));
    Answer("{}");
    EXPECT_THAT(ReceiveAnswer().first,
                ::testing::StartsWith("HTTP/1.1 200 OK\r\n"));
    Settle();
  }

  std::vector<ScriptedSession*> sessions_;
  bool reads_ = true;
};

}  // namespace headgate

#endif  // TESTS_NET_EXCHANGE_FIXTURE_H_
