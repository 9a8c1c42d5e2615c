// HTTP/2 over TLS, and what it makes of servers that get in the way of it: each
// must end in a status that says what is wrong.

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/upstream/h2/connection.h"
#include "gateway/upstream/h2/tls.h"
#include "gateway/upstream/h2_upstream.h"
#include "gateway/upstream/loop_turn.h"
#include "tests/testing/environment_variable.h"
#include "tests/testing/test_folder.h"
#include "tests/upstream/h2/raw_server.h"
#include "tests/upstream/test_call.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class H2TlsTest : public ::testing::Test {
 protected:
  H2TlsTest() {
    settings().tls.emplace();
    settings().tls->ca = folder_.Write("ca.crt", authority_.certificate());
    server_options_.identity = authority_.Issue("server");
    server_.set_tls(server_options_);
    Connect();
  }
  ~H2TlsTest() override {
    upstream_.reset();
    Close(server_);
    for (RawServer& server : others_) Close(server);
    worker_.restart();
    worker_.run_for(std::chrono::seconds(20));
    EXPECT_TRUE(worker_.stopped()) << "something is left over";
  }

  static void Close(RawServer& server) {
    server.Close();
    for (auto& connection : server.connections()) connection.Close();
  }
  UpstreamSettings& settings() { return options_.settings; }

  void Connect() {
    if (settings().target == UpstreamSettings().target) {
      settings().target = server_.address();
    }
    upstream_ = std::make_unique<H2Upstream>(options_, worker_, turn_);
  }
  bool RunUntil(const std::function<bool()>& done) {
    return headgate::RunUntil(worker_, done);
  }
  // What the log says of a call that finds no server.
  std::string Failure() {
    Connect();
    TestCall call(*upstream_, "/s/m");
    EXPECT_TRUE(RunUntil([&] { return call.end().has_value(); }));
    if (!call.end()) return "no end";
    EXPECT_EQ(call.end()->status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(call.end()->status.message(), "the upstream cannot be reached");
    return MessageForLog(call.end()->status);
  }
  // Starts a call, and waits until the server has its head.
  std::unique_ptr<TestCall> Open() {
    const int before = server_.StreamsOpened();
    auto call = std::make_unique<TestCall>(*upstream_, "/s/m");
    EXPECT_TRUE(RunUntil([&] { return server_.StreamsOpened() > before; }));
    return call;
  }
  RawServer::Connection& peer() { return server_.connections().back(); }

  static const Authority& TestAuthority() {
    static const Authority authority("test");
    return authority;
  }

  const Authority& authority_ = TestAuthority();
  const TestFolder folder_;
  boost::asio::io_context worker_{1};
  LoopTurn turn_{worker_};
  TlsTestServerOptions server_options_;
  RawServer server_{worker_};
  std::deque<RawServer> others_;
  UpstreamOptions options_;
  std::unique_ptr<H2Upstream> upstream_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
};

// --- connections ---

// However many calls have something to say in a turn: one record, one write.
TEST_F(H2TlsTest, OneTurnIsOneRecord) {
  auto a = Open();
  auto b = Open();
  const int before = peer().tls()->records();
  a->Write("one");
  b->Write("two");
  ASSERT_TRUE(RunUntil([&] { return peer().DataOf(3) == h2::Framed("two"); }));
  EXPECT_EQ(peer().DataOf(1), h2::Framed("one"));
  EXPECT_EQ(peer().tls()->records(), before + 1);
}

// RFC 9113 section 9.2.1; RFC 8446 section 6.1.
TEST_F(H2TlsTest, EndIsTold) {
  Open()->Destroy();
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(1) >= 0; }));
  worker_.poll();
  upstream_.reset();
  ASSERT_TRUE(RunUntil([&] { return peer().tls()->ended(); }));
  EXPECT_EQ(peer().Count(NGHTTP2_GOAWAY), 1);
}

TEST_F(H2TlsTest, UpstreamMayGoInTheMiddleOfAHandshake) {
  for (const std::size_t bytes : {0, 1, 500}) {
    server_.set_limit(RawServer::Limit{bytes, /*closes=*/false});
    Connect();
    TestCall call(*upstream_, "/s/m");
    const std::size_t before = server_.connections().size();
    ASSERT_TRUE(
        RunUntil([&] { return server_.connections().size() > before; }));
    worker_.restart();
    worker_.run_for(std::chrono::milliseconds(5));
    call.Destroy();
    upstream_.reset();
    EXPECT_FALSE(call.end());
  }
}

// The end of a connection is the end of its calls, as without TLS.
TEST_F(H2TlsTest, ServersEndEndsCalls) {
  auto call = Open();
  peer().tls()->Shutdown();
  peer().SendRaw(peer().tls()->TakeOutput());
  ASSERT_TRUE(RunUntil([&] { return call->end().has_value(); }));
  EXPECT_EQ(call->end()->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageForLog(call->end()->status),
              HasSubstr("the server has ended the connection"));
}

// What came before the end counts, and what came with it.
TEST_F(H2TlsTest, StatusBeforeTheEndIsDelivered) {
  auto call = Open();
  TlsServer& tls = *peer().tls();
  tls.Write(h2::Head(1) + h2::Message(1, "a") + h2::Trailers(1));
  tls.Shutdown();
  peer().SendRaw(tls.TakeOutput());
  peer().Close();
  ASSERT_TRUE(RunUntil([&] { return call->end().has_value(); }));
  EXPECT_TRUE(call->end()->status.ok()) << call->end()->status;
  EXPECT_EQ(call->messages().size(), 1u);
}

TEST_F(H2TlsTest, BrokenRecordEndsTheConnection) {
  auto call = Open();
  peer().tls()->Write(h2::Head(1));
  std::string bytes = peer().tls()->TakeOutput();
  bytes.back() ^= 1;
  peer().SendRaw(bytes);
  ASSERT_TRUE(RunUntil([&] { return call->end().has_value(); }));
  EXPECT_EQ(call->end()->status.code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(RunUntil([&] { return !peer().tls()->fault().empty(); }));
  EXPECT_THAT(peer().tls()->fault(), HasSubstr("alert bad record mac"));
}

// RFC 9113 section 9.2.1. How many are a flood: TlsEngine::is_flooded.
TEST_F(H2TlsTest, RequestsToRenegotiateAreRefused) {
  server_options_.max_version = TLS1_2_VERSION;
  server_.set_tls(server_options_);
  Connect();
  auto call = Open();
  for (int i = 0; i < 50; ++i) peer().tls()->AskToRenegotiate();
  peer().SendRaw(peer().tls()->TakeOutput());
  Open();
  EXPECT_EQ(server_.connections().size(), 1u);
  EXPECT_FALSE(call->end());
}

TEST_F(H2TlsTest, FloodOfRequestsToRenegotiateEndsTheConnection) {
  server_options_.max_version = TLS1_2_VERSION;
  server_.set_tls(server_options_);
  Connect();
  auto call = Open();
  for (int i = 0; i < 100; ++i) peer().tls()->AskToRenegotiate();
  peer().SendRaw(peer().tls()->TakeOutput());
  ASSERT_TRUE(RunUntil([&] { return call->end().has_value(); }));
  EXPECT_EQ(call->end()->status.code(), absl::StatusCode::kUnavailable);
}

// --- servers that cannot be used ---

TEST_F(H2TlsTest, WhatIsWrongIsSaidWithTheAddress) {
  server_options_.identity = authority_.Issue("server", "DNS:chat.internal");
  server_.set_tls(server_options_);
  EXPECT_EQ(Failure(),
            absl::StrCat("the upstream cannot be reached (", server_.address(),
                         ": TLS: certificate verify failed: IP address "
                         "mismatch: it must be for 127.0.0.1, and is for "
                         "DNS:chat.internal)"));
  EXPECT_TRUE(upstream_->is_failing());
  // So does the server's log.
  ASSERT_TRUE(RunUntil([&] { return !peer().tls()->fault().empty(); }));
  EXPECT_THAT(peer().tls()->fault(), HasSubstr("alert bad certificate"));
}

TEST_F(H2TlsTest, ServerMustSelectHttp2) {
  server_options_.protocol = "";
  server_.set_tls(server_options_);
  EXPECT_THAT(Failure(), HasSubstr("TLS: the server must select the protocol "
                                   "h2 (ALPN), and has selected none"));
}

// It has no calls before it has said its first word of HTTP/2, so that what a
// server has against the certificate is known by then.
TEST_F(H2TlsTest, ServerThatWantsACertificateSaysSo) {
  server_options_.client_ca = authority_.certificate();
  server_.set_tls(server_options_);
  EXPECT_THAT(Failure(), HasSubstr("TLS: the server has refused: tlsv13 alert "
                                   "certificate required"));
}

TEST_F(H2TlsTest, ServerWithoutTlsIsUnavailable) {
  RawServer& plain = others_.emplace_back(worker_);
  settings().target = plain.address();
  EXPECT_THAT(Failure(), HasSubstr("the server does not speak TLS"));
}

TEST_F(H2TlsTest, ServerThatCutsTheHandshakeIsUnavailable) {
  for (const std::size_t bytes : {1, 5, 100, 500}) {
    server_.set_limit(RawServer::Limit{bytes});
    EXPECT_THAT(Failure(), HasSubstr("TLS: during the handshake: ")) << bytes;
  }
}

TEST_F(H2TlsTest, ServerThatSaysAnythingIsUnavailable) {
  std::minstd_rand random(1);
  for (int i = 0; i < 30; ++i) {
    std::string bytes(100, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    if (i % 2 == 0) bytes.replace(0, 3, "\x16\x03\x03");
    RawServer& server = others_.emplace_back(worker_, bytes);
    settings().target = server.address();
    Connect();
    TestCall call(*upstream_, "/s/m");
    ASSERT_TRUE(RunUntil([&] { return !server.connections().empty(); }));
    for (int n = 0; n < 5 && !call.end(); ++n) {
      worker_.restart();
      worker_.run_for(std::chrono::milliseconds(1));
    }
    Close(server);
    ASSERT_TRUE(RunUntil([&] { return call.end().has_value(); }));
    EXPECT_EQ(call.end()->status.code(), absl::StatusCode::kUnavailable);
  }
}

// In a list without a name of their own.
TEST_F(H2TlsTest, AddressesAreCheckedEachForItself) {
  RawServer& other = others_.emplace_back(worker_);
  other.set_tls(server_options_);
  settings().target =
      absl::StrCat("ipv4:", server_.address(), ",", other.address());
  Connect();
  TestCall first(*upstream_, "/s/m");
  const auto connected = [](RawServer& server) {
    return !server.connections().empty() &&
           server.connections()[0].Count(NGHTTP2_SETTINGS) > 1;
  };
  ASSERT_TRUE(RunUntil([&] { return connected(server_) && connected(other); }));
  TestCall second(*upstream_, "/s/m");
  EXPECT_TRUE(RunUntil([&] {
    return server_.StreamsOpened() == 1 && other.StreamsOpened() == 1;
  }));
}

// --- files that change ---

TEST_F(H2TlsTest, NewFilesMeanNewConnectionsToEachAddress) {
  RawServer& other = others_.emplace_back(worker_);
  other.set_tls(server_options_);
  settings().target =
      absl::StrCat("ipv4:", server_.address(), ",", other.address());
  Connect();
  upstream_->OnTick(now_);
  const auto all_connected = [&](std::size_t count) {
    return server_.connections().size() == count &&
           other.connections().size() == count &&
           server_.connections().back().Count(NGHTTP2_SETTINGS) > 1 &&
           other.connections().back().Count(NGHTTP2_SETTINGS) > 1;
  };
  TestCall first(*upstream_, "/s/m");
  ASSERT_TRUE(RunUntil([&] { return all_connected(1); }));
  TestCall second(*upstream_, "/s/m");
  ASSERT_TRUE(RunUntil([&] {
    return server_.StreamsOpened() == 1 && other.StreamsOpened() == 1;
  }));
  folder_.Write("ca.crt", authority_.certificate() + authority_.certificate());
  upstream_->OnTick(now_ += absl::Seconds(1));
  EXPECT_TRUE(RunUntil([&] { return all_connected(2); }));
  EXPECT_EQ(upstream_->channel_count(), 4u);
  // The old ones go with their last calls.
  first.Destroy();
  second.Destroy();
  EXPECT_TRUE(RunUntil([&] { return upstream_->channel_count() == 2; }));
  EXPECT_TRUE(RunUntil([&] {
    return server_.connections()[0].ended() && other.connections()[0].ended();
  }));
}

// The health check is a stream of the connection, and no call.
TEST_F(H2TlsTest, HealthCheckKeepsNoOldConnection) {
  settings().health_check = "";
  Connect();
  upstream_->OnTick(now_);
  TestCall call(*upstream_, "/s/m");
  ASSERT_TRUE(RunUntil([&] { return server_.StreamsOpened() == 1; }));
  peer().Send(h2::Head(1) + h2::Message(1, "\x08\x01"));  // SERVING
  ASSERT_TRUE(RunUntil([&] { return server_.StreamsOpened() == 2; }));
  folder_.Write("ca.crt", authority_.certificate() + authority_.certificate());
  upstream_->OnTick(now_ += absl::Seconds(1));
  ASSERT_TRUE(RunUntil([&] { return server_.StreamsOpened() == 3; }));
  EXPECT_FALSE(call.end());
  EXPECT_FALSE(server_.connections()[0].ended());
  call.Destroy();
  EXPECT_TRUE(RunUntil([&] { return server_.connections()[0].ended(); }));
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

TEST_F(H2TlsTest, CallThatWaitsForAConnectionGetsOneWithTheNewFiles) {
  server_.set_limit(RawServer::Limit{0, /*closes=*/false});
  Connect();
  upstream_->OnTick(now_);
  TestCall call(*upstream_, "/s/m");
  ASSERT_TRUE(RunUntil([&] { return !server_.connections().empty(); }));
  server_.set_limit(std::nullopt);
  folder_.Write("ca.crt", authority_.certificate() + authority_.certificate());
  upstream_->OnTick(now_ += absl::Seconds(1));
  EXPECT_TRUE(RunUntil([&] { return server_.StreamsOpened() == 1; }));
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

// --- the files ---

TEST(TlsNameOfTest, NameIsTheHostOfAnAuthority) {
  EXPECT_EQ(TlsNameOf("chat.internal"), "chat.internal");
  EXPECT_EQ(TlsNameOf("chat.internal:443"), "chat.internal");
  EXPECT_EQ(TlsNameOf("chat.internal.:443"), "chat.internal");
  EXPECT_EQ(TlsNameOf("127.0.0.1:443"), "127.0.0.1");
  EXPECT_EQ(TlsNameOf("[::1]:443"), "::1");
  EXPECT_EQ(TlsNameOf("[fe80::1%eth0]:443"), "fe80::1");
  EXPECT_EQ(TlsNameOf("::1"), "::1");
  for (const char* nothing : {"", ":443", "[", "[]:443", "."}) {
    EXPECT_EQ(TlsNameOf(nothing), "") << nothing;
  }
}

// As gRPC's own client has it.
TEST_F(H2TlsTest, WithoutCaTheFileInTheEnvironmentIsTrusted) {
  EnvironmentVariable grpcs("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH");
  EnvironmentVariable openssls("SSL_CERT_FILE");
  openssls.Set(folder_.Write("other.crt", Authority("another").certificate()));
  settings().tls->ca.clear();
  EXPECT_THAT(Failure(), HasSubstr("unable to get local issuer"));
  grpcs.Set(folder_.Path("ca.crt"));
  Connect();
  Open();
  grpcs.Set("/nowhere.crt");
  EXPECT_THAT(Failure(), HasSubstr("/nowhere.crt cannot be used"));
}

// --- time ---

class Owner final : public H2ConnectionOwner {
 public:
  bool connected = false;
  std::optional<absl::Status> lost;

 private:
  void OnConnected(H2Connection&) override { connected = true; }
  void OnDraining(H2Connection&) override {}
  void OnLost(H2Connection&, bool, absl::Status why) override { lost = why; }
  void OnRoom() override {}
};

// The handshake is part of connecting.
TEST_F(H2TlsTest, ServerThatStopsInTheHandshakeIsGivenUp) {
  auto context = TlsContext::ForClient({}, {authority_.certificate(), "", ""});
  ASSERT_TRUE(context.ok());
  const auto target = ParseH2Target(server_.address());
  H2ConnectionOptions options;
  options.connect_timeout = std::chrono::milliseconds(50);
  Alarms alarms(worker_);
  for (const std::size_t bytes : {0, 1, 500}) {
    server_.set_limit(RawServer::Limit{bytes, /*closes=*/false});
    Owner owner;
    const auto connection = std::make_shared<H2Connection>(
        worker_, turn_, alarms, target->endpoints[0], options, owner,
        std::make_unique<TlsEngine>(*context, "127.0.0.1"));
    connection->Connect();
    ASSERT_TRUE(RunUntil([&] { return owner.lost.has_value(); }));
    EXPECT_EQ(owner.lost->message(), "TLS: no end of the handshake in time");
    EXPECT_FALSE(owner.connected);
  }
}

TEST_F(H2TlsTest, ServerThatNeverSaysAWordIsGivenUp) {
  boost::asio::ip::tcp::acceptor silent(
      worker_, {boost::asio::ip::address_v4::loopback(), 0});
  H2ConnectionOptions options;
  options.connect_timeout = std::chrono::milliseconds(50);
  Alarms alarms(worker_);
  Owner owner;
  const auto connection = std::make_shared<H2Connection>(
      worker_, turn_, alarms, silent.local_endpoint(), options, owner,
      /*tls=*/nullptr);
  connection->Connect();
  ASSERT_TRUE(RunUntil([&] { return owner.lost.has_value(); }));
  EXPECT_EQ(owner.lost->message(), "no SETTINGS of HTTP/2 in time");
}

}  // namespace
}  // namespace headgate
