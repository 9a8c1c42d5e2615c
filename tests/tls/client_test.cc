// The engine as a client, against a server by OpenSSL itself.

#include "gateway/tls/engine.h"

#include <array>
#include <cstddef>
#include <memory>
#include <random>
#include <string>

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "tests/testing/certificates.h"
#include "tests/testing/environment_variable.h"
#include "tests/testing/test_folder.h"
#include "tests/testing/tls_server.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Text(const absl::Status& status) {
  return std::string(status.message());
}

class TlsClientTest : public ::testing::Test {
 protected:
  TlsClientTest() {
    options_.protocol = "h2";
    options_.requires_protocol = true;
    material_.ca = authority_.certificate();
    server_options_.identity = authority_.Issue("server", "DNS:chat.internal");
  }

  void Connect(const std::string& name = "chat.internal") {
    auto context = TlsContext::ForClient(options_, material_);
    ASSERT_TRUE(context.ok()) << context.status();
    client_ = std::make_unique<TlsEngine>(*context, name);
    server_ = std::make_unique<TlsServer>(server_options_);
  }
  // What the client has to say goes to the server.
  void ToServer() {
    server_->Feed(client_->output());
    client_->output().clear();
  }
  // And back: the first error of the client's.
  absl::Status ToClient(const std::string& bytes) {
    fed_ = bytes;
    client_->Feed(fed_);
    if (!client_->established()) {
      if (absl::Status status = client_->Handshake(); !status.ok()) {
        return status;
      }
      if (!client_->established()) return absl::OkStatus();
    }
    for (;;) {
      std::array<char, 1000> buffer;
      const auto size = client_->Read(buffer.data(), buffer.size());
      if (!size.ok()) return size.status();
      if (*size == 0) return absl::OkStatus();
      received_.append(buffer.data(), *size);
    }
  }
  // The whole handshake, and what follows it by itself.
  absl::Status Handshake() {
    absl::Status status = client_->Handshake();
    for (int i = 0; i < 10 && status.ok(); ++i) {
      ToServer();
      status = ToClient(server_->TakeOutput());
    }
    ToServer();
    return status;
  }
  std::string Failure(const std::string& name = "chat.internal") {
    Connect(name);
    const absl::Status status = Handshake();
    EXPECT_FALSE(status.ok()) << "it has connected";
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_FALSE(client_->established());
    return std::string(status.message());
  }
  void ExpectConnects(const std::string& name = "chat.internal") {
    Connect(name);
    const absl::Status status = Handshake();
    EXPECT_TRUE(status.ok()) << name << ": " << status;
    EXPECT_TRUE(client_->established()) << name;
    EXPECT_TRUE(server_->established()) << name;
  }

  static const Authority& TestAuthority() {
    static const Authority authority("test");
    return authority;
  }

  const Authority& authority_ = TestAuthority();
  TlsClientOptions options_;
  TlsMaterial material_;
  TlsTestServerOptions server_options_;
  std::unique_ptr<TlsEngine> client_;
  std::unique_ptr<TlsServer> server_;
  std::string fed_;
  std::string received_;
};

// --- whom the certificate is for ---

TEST_F(TlsClientTest, NameIsToldAndMustBeTheCertificates) {
  ExpectConnects();
  EXPECT_EQ(server_->server_name(), "chat.internal");
  EXPECT_EQ(Failure("other.internal"),
            "TLS: certificate verify failed: hostname mismatch: it must be for "
            "other.internal, and is for DNS:chat.internal");
  EXPECT_THAT(server_->fault(), HasSubstr("alert bad certificate"));
}

// RFC 6066 section 3: an address is no name to be told.
TEST_F(TlsClientTest, AddressMustBeTheCertificatesAndIsNotTold) {
  server_options_.identity = authority_.Issue(
      "server", "IP:127.0.0.1,IP:2001:db8:0:0:0:0:0:1,DNS:127.0.0.2");
  ExpectConnects("127.0.0.1");
  EXPECT_EQ(server_->server_name(), "");
  ExpectConnects("2001:db8::1");
  EXPECT_THAT(Failure("127.0.0.2"),
              HasSubstr("IP address mismatch: it must be for 127.0.0.2"));
  EXPECT_THAT(Failure("::1"), HasSubstr("IP address mismatch"));
  EXPECT_THAT(Failure("chat.internal"), HasSubstr("hostname mismatch"));
}

// RFC 9525 section 6.3: a wildcard is the whole of the first label.
TEST_F(TlsClientTest, WildcardIsOneLabel) {
  server_options_.identity =
      authority_.Issue("server", "DNS:*.chat.internal,DNS:a*.example.com");
  ExpectConnects("a.chat.internal");
  ExpectConnects("A.Chat.Internal");
  EXPECT_THAT(Failure("chat.internal"), HasSubstr("hostname mismatch"));
  EXPECT_THAT(Failure("a.b.chat.internal"), HasSubstr("hostname mismatch"));
  EXPECT_THAT(Failure("ab.example.com"), HasSubstr("hostname mismatch"));
}

// OpenSSL takes no name for any name.
TEST_F(TlsClientTest, WithoutANameNobodyIsTrusted) {
  EXPECT_THAT(Failure(""), HasSubstr("no certificate can be for \"\""));
  EXPECT_THAT(Failure(std::string("chat.internal\0x", 15)),
              HasSubstr("it is no name"));
  EXPECT_THAT(Failure(std::string(300, 'a')), HasSubstr("it is no name"));
}

// --- whom it comes from ---

TEST_F(TlsClientTest, CertificateMustComeFromTheAuthority) {
  material_.ca = Authority("another").certificate();
  EXPECT_THAT(Failure(), AllOf(StartsWith("TLS: certificate verify failed: "),
                               HasSubstr("unable to get local issuer")));
  EXPECT_THAT(server_->fault(), HasSubstr("alert unknown ca"));
}

TEST_F(TlsClientTest, AnyCertificateOfTheFileIsTrusted) {
  material_.ca = Authority("another").certificate() + authority_.certificate();
  ExpectConnects();
  // The server's own.
  material_.ca = server_options_.identity.certificate;
  ExpectConnects();
  EXPECT_THAT(Failure("other.internal"), HasSubstr("hostname mismatch"));
}

TEST_F(TlsClientTest, WithoutCaTheRootsFileOrOpenSslsRootsAreTrusted) {
  const TestFolder folder;
  const std::string good = folder.Write("good.crt", authority_.certificate());
  const std::string other =
      folder.Write("other.crt", Authority("another").certificate());
  EnvironmentVariable openssls("SSL_CERT_FILE");
  material_.ca.clear();
  EXPECT_THAT(Failure(), HasSubstr("unable to get local issuer"));
  openssls.Set(good);
  ExpectConnects();
  options_.roots_file = other;
  EXPECT_THAT(Failure(), HasSubstr("unable to get local issuer"));
  options_.roots_file = good;
  openssls.Set(other);
  ExpectConnects();
}

TEST_F(TlsClientTest, ServerMayAskForTheClientsCertificate) {
  const Authority clients("clients");
  server_options_.client_ca = clients.certificate();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    server_options_.max_version = version;
    const Identity mine = clients.Issue("gateway");
    material_.certificate = mine.certificate;
    material_.key = mine.key;
    ExpectConnects();
    const Identity wrong = authority_.Issue("gateway");
    material_.certificate = wrong.certificate;
    material_.key = wrong.key;
    Connect();
    EXPECT_THAT(Text(Handshake()),
                HasSubstr("the server has refused: tlsv1 alert unknown ca"));
    material_.certificate.clear();
    material_.key.clear();
    Connect();
    EXPECT_THAT(Text(Handshake()),
                HasSubstr(version == TLS1_3_VERSION
                              ? "refused: tlsv13 alert certificate required"
                              : "refused: sslv3 alert handshake failure"));
  }
}

// --- what is spoken ---

TEST_F(TlsClientTest, ServerMustSelectHttp2) {
  server_options_.protocol = "";
  EXPECT_EQ(Failure(),
            "TLS: the server must select the protocol h2 (ALPN), and has "
            "selected none");
  // RFC 7301 section 3.2: it may select only what is offered.
  server_options_.protocol = "http/1.1";
  EXPECT_EQ(Failure(),
            "TLS: bad extension: perhaps the server has selected another "
            "protocol than h2 (ALPN)");
}

TEST_F(TlsClientTest, VersionsAre12And13) {
  for (const auto& [version, name] :
       {std::pair(TLS1_2_VERSION, "TLSv1.2"), {TLS1_3_VERSION, "TLSv1.3"}}) {
    server_options_.max_version = version;
    ExpectConnects();
    EXPECT_EQ(server_->version(), name);
  }
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    server_options_.max_version = version;
    EXPECT_THAT(Failure(), StartsWith("TLS: "));
  }
}

// RFC 9113 section 9.2.2.
TEST_F(TlsClientTest, CiphersHaveForwardSecrecyAndAuthenticatedEncryption) {
  server_options_.max_version = TLS1_2_VERSION;
  server_options_.ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305";
  ExpectConnects();
  server_options_.ciphers = "ECDHE-ECDSA-AES128-SHA256";
  EXPECT_THAT(Failure(), StartsWith("TLS: the server has refused: "));
}

TEST_F(TlsClientTest, ServerWithoutTlsIsToldApart) {
  Connect();
  ASSERT_TRUE(client_->Handshake().ok());
  EXPECT_EQ(ToClient(std::string("\0\0\0\4\0\0\0\0\0", 9)).message(),
            "TLS: wrong version number: the server does not speak TLS");
}

// --- bytes ---

TEST_F(TlsClientTest, BytesGoBothWays) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    server_options_.max_version = version;
    ExpectConnects();
    const std::string sent(100'000, 'x');
    ASSERT_TRUE(client_->Write(sent).ok());
    // All of it at once, with little besides.
    EXPECT_LT(client_->output().size(), sent.size() + 500);
    ToServer();
    EXPECT_EQ(server_->TakeReceived(), sent);
    server_->Write(sent);
    received_.clear();
    EXPECT_TRUE(ToClient(server_->TakeOutput()).ok());
    EXPECT_EQ(received_, sent);
    EXPECT_TRUE(client_->Write("").ok());
    EXPECT_EQ(client_->output(), "");
  }
}

TEST_F(TlsClientTest, BytesComeInPiecesOfAnySize) {
  Connect();
  ASSERT_TRUE(client_->Handshake().ok());
  const auto feed_each = [&] {
    for (const char c : server_->TakeOutput()) {
      ASSERT_TRUE(ToClient(std::string(1, c)).ok());
    }
  };
  ToServer();
  feed_each();
  EXPECT_TRUE(client_->established());
  ToServer();
  server_->Write("hello");
  feed_each();
  EXPECT_EQ(received_, "hello");
}

// The server's first words may come with the end of its handshake.
TEST_F(TlsClientTest, WhatFollowsTheHandshakeAtOnceIsNotLost) {
  server_options_.max_version = TLS1_2_VERSION;
  Connect();
  ASSERT_TRUE(client_->Handshake().ok());
  ToServer();
  ASSERT_TRUE(ToClient(server_->TakeOutput()).ok());
  ToServer();
  server_->Write("hello");
  EXPECT_TRUE(ToClient(server_->TakeOutput()).ok());
  EXPECT_EQ(received_, "hello");
}

TEST_F(TlsClientTest, ServersEndIsTold) {
  ExpectConnects();
  server_->Write("last words");
  server_->Shutdown();
  EXPECT_EQ(ToClient(server_->TakeOutput()).message(),
            "TLS: the server has ended the connection");
  EXPECT_EQ(received_, "last words");
}

TEST_F(TlsClientTest, ClientsEndIsTold) {
  ExpectConnects();
  client_->Shutdown();
  ToServer();
  EXPECT_TRUE(server_->ended());
}

TEST_F(TlsClientTest, EndBeforeTheHandshakeSaysNothing) {
  Connect();
  client_->Shutdown();
  EXPECT_EQ(client_->output(), "");
}

TEST_F(TlsClientTest, KeysMayChange) {
  ExpectConnects();
  server_->UpdateKeys();
  server_->Write("hello");
  EXPECT_TRUE(ToClient(server_->TakeOutput()).ok());
  EXPECT_EQ(received_, "hello");
  ASSERT_TRUE(client_->Write("hello").ok());
  ToServer();
  EXPECT_EQ(server_->TakeReceived(), "hello");
}

// --- bytes of anybody's ---

TEST_F(TlsClientTest, ChangedBytesNeverReachTheReader) {
  ExpectConnects();
  server_->Write("hello");
  std::string bytes = server_->TakeOutput();
  bytes.back() ^= 1;
  EXPECT_THAT(Text(ToClient(bytes)), StartsWith("TLS: "));
  EXPECT_EQ(received_, "");
}

TEST_F(TlsClientTest, BrokenHandshakesEndInAnErrorOrWaitForMore) {
  Connect();
  ASSERT_TRUE(client_->Handshake().ok());
  ToServer();
  const std::string answer = server_->TakeOutput();
  std::minstd_rand random(1);
  for (int i = 0; i < 300; ++i) {
    std::string broken = answer.substr(0, random() % (answer.size() + 1));
    for (int flips = static_cast<int>(random() % 4); flips > 0; --flips) {
      if (!broken.empty()) {
        broken[random() % broken.size()] = static_cast<char>(random());
      }
    }
    Connect();
    ASSERT_TRUE(client_->Handshake().ok());
    // It has said other things than the one that is answered here.
    (void)ToClient(broken);
    EXPECT_FALSE(client_->established());
    EXPECT_LT(client_->output().size(), 1000u);
  }
}

}  // namespace
}  // namespace headgate
