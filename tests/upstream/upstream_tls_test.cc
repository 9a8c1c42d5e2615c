// TLS towards an upstream means the same whatever carries the calls.

#include <stdlib.h>

#include <functional>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "absl/strings/str_cat.h"
#include "gateway/upstream/loop_turn.h"
#include "gateway/upstream/pooled_upstream.h"
#include "tests/testing/certificates.h"
#include "tests/testing/test_folder.h"
#include "tests/upstream/scripted_service.h"
#include "tests/upstream/test_call.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Transport = UpstreamSettings::Transport;

class UpstreamTlsTest : public ::testing::TestWithParam<Transport> {
 protected:
  UpstreamTlsTest() {
    settings().transport = GetParam();
    settings().tls.emplace();
    settings().tls->ca = folder_.Write("ca.crt", authority_.certificate());
  }
  ~UpstreamTlsTest() override {
    upstream_.reset();
    worker_.restart();
    worker_.run_for(std::chrono::seconds(20));
    EXPECT_TRUE(worker_.stopped()) << "a call is left over";
  }

  UpstreamSettings& settings() { return options_.settings; }

  // Starts a server with a certificate for these names. With `clients` it
  // takes only clients with a certificate by that authority.
  void Serve(const std::string& alternatives,
             const Authority* clients = nullptr) {
    const Identity identity = authority_.Issue("server", alternatives);
    grpc::SslServerCredentialsOptions tls;
    tls.pem_key_cert_pairs = {{identity.key, identity.certificate}};
    if (clients != nullptr) {
      tls.pem_root_certs = clients->certificate();
      tls.client_certificate_request =
          GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
    }
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::SslServerCredentials(tls), &port_);
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
    identity_ = identity.certificate;
    settings().target = absl::StrCat("127.0.0.1:", port_);
  }
  // The client's certificate.
  void WriteIdentity(const Identity& identity) {
    settings().tls->certificate =
        folder_.Write("client.crt", identity.certificate);
    settings().tls->key = folder_.Write("client.key", identity.key);
  }

  void Connect() { upstream_ = MakePooledUpstream(options_, worker_, turn_); }
  std::string Ask(const std::string& method) {
    return headgate::Ask(worker_, *upstream_, method);
  }
  // The next look at the files.
  void Tick() { upstream_->OnTick(now_ += absl::Seconds(1)); }

  // gRPC reads the system's roots once in a process, so there is one authority.
  static const Authority& TestAuthority() {
    static const Authority authority("test");
    return authority;
  }

  TestFolder folder_;
  const Authority& authority_ = TestAuthority();
  ScriptedService service_;
  std::string address_ = "127.0.0.1:0";
  int port_ = 0;
  std::string identity_;  // The server's certificate.
  std::unique_ptr<grpc::Server> server_;
  boost::asio::io_context worker_{1};
  LoopTurn turn_{worker_};
  UpstreamOptions options_;
  std::unique_ptr<PooledUpstream> upstream_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
};

INSTANTIATE_TEST_SUITE_P(Transports, UpstreamTlsTest,
                         ::testing::Values(Transport::kGrpc, Transport::kH2),
                         [](const auto& transport) {
                           return transport.param == Transport::kH2 ? "H2"
                                                                    : "Grpc";
                         });

TEST_P(UpstreamTlsTest, ServerOfTheAuthorityIsTrusted) {
  Serve("IP:127.0.0.1");
  Connect();
  EXPECT_EQ(Ask("/echo"), "x");
  EXPECT_TRUE(upstream_->tls_status().ok());
}

TEST_P(UpstreamTlsTest, ServerOfAnotherAuthorityIsUnavailableAndSaysWhy) {
  Serve("IP:127.0.0.1");
  folder_.Write("ca.crt", Authority("another").certificate());
  Connect();
  EXPECT_THAT(Ask("/echo"), AllOf(StartsWith("UNAVAILABLE"),
                                  HasSubstr("certificate verify failed")));
}

// The process's roots, as the environment may name them, are the system's.
TEST_P(UpstreamTlsTest, WithoutCaTheSystemsRootsCount) {
  setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", settings().tls->ca.c_str(), 1);
  Serve("IP:127.0.0.1");
  settings().tls->ca.clear();
  Connect();
  EXPECT_EQ(Ask("/echo"), "x");
  unsetenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH");
}

// Be it an authority's, or the server's own.
TEST_P(UpstreamTlsTest, EachCertificateInCaIsTrusted) {
  Serve("IP:127.0.0.1");
  folder_.Write("ca.crt", Authority("another").certificate() + identity_);
  Connect();
  EXPECT_EQ(Ask("/echo"), "x");
}

TEST_P(UpstreamTlsTest, CertificateMustBeForTheTarget) {
  Serve("DNS:chat.internal");
  Connect();
  EXPECT_THAT(Ask("/echo"),
              AllOf(StartsWith("UNAVAILABLE"), HasSubstr("127.0.0.1")));
}

TEST_P(UpstreamTlsTest, CertificateMayBeForTheNameThatIsSet) {
  Serve("DNS:chat.internal");
  settings().tls->authority = "chat.internal";
  Connect();
  EXPECT_EQ(Ask("/host"), "chat.internal");
  settings().tls->authority = "other.internal";
  Connect();
  EXPECT_THAT(Ask("/host"),
              AllOf(StartsWith("UNAVAILABLE"), HasSubstr("other.internal")));
}

// Without a name of its own for TLS the certificate must be for the authority.
TEST_P(UpstreamTlsTest, CertificateMustBeForTheAuthorityThatIsSet) {
  Serve("DNS:chat.internal");
  settings().authority = "chat.internal";
  Connect();
  EXPECT_EQ(Ask("/host"), "chat.internal");
}

TEST_P(UpstreamTlsTest, AuthorityMayDifferFromTheCertificatesName) {
  Serve("DNS:chat.internal");
  settings().authority = "rooms.example.com";
  settings().tls->authority = "chat.internal";
  Connect();
  EXPECT_EQ(Ask("/host"), "rooms.example.com");
}

// grpc/grpc doc/naming.md: the authority of a socket file.
TEST_P(UpstreamTlsTest, SocketFileIsLocalhost) {
  address_ = "unix:" + folder_.Path("socket");
  Serve("DNS:localhost");
  settings().target = address_;
  Connect();
  EXPECT_EQ(Ask("/host"), "localhost");
}

TEST_P(UpstreamTlsTest, ClientShowsItsCertificate) {
  Serve("IP:127.0.0.1", &authority_);
  WriteIdentity(authority_.Issue("one"));
  Connect();
  EXPECT_EQ(Ask("/identity"), "one");
}

TEST_P(UpstreamTlsTest, ServerThatWantsACertificateRefusesWhoHasNone) {
  Serve("IP:127.0.0.1", &authority_);
  Connect();
  EXPECT_THAT(Ask("/echo"), StartsWith("UNAVAILABLE"));
}

TEST_P(UpstreamTlsTest, ServerRefusesTheCertificateOfAnotherAuthority) {
  Serve("IP:127.0.0.1", &authority_);
  WriteIdentity(Authority("another").Issue("one"));
  Connect();
  EXPECT_THAT(Ask("/echo"), StartsWith("UNAVAILABLE"));
}

// --- files that change ---

TEST_P(UpstreamTlsTest, NewCallsUseTheNewCertificateAndRunningOnesGoOn) {
  Serve("IP:127.0.0.1", &authority_);
  WriteIdentity(authority_.Issue("one"));
  Connect();
  Tick();
  TestCall running(*upstream_, "/identity");
  running.Write("x");
  ASSERT_TRUE(RunUntil(worker_, [&] { return running.answered(); }));
  WriteIdentity(authority_.Issue("two"));
  EXPECT_EQ(Ask("/identity"), "one");  // Nobody has looked yet.
  Tick();
  EXPECT_EQ(Ask("/identity"), "two");
  EXPECT_EQ(upstream_->channel_count(), 2u);
  running.Write("x");
  ASSERT_TRUE(
      RunUntil(worker_, [&] { return running.messages().size() == 2; }));
  EXPECT_EQ(running.messages()[1], "one");
  // The old channel goes with its last call.
  running.WritesDone();
  ASSERT_TRUE(RunUntil(worker_, [&] { return running.end().has_value(); }));
  EXPECT_TRUE(running.end()->status.ok());
  Tick();
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

TEST_P(UpstreamTlsTest, NewRootsAreTaken) {
  Serve("IP:127.0.0.1");
  folder_.Write("ca.crt", Authority("another").certificate());
  Connect();
  EXPECT_THAT(Ask("/echo"), StartsWith("UNAVAILABLE"));
  folder_.Write("ca.crt", authority_.certificate());
  Tick();
  EXPECT_EQ(Ask("/echo"), "x");
}

TEST_P(UpstreamTlsTest, FilesInTheMiddleOfAChangeChangeNothing) {
  Serve("IP:127.0.0.1", &authority_);
  WriteIdentity(authority_.Issue("one"));
  Connect();
  const Identity two = authority_.Issue("two");
  folder_.Write("client.key", two.key);
  Tick();
  EXPECT_THAT(std::string(upstream_->tls_status().message()),
              HasSubstr("client.key is not the key"));
  EXPECT_EQ(Ask("/identity"), "one");
  folder_.Write("client.crt", two.certificate.substr(0, 100));
  Tick();
  EXPECT_EQ(Ask("/identity"), "one");
  folder_.Write("client.crt", two.certificate);
  Tick();
  EXPECT_TRUE(upstream_->tls_status().ok());
  EXPECT_EQ(Ask("/identity"), "two");
}

TEST_P(UpstreamTlsTest, FilesAreLookedAtOnceASecond) {
  Serve("IP:127.0.0.1", &authority_);
  WriteIdentity(authority_.Issue("one"));
  Connect();
  Tick();
  WriteIdentity(authority_.Issue("two"));
  upstream_->OnTick(now_ + absl::Milliseconds(999));
  EXPECT_EQ(Ask("/identity"), "one");
}

TEST_P(UpstreamTlsTest, UnusableFilesFailCallsUntilTheyAreUsable) {
  Serve("IP:127.0.0.1");
  folder_.Write("ca.crt", "nothing");
  Connect();
  EXPECT_THAT(Ask("/echo"), AllOf(StartsWith("UNAVAILABLE"), HasSubstr("TLS"),
                                  HasSubstr("ca.crt holds no certificate")));
  folder_.Write("ca.crt", authority_.certificate());
  Tick();
  EXPECT_EQ(Ask("/echo"), "x");
}

// As any call, one that fails so has no event after it was destroyed.
TEST_P(UpstreamTlsTest, CallThatCannotStartMayBeDestroyedAtAnyMoment) {
  folder_.Remove("ca.crt");
  Connect();
  TestCall call(*upstream_, "/echo");
  call.Write("x");
  call.WritesDone();
  call.Destroy();
  worker_.run();
  EXPECT_FALSE(call.end());
}

}  // namespace
}  // namespace headgate
