// ClientWebSocket over TLS, with a server's TlsEngine at the other end.

#include <array>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/web_socket.h"
#include "gateway/tls/context.h"
#include "gateway/tls/engine.h"
#include "tests/testing/certificates.h"
#include "tests/ws/frames.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;

class ClientWebSocketTlsTest : public ::testing::Test,
                               protected ClientWebSocketObserver {
 protected:
  struct ZeroMask final : ws::MaskSource {
    ws::MaskKey NextMask() override { return {0, 0, 0, 0}; }
  };

  ClientWebSocketTlsTest() {
    const Identity identity = authority_.Issue("h", "DNS:h");
    TlsMaterial own;
    own.certificate = identity.certificate;
    own.key = identity.key;
    server_ = std::make_unique<TlsEngine>(*TlsContext::ForServer({}, own));
  }
  ClientWebSocket Make(const std::string& server) {
    TlsMaterial trusted;
    trusted.ca = authority_.certificate();
    ClientWebSocket::Options options;
    options.max_message_bytes = 100'000;
    TlsClientOptions tls;
    tls.protocol = "http/1.1";
    options.tls = *TlsContext::ForClient(tls, trusted);
    options.server = server;
    return ClientWebSocket(request_, mask_, options);
  }

  // Passes bytes on, both ways, `at_a_time`, until there are none; false when
  // the client has failed.
  bool Converse(ClientWebSocket& client, std::size_t at_a_time) {
    for (bool any = true; any;) {
      any = false;
      while (client.has_output()) {
        const std::string sent(client.Front()[0].substr(0, at_a_time));
        client.OnSent(sent.size());
        TakeOnServer(sent);
        any = true;
      }
      std::string records = std::exchange(server_->output(), {});
      for (std::size_t i = 0; i < records.size(); i += at_a_time) {
        any = true;
        if (!client.Receive(records.substr(i, at_a_time), *this)) return false;
      }
    }
    return true;
  }
  void TakeOnServer(const std::string& records) {
    server_->Feed(records);
    if (!server_->established()) {
      if (!server_->Handshake().ok() || !server_->established()) return;
    }
    std::array<char, 1000> buffer;
    for (;;) {
      const auto size = server_->Read(buffer.data(), buffer.size());
      if (!size.ok() || *size == 0) return;
      received_.append(buffer.data(), *size);
    }
  }
  std::string Accepted() const {
    return absl::StrCat(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Accept: ",
        request_.accept(), "\r\n\r\n");
  }

  void OnOpen(const std::string&) override { absl::StrAppend(&log_, "open "); }
  void OnMessage(WireMessage message) override {
    absl::StrAppend(&log_, message.payload.size(), " bytes ");
  }
  void OnClose(CloseCode code, absl::string_view) override {
    absl::StrAppend(&log_, "close ", static_cast<int>(code));
  }

  const Authority authority_{"authority"};
  const UpgradeRequest request_{{"h", "1", "h:1", "/"}, {}, "test", "key"};
  ZeroMask mask_;
  std::unique_ptr<TlsEngine> server_;
  std::string received_;  // By the server.
  std::string log_;
};

class ClientWebSocketTlsCutTest
    : public ClientWebSocketTlsTest,
      public ::testing::WithParamInterface<std::size_t> {};

TEST_P(ClientWebSocketTlsCutTest, ConversesHoweverTheRecordsAreCut) {
  ClientWebSocket client = Make("h");
  ASSERT_TRUE(client.Start());
  ASSERT_TRUE(Converse(client, GetParam()));
  EXPECT_EQ(received_, request_.text());
  received_.clear();
  const std::string message(50'000, 'x');
  ASSERT_TRUE(server_->Write(Accepted() + Frame(kText, message, false)).ok());
  ASSERT_TRUE(Converse(client, GetParam()));
  EXPECT_EQ(log_, "open 50000 bytes ");

  client.endpoint().Write(Opcode::kBinary, message);
  ASSERT_TRUE(Converse(client, GetParam()));
  EXPECT_TRUE(client.endpoint().TakeWritten());
  client.EncryptFrames("frames");
  ASSERT_TRUE(Converse(client, GetParam()));
  EXPECT_EQ(received_.size(), 4 + 4 + message.size() + 6);
  EXPECT_TRUE(absl::EndsWith(received_, "xframes"));
}

INSTANTIATE_TEST_SUITE_P(Bytes, ClientWebSocketTlsCutTest,
                         ::testing::Values(1, 1000, 1'000'000));

// A server that ends TLS has ended the connection, whatever becomes of TCP.
TEST_F(ClientWebSocketTlsTest, CloseNotifyIsTheEnd) {
  ClientWebSocket client = Make("h");
  ASSERT_TRUE(client.Start());
  ASSERT_TRUE(Converse(client, 1'000'000));
  ASSERT_TRUE(
      server_->Write(Accepted() + Frame(kClose, "\x03\xE8", false)).ok());
  server_->Shutdown();
  EXPECT_FALSE(Converse(client, 1'000'000));
  EXPECT_EQ(log_, "open close 1000");
  EXPECT_EQ(std::get<Lost>(client.failure()).why,
            "connection broken without a Close frame");
}

TEST_F(ClientWebSocketTlsTest, ACertificateForAnotherNameIsRefused) {
  ClientWebSocket client = Make("other");
  ASSERT_TRUE(client.Start());
  EXPECT_FALSE(Converse(client, 1'000'000));
  EXPECT_EQ(std::get<Unreachable>(client.failure()).why,
            "TLS: the certificate cannot be trusted: hostname mismatch: it "
            "must be for other, and is for DNS:h");
  EXPECT_EQ(received_, "");
  EXPECT_TRUE(client.has_output());  // The alert.
}

TEST_F(ClientWebSocketTlsTest, WithoutANameTlsCannotStart) {
  ClientWebSocket client = Make("");
  EXPECT_FALSE(client.Start());
  EXPECT_THAT(std::get<Unreachable>(client.failure()).why,
              HasSubstr("it is no name"));
}

TEST_F(ClientWebSocketTlsTest, AConnectionThatEndsInTheHandshakeSaysSo) {
  ClientWebSocket client = Make("h");
  ASSERT_TRUE(client.Start());
  EXPECT_EQ(std::get<Unreachable>(client.AtEnd("")).why,
            "TLS: the other side hung up");
}

}  // namespace
}  // namespace headgate
