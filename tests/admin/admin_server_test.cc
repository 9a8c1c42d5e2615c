#include "gateway/admin/admin_server.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/config/address.h"
#include "gateway/net/stream_socket.h"
#include "tests/admin/fake_gateway.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using Error = boost::system::error_code;

// Less than what the server waits for a request.
constexpr auto kTestTimeout = std::chrono::seconds(8);

// A connection to the server, and what has come from it.
class Client {
 public:
  Client(asio::io_context& io, const std::string& address) : socket_(io) {
    absl::string_view path = address;
    if (absl::ConsumePrefix(&path, "unix:")) {
      socket_.connect(
          asio::local::stream_protocol::endpoint(std::string(path)));
    } else {
      const Address parsed = *ParseAddress(address);
      socket_.connect(asio::ip::tcp::endpoint(
          asio::ip::make_address(parsed.host), parsed.port));
    }
    Read();
  }
  ~Client() {
    Error ignored;
    socket_.close(ignored);
  }

  void Send(std::string text) {
    sent_.push_back(std::move(text));
    asio::async_write(socket_, asio::buffer(sent_.back()),
                      [](Error, std::size_t) {});
  }
  void ShutDown() { socket_.shutdown(asio::socket_base::shutdown_send); }

  const std::string& received() const { return received_; }
  bool closed() const { return closed_; }  // By the server.

 private:
  void Read() {
    socket_.async_read_some(asio::buffer(chunk_),
                            [this](Error error, std::size_t bytes) {
                              if (error == asio::error::operation_aborted) {
                                return;
                              }
                              received_.append(chunk_, bytes);
                              closed_ = static_cast<bool>(error);
                              if (!closed_) Read();
                            });
  }

  StreamSocket socket_;
  std::list<std::string> sent_;
  char chunk_[4096];
  std::string received_;
  bool closed_ = false;
};

std::string Get(const std::string& target, const std::string& fields = "") {
  return absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: localhost\r\n",
                      fields, "\r\n");
}

class AdminServerTest : public ::testing::Test {
 protected:
  void Start(absl::Duration patience = absl::Seconds(10),
             const std::string& address = "127.0.0.1:0") {
    AdminSettings settings;
    settings.address = address;
    auto server = AdminServer::Start(settings, io_, gateway_, 64, patience);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  Client& Connect() { return clients_.emplace_back(io_, server_->address()); }
  void RunUntil(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + kTestTimeout;
    io_.restart();
    while (!done()) {
      ASSERT_TRUE(std::chrono::steady_clock::now() < end &&
                  io_.run_one_until(end) == 1)
          << "it does not come";
    }
  }
  void RunUntilReceived(Client& client, const std::string& end) {
    RunUntil([&] { return absl::EndsWith(client.received(), end); });
  }
  // All that comes back to `request` until the server closes.
  std::string AnswerTo(const std::string& request) {
    Client& client = Connect();
    client.Send(request);
    RunUntil([&] { return client.closed(); });
    return client.received();
  }

  asio::io_context io_;
  FakeGateway gateway_;  // What it has not answered holds connections.
  std::unique_ptr<AdminServer> server_;
  std::list<Client> clients_;
};

TEST_F(AdminServerTest, RequestsAreAnsweredOneAfterTheOther) {
  Start();
  EXPECT_THAT(server_->address(),
              AllOf(StartsWith("127.0.0.1:"), Not(EndsWith(":0"))));
  Client& client = Connect();
  client.Send(Get("/healthz"));
  RunUntilReceived(client, "\r\n\r\nok\n");
  client.Send(Get("/readyz"));
  RunUntilReceived(client, "\r\n\r\n{\"ready\":true}\n");
  EXPECT_FALSE(client.closed());
}

// A request that comes too early (RFC 9112 section 9.3.2) waits for its turn.
TEST_F(AdminServerTest, AnswersComeInTheOrderOfTheRequests) {
  Start();
  gateway_.answers_at_once_ = false;
  Client& client = Connect();
  client.Send(Get("/metrics") + Get("/healthz", "Connection: close\r\n"));
  RunUntil([&] { return !gateway_.answers_.empty(); });
  EXPECT_THAT(client.received(), IsEmpty());
  gateway_.answers_[0]();
  RunUntil([&] { return client.closed(); });
  EXPECT_LT(client.received().find("headgate_sessions"),
            client.received().find("\r\n\r\nok\n"));
}

// What is true now is of no use later, and is never a page.
TEST_F(AdminServerTest, AnswersAreNotKeptAndNotGuessedAt) {
  Start();
  for (const char* target : {"/metrics", "/none"}) {
    EXPECT_THAT(AnswerTo(Get(target, "Connection: close\r\n")),
                AllOf(HasSubstr("\r\nCache-Control: no-store\r\n"),
                      HasSubstr("\r\nX-Content-Type-Options: nosniff\r\n")));
  }
}

TEST_F(AdminServerTest, MethodsThatAreNotTakenAreToldWhichAre) {
  Start();
  EXPECT_THAT(AnswerTo("DELETE /sessions HTTP/1.1\r\nHost: localhost\r\n"
                       "Connection: close\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 405 "),
                    HasSubstr("\r\nAllow: GET, HEAD\r\n")));
}

// RFC 9110 section 9.3.2: the fields of GET, without the content.
TEST_F(AdminServerTest, HeadHasNoContent) {
  Start();
  const std::string answer = AnswerTo(
      "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n"
      "Connection: close\r\n\r\n");
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200 "),
                            HasSubstr("\r\nContent-Length: 3\r\n"),
                            EndsWith("\r\n\r\n")));
}

TEST_F(AdminServerTest, WhatIsNoRequestIsToldAndEnds) {
  Start();
  EXPECT_THAT(AnswerTo("rubbish\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 400 "),
                    HasSubstr("\"message\":\"not an HTTP/1.1 request\"")));
  EXPECT_THAT(AnswerTo(Get("http://[", "Connection: close\r\n")),
              StartsWith("HTTP/1.1 400 "));
}

// The answer to a request that could not be read is not one to HEAD.
TEST_F(AdminServerTest, WhatFollowsHeadIsToldInFull) {
  Start();
  EXPECT_THAT(AnswerTo("HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
                       "rubbish\r\n\r\n"),
              HasSubstr("\"message\":\"not an HTTP/1.1 request\""));
}

TEST_F(AdminServerTest, LongHeadsAndBodiesAreRefused) {
  Start();
  EXPECT_THAT(AnswerTo(Get(
                  "/", absl::StrCat("A: ", std::string(8100, 'x'),
                                    "\r\nB: ", std::string(200, 'x'), "\r\n"))),
              StartsWith("HTTP/1.1 431 "));
  const std::string post =
      "POST /log_level HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
  EXPECT_THAT(AnswerTo(absl::StrCat(post, "Content-Length: 4097\r\n\r\n")),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(AnswerTo(absl::StrCat(post, "Content-Length: 4096\r\n\r\n",
                                    std::string(4096, 'x'))),
              StartsWith("HTTP/1.1 400 "))
      << "the level is missing";
  EXPECT_THAT(
      AnswerTo(absl::StrCat(post, "Transfer-Encoding: chunked\r\n\r\n",
                            "1001\r\n", std::string(4097, 'x'), "\r\n0\r\n")),
      StartsWith("HTTP/1.1 413 "));
}

// RFC 9112 section 7.1.1: a chunk may have extensions of any length, which
// count as no body; and trailers.
TEST_F(AdminServerTest, WhatIsNeitherHeadNorBodyIsBoundedToo) {
  Start();
  const std::string post =
      "POST /log_level HTTP/1.1\r\nHost: localhost\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  const std::string much(4 * 1024 * 1024, 'a');
  AnswerTo(absl::StrCat(post, "1;", much));
  AnswerTo(absl::StrCat(post, "0\r\nA: ", much));
}

TEST_F(AdminServerTest, ARequestThatBreaksOffEndsWithoutAWord) {
  Start();
  for (const char* begin : {"", "GET /heal",
                            "POST / HTTP/1.1\r\nHost: a\r\n"
                            "Content-Length: 9\r\n\r\nabc"}) {
    Client& client = Connect();
    client.Send(begin);
    client.ShutDown();
    RunUntil([&] { return client.closed(); });
    EXPECT_THAT(client.received(), IsEmpty()) << begin;
  }
}

// The header's comment: no page of elsewhere, and on loopback no name either.
TEST_F(AdminServerTest, BrowsersOfElsewhereAreRefused) {
  Start();
  for (const char* fields :
       {"Origin: https://evil.example\r\n", "Origin: null\r\n",
        "Origin: https://localhost\r\n", "Sec-Fetch-Site: cross-site\r\n",
        "sec-fetch-site: same-site\r\n"}) {
    EXPECT_THAT(AnswerTo(Get("/sessions",
                             absl::StrCat(fields, "Connection: close\r\n"))),
                StartsWith("HTTP/1.1 403 "))
        << fields;
  }
  EXPECT_THAT(AnswerTo("POST /sessions/id-1/close HTTP/1.1\r\n"
                       "Host: evil.example\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(gateway_.closed_, IsEmpty());
  EXPECT_EQ(gateway_.page_.limit, 0u) << "nothing was asked for";
  EXPECT_THAT(AnswerTo(Get("/sessions",
                           "Origin: http://localhost\r\n"
                           "Connection: close\r\n")),
              StartsWith("HTTP/1.1 200 "));
}

// Slowly, or never.
TEST_F(AdminServerTest, WhoDoesNotAskIsHungUpOn) {
  Start(absl::Milliseconds(20));
  EXPECT_THAT(AnswerTo(""), IsEmpty());
  EXPECT_THAT(AnswerTo("GET / HTTP/1.1\r\nHo"), IsEmpty());
  EXPECT_THAT(AnswerTo(Get("/healthz")), EndsWith("\r\n\r\nok\n"))
      << "and after its answer";
}

TEST_F(AdminServerTest, AGatewayThatDoesNotAnswerIsGivenUp) {
  Start(absl::Milliseconds(20));
  gateway_.answers_at_once_ = false;
  EXPECT_THAT(AnswerTo(Get("/metrics")), IsEmpty());
  ASSERT_THAT(gateway_.answers_, SizeIs(1));
  gateway_.answers_[0]();  // Too late, and of no harm.
}

// 64 that send nothing, or half a head, shut out nobody.
TEST_F(AdminServerTest, TheOneThatHasSentNothingForLongestGivesWay) {
  Start();
  Client& first = Connect();
  Client& second = Connect();
  second.Send("GET /readyz HT");
  for (int i = 2; i < 64; ++i) Connect();
  Client& last = clients_.back();
  last.Send(Get("/healthz"));
  RunUntilReceived(last, "ok\n");
  EXPECT_FALSE(first.closed());
  EXPECT_THAT(AnswerTo(Get("/readyz", "Connection: close\r\n")),
              StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(first.closed());
  EXPECT_FALSE(second.closed());
  Client& next = Connect();
  Connect();
  next.Send(Get("/healthz"));
  RunUntilReceived(next, "ok\n");
  RunUntil([&] { return second.closed(); });
}

// A question to the gateway is not dropped for one that has asked nothing.
TEST_F(AdminServerTest, RequestsThatWaitForTheGatewayGiveWayLast) {
  Start();
  gateway_.answers_at_once_ = false;
  Client& asking = Connect();
  asking.Send(Get("/metrics"));
  RunUntil([&] { return !gateway_.answers_.empty(); });
  for (int i = 1; i < 64; ++i) Connect();
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(AnswerTo(Get("/healthz", "Connection: close\r\n")),
                EndsWith("ok\n"));
    Connect();
  }
  gateway_.answers_[0]();
  RunUntil([&] { return !asking.received().empty(); });
  EXPECT_THAT(asking.received(), StartsWith("HTTP/1.1 200 "));
}

// What there is goes on, and the listener comes back by itself.
TEST_F(AdminServerTest, LackOfDescriptorsPasses) {
  Start();
  Client& client = Connect();
  client.Send(Get("/healthz"));
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  ::testing::internal::CaptureStderr();
  const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(next, 0);
  close(next);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  for (int i = 0; i < 3; ++i) io_.run_one_for(std::chrono::milliseconds(1));
  EXPECT_THAT(client.received(), IsEmpty());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("the admin listener cannot accept a connection"));
  RunUntilReceived(client, "ok\n");
}

TEST_F(AdminServerTest, ItsEndEndsItsConnections) {
  Start();
  gateway_.answers_at_once_ = false;
  Client& client = Connect();
  client.Send(Get("/metrics"));
  RunUntil([&] { return !gateway_.answers_.empty(); });
  server_.reset();
  gateway_.answers_[0]();
  RunUntil([&] { return client.closed(); });
  EXPECT_THAT(client.received(), IsEmpty());
}

// A connection that was accepted but whose handler has not run yet is closed.
TEST_F(AdminServerTest, ItsEndEndsWhatWasJustAccepted) {
  Start();
  Client& first = Connect();
  Client& second = Connect();
  // The handler of the first starts to accept, which takes the second at once.
  ASSERT_EQ(io_.run_one_for(kTestTimeout), 1u);
  server_.reset();
  RunUntil([&] { return first.closed() && second.closed(); });
}

TEST_F(AdminServerTest, ItCanBeASocketFile) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "headgate-admin-", getpid(), ".sock");
  Start(absl::Seconds(10), absl::StrCat("unix:", path));
  EXPECT_EQ(server_->address(), absl::StrCat("unix:", path));
  EXPECT_THAT(AnswerTo("GET /healthz HTTP/1.0\r\n\r\n"),
              EndsWith("\r\n\r\nok\n"));
  server_.reset();
  EXPECT_NE(access(path.c_str(), F_OK), 0) << "the file is removed";
}

TEST_F(AdminServerTest, AnAddressInUseIsTold) {
  Start();
  AdminSettings settings;
  settings.address = server_->address();
  const auto second = AdminServer::Start(settings, io_, gateway_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr(server_->address()));
}

}  // namespace
}  // namespace headgate
