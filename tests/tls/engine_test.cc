// Client against server in memory: what one has to send the other is fed.

#include "gateway/tls/engine.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "tests/testing/certificates.h"
#include "tests/testing/raw_tls_client.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string MessageOf(const absl::Status& status) {
  return std::string(status.message());
}

// One side, and what it has read.
struct Side {
  std::unique_ptr<TlsEngine> engine;
  std::string received;
  std::string fed;

  // Takes `bytes`, in pieces of `piece`; the first error.
  absl::Status Take(const std::string& bytes, std::size_t piece) {
    for (std::size_t i = 0; i < bytes.size(); i += piece) {
      fed = bytes.substr(i, piece);
      engine->Feed(fed);
      if (absl::Status status = Process(); !status.ok()) return status;
      EXPECT_EQ(engine->unread(), "");
    }
    return absl::OkStatus();
  }
  absl::Status Process() {
    if (!engine->established()) {
      if (absl::Status status = engine->Handshake(); !status.ok()) {
        return status;
      }
      if (!engine->established()) return absl::OkStatus();
    }
    for (;;) {
      std::array<char, 1000> buffer;
      const auto size = engine->Read(buffer.data(), buffer.size());
      if (!size.ok()) return size.status();
      if (*size == 0) return absl::OkStatus();
      received.append(buffer.data(), *size);
    }
  }
  std::string TakeOutput() { return std::exchange(engine->output(), {}); }
};

class TlsEngineTest : public ::testing::Test {
 protected:
  TlsEngineTest() {
    const Identity identity =
        TestAuthority().Issue("server", "DNS:chat.internal");
    server_material_ = {"", identity.certificate, identity.key};
    client_material_ = {TestAuthority().certificate(), "", ""};
    client_options_.protocol = "http/1.1";
  }

  void Make(const std::string& name = "chat.internal") {
    auto server = TlsContext::ForServer(server_options_, server_material_);
    auto client = TlsContext::ForClient(client_options_, client_material_);
    ASSERT_TRUE(server.ok()) << server.status();
    ASSERT_TRUE(client.ok()) << client.status();
    server_ = Side{std::make_unique<TlsEngine>(*server), "", ""};
    client_ = Side{std::make_unique<TlsEngine>(*client, name), "", ""};
  }
  // Lets both talk until neither has anything to say.
  void Talk(std::size_t piece = 1 << 20) {
    server_status_ = client_status_ = absl::OkStatus();
    while (server_status_.ok() && client_status_.ok()) {
      std::string bytes = client_.TakeOutput();
      server_status_ = server_.Take(bytes, piece);
      const bool silent = bytes.empty();
      bytes = server_.TakeOutput();
      client_status_ = client_.Take(bytes, piece);
      if (silent && bytes.empty()) return;
    }
    if (server_status_.ok()) {  // The client's alert.
      server_status_ = server_.Take(client_.TakeOutput(), piece);
    }
  }
  void Connect(std::size_t piece = 1 << 20) {
    Make();
    ASSERT_TRUE(client_.engine->Handshake().ok());
    Talk(piece);
    ASSERT_TRUE(server_status_.ok()) << server_status_;
    ASSERT_TRUE(client_status_.ok()) << client_status_;
    ASSERT_TRUE(server_.engine->established());
    ASSERT_TRUE(client_.engine->established());
  }
  void FailToConnect() {
    Make();
    ASSERT_TRUE(client_.engine->Handshake().ok());
    Talk();
  }

  static const Authority& TestAuthority() {
    static const Authority authority("test");
    return authority;
  }

  TlsServerOptions server_options_;
  TlsClientOptions client_options_;
  TlsMaterial server_material_;
  TlsMaterial client_material_;
  Side server_;
  Side client_;
  absl::Status server_status_;
  absl::Status client_status_;
};

// --- bytes ---

TEST_F(TlsEngineTest, BytesGoBothWaysWholeAndByteByByte) {
  const std::string sent(40'000, 'x');
  for (const std::size_t piece : {std::size_t{1} << 20, std::size_t{1}}) {
    Connect(piece);
    ASSERT_TRUE(client_.engine->Write(sent).ok());
    ASSERT_TRUE(server_.engine->Write("hello").ok());
    Talk(piece);
    EXPECT_EQ(server_.received, sent);
    EXPECT_EQ(client_.received, "hello");
    EXPECT_EQ(server_.engine->version(), "TLSv1.3");
  }
}

TEST_F(TlsEngineTest, WriteOfNothingIsNoRecord) {
  Connect();
  EXPECT_TRUE(server_.engine->Write("").ok());
  EXPECT_EQ(server_.engine->output(), "");
}

TEST_F(TlsEngineTest, RecordThatIsReadInPartsNeedsNoMoreBytes) {
  Connect();
  ASSERT_TRUE(client_.engine->Write("hello").ok());
  ASSERT_TRUE(client_.engine->Write("world").ok());
  const std::string records = client_.TakeOutput();
  server_.engine->Feed(records);
  std::array<char, 10> buffer;
  EXPECT_EQ(*server_.engine->Read(buffer.data(), 2), 2u);
  EXPECT_TRUE(server_.engine->has_plaintext());
  // The second record is still the caller's.
  EXPECT_NE(server_.engine->unread(), "");
  EXPECT_EQ(*server_.engine->Read(buffer.data(), 10), 3u);
  EXPECT_FALSE(server_.engine->has_plaintext());
  EXPECT_EQ(*server_.engine->Read(buffer.data(), 10), 5u);
  EXPECT_EQ(server_.engine->unread(), "");
  EXPECT_EQ(*server_.engine->Read(buffer.data(), 10), 0u);
}

// --- the end ---

TEST_F(TlsEngineTest, CloseNotifyEndsOneDirectionOnly) {
  for (const bool server_first : {false, true}) {
    Connect();
    Side& first = server_first ? server_ : client_;
    Side& second = server_first ? client_ : server_;
    ASSERT_TRUE(first.engine->Write("last words").ok());
    first.engine->Shutdown();
    const absl::Status end = second.Take(first.TakeOutput(), 1 << 20);
    EXPECT_EQ(MessageOf(end), server_first
                                  ? "TLS: the server has ended the connection"
                                  : "TLS: the client has ended the connection");
    EXPECT_EQ(second.received, "last words");
    EXPECT_TRUE(second.engine->peer_ended());
    // The other direction goes on.
    ASSERT_TRUE(second.engine->Write("goodbye").ok());
    second.engine->Shutdown();
    EXPECT_FALSE(first.Take(second.TakeOutput(), 1 << 20).ok());
    EXPECT_EQ(first.received, "goodbye");
    EXPECT_TRUE(first.engine->peer_ended());
  }
}

TEST_F(TlsEngineTest, NothingIsWrittenBehindCloseNotify) {
  Connect();
  server_.engine->Shutdown();
  (void)server_.TakeOutput();
  EXPECT_FALSE(server_.engine->Write("more").ok());
  EXPECT_EQ(server_.engine->output(), "");
}

TEST_F(TlsEngineTest, EndBeforeTheHandshakeSaysNothing) {
  Make();
  server_.engine->Shutdown();
  EXPECT_EQ(server_.engine->output(), "");
  client_.engine->Shutdown();
  EXPECT_EQ(client_.engine->output(), "");
}

TEST_F(TlsEngineTest, TruncatedRecordIsNeverRead) {
  Connect();
  ASSERT_TRUE(client_.engine->Write("hello").ok());
  std::string record = client_.TakeOutput();
  record.pop_back();
  EXPECT_TRUE(server_.Take(record, 1 << 20).ok());
  EXPECT_EQ(server_.received, "");
  EXPECT_FALSE(server_.engine->has_plaintext());
}

// --- hostile bytes ---

TEST_F(TlsEngineTest, ChangedRecordEndsTheConnectionWithAnAlert) {
  Connect();
  ASSERT_TRUE(client_.engine->Write("hello").ok());
  std::string record = client_.TakeOutput();
  record.back() ^= 1;
  EXPECT_EQ(MessageOf(server_.Take(record, 1 << 20)),
            "TLS: decryption failed or bad record mac");
  EXPECT_EQ(server_.received, "");
  EXPECT_EQ(MessageOf(client_.Take(server_.TakeOutput(), 1 << 20)),
            "TLS: the server has refused: sslv3 alert bad record mac");
}

TEST_F(TlsEngineTest, WhatIsNoTlsIsNamed) {
  Make();
  EXPECT_EQ(
      MessageOf(server_.Take("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 1 << 20)),
      "TLS: http request");
  Make();
  EXPECT_EQ(MessageOf(server_.Take(std::string(100, '\1'), 1 << 20)),
            "TLS: wrong version number: the client does not speak TLS");
  Make();
  ASSERT_TRUE(client_.engine->Handshake().ok());
  EXPECT_EQ(MessageOf(client_.Take(std::string(100, '\1'), 1 << 20)),
            "TLS: wrong version number: the server does not speak TLS");
}

TEST_F(TlsEngineTest, BrokenHellosEndInAnErrorOrWaitForMore) {
  Make();
  ASSERT_TRUE(client_.engine->Handshake().ok());
  const std::string hello = client_.TakeOutput();
  std::minstd_rand random(1);
  for (int i = 0; i < 300; ++i) {
    std::string broken = hello.substr(0, random() % (hello.size() + 1));
    for (int flips = static_cast<int>(random() % 4); flips > 0; --flips) {
      if (!broken.empty()) {
        broken[random() % broken.size()] = static_cast<char>(random());
      }
    }
    Make();
    const absl::Status status = server_.Take(broken, 1 + random() % 300);
    EXPECT_FALSE(server_.engine->established());
    if (!status.ok()) {
      EXPECT_THAT(MessageOf(status), StartsWith("TLS: "));
    }
    EXPECT_LT(server_.engine->output().size(), 5000u);
  }
}

// --- who the peer must be ---

TEST_F(TlsEngineTest, ServersCertificateMustBeForTheName) {
  Make("other.internal");
  ASSERT_TRUE(client_.engine->Handshake().ok());
  Talk();
  EXPECT_EQ(MessageOf(client_status_),
            "TLS: certificate verify failed: hostname mismatch: it must be for "
            "other.internal, and is for DNS:chat.internal");
  EXPECT_EQ(MessageOf(server_status_),
            "TLS: the client has refused: sslv3 alert bad certificate");
  EXPECT_FALSE(client_.engine->established());
}

TEST_F(TlsEngineTest, ClientThatVerifiesNobodyTakesAnyCertificate) {
  client_options_.verifies_server = false;
  Make("other.internal");
  ASSERT_TRUE(client_.engine->Handshake().ok());
  Talk();
  EXPECT_TRUE(client_.engine->established());
}

TEST_F(TlsEngineTest, ServersChainIsSentWhole) {
  server_material_.certificate += TestAuthority().certificate();
  Connect();
}

TEST_F(TlsEngineTest, ClientsCertificateNamesTheClient) {
  const Identity ann = TestAuthority().Issue("ann");
  server_material_.ca = TestAuthority().certificate();
  Connect();
  EXPECT_EQ(server_.engine->peer_subject(), "");
  for (const auto mode : {TlsServerOptions::ClientCertificates::kOptional,
                          TlsServerOptions::ClientCertificates::kRequired}) {
    server_options_.client_certificates = mode;
    client_material_.certificate = ann.certificate;
    client_material_.key = ann.key;
    Connect();
    EXPECT_EQ(server_.engine->peer_subject(), "CN=ann");
  }
}

TEST_F(TlsEngineTest, ClientWithoutAKnownCertificateIsRefused) {
  server_material_.ca = TestAuthority().certificate();
  server_options_.client_certificates =
      TlsServerOptions::ClientCertificates::kOptional;
  Connect();  // Without any it may come.
  const Identity eve = Authority("another").Issue("eve");
  client_material_.certificate = eve.certificate;
  client_material_.key = eve.key;
  FailToConnect();
  EXPECT_THAT(MessageOf(server_status_),
              AllOf(StartsWith("TLS: certificate verify failed: "),
                    HasSubstr("unable to get local issuer")));
  EXPECT_EQ(MessageOf(client_status_),
            "TLS: the server has refused: tlsv1 alert unknown ca");
  client_material_.certificate = client_material_.key = "";
  server_options_.client_certificates =
      TlsServerOptions::ClientCertificates::kRequired;
  FailToConnect();
  EXPECT_EQ(MessageOf(server_status_),
            "TLS: peer did not return a certificate");
}

// --- what is spoken ---

// RFC 7301 section 3.2.
TEST_F(TlsEngineTest, ProtocolsMustHaveOneInCommon) {
  client_options_.protocol = "h2";
  FailToConnect();
  EXPECT_EQ(MessageOf(server_status_), "TLS: no application protocol");
  EXPECT_EQ(MessageOf(client_status_),
            "TLS: the server has refused: tlsv1 alert no application protocol");
  server_options_.protocols = {"h2"};
  client_options_.requires_protocol = true;
  Connect();
  client_options_.protocol = "";  // A client need not offer any.
  client_options_.requires_protocol = false;
  Connect();
  EXPECT_EQ(server_.engine->protocol(), "");
}

// RFC 7301 section 3.2: the server's order counts.
TEST_F(TlsEngineTest, ServerSelectsWhatItPrefersOfWhatIsOffered) {
  server_options_.protocols = {"h2", "http/1.1"};
  client_options_.protocol = "http/1.1";
  Connect();
  EXPECT_EQ(server_.engine->protocol(), "http/1.1");
  client_options_.protocol = "h2";
  Connect();
  EXPECT_EQ(server_.engine->protocol(), "h2");
}

// --- what only a client by OpenSSL's own hand does ---

// Lets both talk until neither has anything to say; the server's first error.
absl::Status TalkWith(RawTlsClient& client, Side& server) {
  for (;;) {
    client.Read();
    const std::string sent = client.TakeOutput();
    absl::Status status = server.Take(sent, 1 << 20);
    if (!status.ok()) return status;
    const std::string back = server.TakeOutput();
    if (sent.empty() && back.empty()) return absl::OkStatus();
    client.Feed(back);
  }
}

TEST_F(TlsEngineTest, KeysMayChange) {
  Make();
  RawTlsClient client(TLS1_3_VERSION);
  ASSERT_TRUE(TalkWith(client, server_).ok());
  ASSERT_TRUE(server_.engine->established());
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(SSL_key_update(client.tls(), SSL_KEY_UPDATE_REQUESTED), 1);
    SSL_write(client.tls(), "hello", 5);
    ASSERT_TRUE(server_.engine->Write("world").ok());
    ASSERT_TRUE(TalkWith(client, server_).ok());
  }
  EXPECT_EQ(server_.received, "hellohellohello");
  EXPECT_EQ(client.received(), "worldworldworld");
}

// RFC 5746; TLS 1.3 has none.
TEST_F(TlsEngineTest, RenegotiationIsRefusedAndTheConnectionGoesOn) {
  Make();
  RawTlsClient client(TLS1_2_VERSION);
  ASSERT_TRUE(TalkWith(client, server_).ok());
  ASSERT_TRUE(server_.engine->established());
  SSL_renegotiate(client.tls());
  SSL_do_handshake(client.tls());
  ASSERT_TRUE(server_.Take(client.TakeOutput(), 1 << 20).ok());
  // By a warning (RFC 5246 section 7.2.2).
  EXPECT_TRUE(server_.engine->Write("still here").ok());
  client.Feed(server_.TakeOutput());
  char byte = 0;
  EXPECT_LE(SSL_read(client.tls(), &byte, 1), 0);
  EXPECT_EQ(ERR_GET_REASON(ERR_get_error()), SSL_R_NO_RENEGOTIATION);
}

// 64 changes, and one for each KiB of plaintext.
TEST_F(TlsEngineTest, KeysThatChangeTooOftenEndTheConnection) {
  Make();
  RawTlsClient client(TLS1_3_VERSION);
  ASSERT_TRUE(TalkWith(client, server_).ok());
  const std::string plaintext(10 * 1024, 'x');
  SSL_write(client.tls(), plaintext.data(), 10 * 1024);
  ASSERT_TRUE(TalkWith(client, server_).ok());
  for (int i = 0; i < 64 + 10; ++i) {
    SSL_key_update(client.tls(), SSL_KEY_UPDATE_NOT_REQUESTED);
    SSL_do_handshake(client.tls());
    ASSERT_TRUE(TalkWith(client, server_).ok()) << i;
  }
  EXPECT_FALSE(server_.engine->is_flooded());
  SSL_key_update(client.tls(), SSL_KEY_UPDATE_NOT_REQUESTED);
  SSL_do_handshake(client.tls());
  EXPECT_EQ(MessageOf(TalkWith(client, server_)),
            "TLS: the client asks for new keys too often");
  EXPECT_TRUE(server_.engine->is_flooded());
}

// Not even the rest of what was read is looked at.
TEST_F(TlsEngineTest, FloodOfKeyUpdatesStopsInTheMiddle) {
  Make();
  RawTlsClient client(TLS1_3_VERSION);
  ASSERT_TRUE(TalkWith(client, server_).ok());
  std::string flood;
  for (int i = 0; i < 2000; ++i) {
    SSL_key_update(client.tls(), SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(client.tls());
    flood += client.TakeOutput();
  }
  EXPECT_EQ(MessageOf(server_.Take(flood, flood.size())),
            "TLS: the client asks for new keys too often");
  EXPECT_LT(server_.TakeOutput().size(), 70u * 40);
}

// Encrypts records of a TLS 1.2 client whose handshake is complete, with
// AES128-GCM-SHA256 (RFC 5246 section 6.3, RFC 5288): OpenSSL's own client
// would not ask again after the first refusal.
class RecordWriter {
 public:
  explicit RecordWriter(SSL* tls) {
    std::array<unsigned char, 48> secret;
    SSL_SESSION_get_master_key(SSL_get_session(tls), secret.data(),
                               secret.size());
    std::array<unsigned char, 64> random;
    SSL_get_server_random(tls, random.data(), 32);
    SSL_get_client_random(tls, random.data() + 32, 32);
    std::string seed = "key expansion";
    seed.append(random.begin(), random.end());
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, secret.data(),
                                          secret.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed.data(),
                                          seed.size()),
        OSSL_PARAM_construct_end()};
    EVP_KDF* const method = EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr);
    EVP_KDF_CTX* const kdf = EVP_KDF_CTX_new(method);
    EXPECT_EQ(EVP_KDF_derive(kdf, keys_.data(), keys_.size(), parameters), 1);
    EVP_KDF_CTX_free(kdf);
    EVP_KDF_free(method);
  }

  std::string Encrypt(char type, const std::string& content) {
    const std::string sequence =
        absl::StrCat(std::string(7, 0), std::string(1, ++sequence_));
    const auto head = [&](std::size_t size) {
      return absl::StrCat(std::string(1, type), "\x03\x03",
                          std::string(1, static_cast<char>(size >> 8)),
                          std::string(1, static_cast<char>(size)));
    };
    const std::string nonce = absl::StrCat(
        std::string(keys_.begin() + 32, keys_.begin() + 36), sequence);
    const std::string bound = sequence + head(content.size());
    std::string sealed(content.size() + 16, '\0');
    const auto bytes = [](const std::string& text) {
      return reinterpret_cast<const unsigned char*>(text.data());
    };
    auto* const out = reinterpret_cast<unsigned char*>(sealed.data());
    int size = 0;
    EVP_CIPHER_CTX* const cipher = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), nullptr, keys_.data(),
                       bytes(nonce));
    EVP_EncryptUpdate(cipher, nullptr, &size, bytes(bound),
                      static_cast<int>(bound.size()));
    EVP_EncryptUpdate(cipher, out, &size, bytes(content),
                      static_cast<int>(content.size()));
    EVP_EncryptFinal_ex(cipher, out + content.size(), &size);
    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, 16, out + content.size());
    EVP_CIPHER_CTX_free(cipher);
    return absl::StrCat(head(8 + sealed.size()), sequence, sealed);
  }

 private:
  // The client's key, the server's, the client's IV, the server's.
  std::array<unsigned char, 16 + 16 + 4 + 4> keys_ = {};
  char sequence_ = 0;  // That of Finished, which was encrypted first.
};

TEST_F(TlsEngineTest, WishesToRenegotiateThatDoNotEndEndTheConnection) {
  Make();
  RawTlsClient client(TLS1_2_VERSION);
  SSL_set_cipher_list(client.tls(), "ECDHE-ECDSA-AES128-GCM-SHA256");
  ASSERT_TRUE(TalkWith(client, server_).ok());
  ASSERT_TRUE(server_.engine->established());
  RecordWriter writer(client.tls());
  // A ClientHello, whose content is not looked at.
  const std::string hello = absl::StrCat(
      absl::string_view("\x01\x00\x00\x20", 4), std::string(0x20, '\0'));
  for (int i = 0; i < 64; ++i) {
    ASSERT_TRUE(server_.Take(writer.Encrypt(22, hello), 1 << 20).ok()) << i;
    EXPECT_NE(server_.TakeOutput(), "") << "each is refused";
  }
  EXPECT_EQ(MessageOf(server_.Take(writer.Encrypt(22, hello), 1 << 20)),
            "TLS: the client asks for new keys too often");
  EXPECT_TRUE(server_.engine->is_flooded());
}

TEST_F(TlsEngineTest, OlderVersionsAreRefused) {
  Make();
  RawTlsClient client(TLS1_1_VERSION);
  SSL_set_security_level(client.tls(), 0);
  SSL_set_cipher_list(client.tls(), "ALL:@SECLEVEL=0");
  EXPECT_EQ(MessageOf(TalkWith(client, server_)), "TLS: unsupported protocol");
  server_options_.min_version = TlsServerOptions::MinVersion::k13;
  Make();
  RawTlsClient one_behind(TLS1_2_VERSION);
  EXPECT_EQ(MessageOf(TalkWith(one_behind, server_)),
            "TLS: unsupported protocol");
}

// --- resumption ---

class TlsResumptionTest : public TlsEngineTest {
 protected:
  // Connects with `session`, which may be null; the session to connect with the
  // next time. Sets `resumed_`.
  SSL_SESSION* ConnectWith(SSL_SESSION* session, int version) {
    Make();
    RawTlsClient client(version);
    if (session != nullptr) SSL_set_session(client.tls(), session);
    if (!name_.empty()) SSL_set_tlsext_host_name(client.tls(), name_.c_str());
    SSL_SESSION_free(session);
    EXPECT_TRUE(TalkWith(client, server_).ok());
    EXPECT_TRUE(server_.engine->established());
    resumed_ = server_.engine->is_resumed();
    EXPECT_EQ(SSL_session_reused(client.tls()) == 1, resumed_);
    // A client does not resume a session that was cut off.
    SSL_set_shutdown(client.tls(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    return client.TakeSession();
  }
  static std::string Key(char fill) {
    return std::string(kTicketKeyBytes, fill);
  }

  std::string name_;  // The client's server_name; empty: none.
  bool resumed_ = false;
};

// Each Make is another replica: what they share is the keys.
TEST_F(TlsResumptionTest, ReplicasWithTheSameKeysResumeEachOthersSessions) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    server_material_.ticket_keys = {};
    SSL_SESSION* session = ConnectWith(nullptr, version);
    session = ConnectWith(session, version);
    EXPECT_FALSE(resumed_);
    server_material_.ticket_keys = {Key('a')};
    session = ConnectWith(session, version);
    EXPECT_FALSE(resumed_);
    for (int i = 0; i < 3; ++i) {
      session = ConnectWith(session, version);
      EXPECT_TRUE(resumed_);
    }
    SSL_SESSION_free(session);
  }
}

TEST_F(TlsResumptionTest, KeysAreRotated) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    server_material_.ticket_keys = {Key('a')};
    SSL_SESSION* session = ConnectWith(nullptr, version);
    // A new key comes first; the client gets a ticket of it.
    server_material_.ticket_keys = {Key('b'), Key('a')};
    session = ConnectWith(session, version);
    EXPECT_TRUE(resumed_);
    server_material_.ticket_keys = {Key('b')};
    session = ConnectWith(session, version);
    EXPECT_TRUE(resumed_);
    // One whose key is gone, or another one by the same name.
    server_material_.ticket_keys = {Key('c')};
    session = ConnectWith(session, version);
    EXPECT_FALSE(resumed_);
    server_material_.ticket_keys = {Key('c').substr(0, 16) +
                                    Key('d').substr(16)};
    session = ConnectWith(session, version);
    EXPECT_FALSE(resumed_);
    SSL_SESSION_free(session);
  }
}

// Else a ticket of an open listener would open one that wants certificates.
TEST_F(TlsResumptionTest, SessionIsResumedWhereClientsAreVerifiedAlike) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    server_options_ = {};
    server_material_.ticket_keys = {Key('a')};
    SSL_SESSION* session = ConnectWith(nullptr, version);
    server_options_.client_certificates =
        TlsServerOptions::ClientCertificates::kOptional;
    server_material_.ca = TestAuthority().certificate();
    session = ConnectWith(session, version);
    EXPECT_FALSE(resumed_);
    session = ConnectWith(session, version);
    EXPECT_TRUE(resumed_);
    server_material_.ca = Authority("another").certificate();
    session = ConnectWith(session, version);
    EXPECT_FALSE(resumed_);
    SSL_SESSION_free(session);
  }
}

// Else the certificate of the other name would not be shown.
TEST_F(TlsResumptionTest, SessionIsResumedForTheSameName) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    server_material_.ticket_keys = {Key('a')};
    name_ = "localhost";
    SSL_SESSION* session = ConnectWith(nullptr, version);
    name_ = "LocalHost";
    session = ConnectWith(session, version);
    EXPECT_TRUE(resumed_);
    name_ = "b.example";
    session = ConnectWith(session, version);
    EXPECT_FALSE(resumed_);
    name_ = "";
    session = ConnectWith(session, version);
    EXPECT_FALSE(resumed_);
    session = ConnectWith(session, version);
    EXPECT_TRUE(resumed_);
    SSL_SESSION_free(session);
  }
}

// RFC 9325 section 4.2.
TEST_F(TlsEngineTest, CiphersHaveForwardSecrecyAndAuthenticatedEncryption) {
  Make();
  RawTlsClient client(TLS1_2_VERSION);
  SSL_set_cipher_list(client.tls(), "ECDHE-ECDSA-AES128-SHA256");
  EXPECT_EQ(MessageOf(TalkWith(client, server_)), "TLS: no shared cipher");
  Make();
  RawTlsClient good(TLS1_2_VERSION);
  SSL_set_cipher_list(good.tls(), "ECDHE-ECDSA-AES128-GCM-SHA256");
  EXPECT_TRUE(TalkWith(good, server_).ok());
  EXPECT_TRUE(server_.engine->established());
}

}  // namespace
}  // namespace headgate
