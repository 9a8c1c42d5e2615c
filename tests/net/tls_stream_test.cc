#include "gateway/net/tls_stream.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <boost/asio/io_context.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/tls/context.h"
#include "gateway/tls/engine.h"
#include "tests/net/memory_stream.h"
#include "tests/testing/certificates.h"
#include "tests/testing/fake_upstream.h"
#include "tests/testing/raw_tls_client.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = ByteStream::Result::Kind;

class TlsStreamTest : public ::testing::Test, protected ByteStream::User {
 protected:
  TlsStreamTest() {
    const Identity identity =
        TestAuthority().Issue("server", "DNS:chat.internal");
    auto server =
        TlsContext::ForServer({}, {"", identity.certificate, identity.key});
    auto client =
        TlsContext::ForClient({}, {TestAuthority().certificate(), "", ""});
    carrier_ = std::make_shared<MemoryStream>(io_, log_);
    stream_ = std::make_shared<TlsStream>(carrier_, *server, buffers_);
    client_ = std::make_unique<TlsEngine>(*client, "chat.internal");
    stream_->SetUser(this);
  }

  void OnReadable() override {
    log_.push_back("readable");
    if (act_) std::exchange(act_, nullptr)();
  }
  void OnWritable() override { log_.push_back("writable"); }

  std::string FromClient() { return std::exchange(client_->output(), {}); }
  // Has the client take what was sent to it; its first error.
  absl::Status ToClient() {
    fed_ = carrier_->TakeOutgoing();
    client_->Feed(fed_);
    if (!client_->established()) {
      const absl::Status status = client_->Handshake();
      if (!status.ok() || !client_->established()) return status;
    }
    for (;;) {
      char buffer[5000];
      const auto size = client_->Read(buffer, sizeof(buffer));
      if (!size.ok()) return size.status();
      if (*size == 0) return absl::OkStatus();
      received_.append(buffer, *size);
    }
  }
  void Connect() {
    ASSERT_TRUE(client_->Handshake().ok());
    for (int i = 0; i < 5 && !established_; ++i) {
      stream_->AwaitReadable();
      carrier_->Deliver(FromClient());
      const absl::StatusOr<bool> complete = stream_->Handshake();
      ASSERT_TRUE(complete.ok()) << complete.status();
      established_ = *complete;
      ASSERT_TRUE(ToClient().ok());
    }
    ASSERT_TRUE(established_);
    log_.clear();
  }
  void ClientSends(absl::string_view text) {
    ASSERT_TRUE(client_->Write(text).ok());
    carrier_->Deliver(FromClient());
  }
  // What Read gives: its text, or what else.
  std::string Read(std::size_t max = 64 * 1024) {
    std::string buffer(max, '\0');
    const ByteStream::Result read = stream_->Read(absl::MakeSpan(buffer));
    switch (read.kind) {
      case Kind::kDone:
        return buffer.substr(0, read.bytes);
      case Kind::kWouldBlock:
        return "(none)";
      case Kind::kEnd:
        return absl::StrCat("(end: ", read.why.message(), ")");
      case Kind::kFailed:
        break;
    }
    return absl::StrCat("(failed: ", read.why.message(), ")");
  }
  // The bytes that Write took; -1: it would block, -2: it has failed.
  int Write(std::initializer_list<absl::string_view> pieces) {
    const ByteStream::Result written = stream_->Write(pieces);
    if (written.kind == Kind::kWouldBlock) return -1;
    if (written.kind != Kind::kDone) return -2;
    return static_cast<int>(written.bytes);
  }
  void RunPosted() {
    io_.restart();
    io_.poll();
  }
  testing::Log Log() { return std::exchange(log_, {}); }

  static const Authority& TestAuthority() {
    static const Authority authority("test");
    return authority;
  }

  boost::asio::io_context io_{1};
  testing::Log log_;
  TlsBuffers buffers_;
  std::shared_ptr<MemoryStream> carrier_;
  std::shared_ptr<TlsStream> stream_;
  std::unique_ptr<TlsEngine> client_;
  std::function<void()> act_;
  bool established_ = false;
  std::string fed_;
  std::string received_;
};

// --- the handshake ---

TEST_F(TlsStreamTest, HandshakeThatGetsNoFurtherWaits) {
  ASSERT_TRUE(client_->Handshake().ok());
  const std::string hello = FromClient();
  for (const char c : hello.substr(0, hello.size() - 1)) {
    stream_->AwaitReadable();
    carrier_->Deliver(std::string(1, c));
    EXPECT_FALSE(*stream_->Handshake());
  }
  EXPECT_EQ(carrier_->TakeOutgoing(), "");
  // Without bytes it is the same.
  EXPECT_FALSE(*stream_->Handshake());
}

TEST_F(TlsStreamTest, ClientThatHangsUpInTheHandshakeIsNamed) {
  carrier_->End();
  EXPECT_EQ(stream_->Handshake().status().message(),
            "TLS: the client has hung up");
}

TEST_F(TlsStreamTest, FailedHandshakeIsToldTheClient) {
  TlsClientOptions options;
  options.protocol = "h2";
  client_ = std::make_unique<TlsEngine>(
      *TlsContext::ForClient(options, {TestAuthority().certificate(), "", ""}),
      "chat.internal");
  ASSERT_TRUE(client_->Handshake().ok());
  carrier_->Deliver(FromClient());
  EXPECT_EQ(stream_->Handshake().status().message(),
            "TLS: no application protocol");
  EXPECT_EQ(ToClient().message(),
            "TLS: the server has refused: tlsv1 alert no application protocol");
}

// The client's first request may come with the end of its handshake.
TEST_F(TlsStreamTest, BytesBehindTheHandshakeAreNotLost) {
  ASSERT_TRUE(client_->Handshake().ok());
  carrier_->Deliver(FromClient());
  ASSERT_FALSE(*stream_->Handshake());
  ASSERT_TRUE(ToClient().ok());
  ASSERT_TRUE(client_->established());
  ClientSends("hello");
  ASSERT_TRUE(*stream_->Handshake());
  stream_->AwaitReadable();
  EXPECT_FALSE(carrier_->readable_awaited_);
  EXPECT_THAT(Log(), IsEmpty());  // Not from within.
  RunPosted();
  EXPECT_THAT(Log(), ElementsAre("readable"));
  EXPECT_EQ(Read(), "hello");
  EXPECT_EQ(Read(), "(none)");
}

// --- reading ---

TEST_F(TlsStreamTest, ReadableMeansTheCarriersBytes) {
  Connect();
  stream_->AwaitReadable();
  EXPECT_TRUE(carrier_->readable_awaited_);
  ClientSends("hello");
  EXPECT_THAT(Log(), ElementsAre("readable"));
  EXPECT_EQ(Read(), "hello");
  // Half a record is nothing to read.
  ASSERT_TRUE(client_->Write("world").ok());
  const std::string record = FromClient();
  stream_->AwaitReadable();
  carrier_->Deliver(record.substr(0, 10));
  EXPECT_THAT(Log(), ElementsAre("readable"));
  EXPECT_EQ(Read(), "(none)");
  stream_->AwaitReadable();
  carrier_->Deliver(record.substr(10));
  EXPECT_EQ(Read(), "world");
}

TEST_F(TlsStreamTest, NothingIsReadUnlessItIsAskedFor) {
  Connect();
  ClientSends("hello");
  RunPosted();
  EXPECT_THAT(Log(), IsEmpty());
  EXPECT_NE(carrier_->incoming_, "");
}

TEST_F(TlsStreamTest, SeveralRecordsAreReadTogether) {
  Connect();
  for (const char* text : {"a", "b", "c"}) ClientSends(text);
  EXPECT_EQ(Read(), "abc");
}

TEST_F(TlsStreamTest, WhatDoesNotFitIsReadableAtOnce) {
  Connect();
  const std::string text = std::string(20'000, 'x') + std::string(20'000, 'y');
  ClientSends(text);
  std::string read;
  for (int i = 0; i < 200 && read.size() < text.size(); ++i) {
    stream_->AwaitReadable();
    carrier_->Deliver("");
    RunPosted();
    ASSERT_THAT(Log(), ElementsAre("readable"));
    const std::string more = Read(1000);
    if (more != "(none)") read += more;
  }
  EXPECT_TRUE(read == text);
  stream_->AwaitReadable();
  EXPECT_TRUE(carrier_->readable_awaited_);
  EXPECT_EQ(stream_->held_bytes(), carrier_->held_bytes());
}

TEST_F(TlsStreamTest, NewUserDoesNotHearWhatTheOldOneAwaited) {
  Connect();
  ClientSends("hello world");
  EXPECT_EQ(Read(5), "hello");
  stream_->AwaitReadable();
  stream_->SetUser(this);
  RunPosted();
  EXPECT_THAT(Log(), IsEmpty());
  stream_->AwaitReadable();
  RunPosted();
  EXPECT_THAT(Log(), ElementsAre("readable"));
  EXPECT_EQ(Read(), " world");
}

TEST_F(TlsStreamTest, StreamMayGoWithinItsEvents) {
  Connect();
  ClientSends("hello world");
  EXPECT_EQ(Read(5), "hello");
  act_ = [&] {
    stream_->Close();
    stream_.reset();
  };
  stream_->AwaitReadable();
  RunPosted();
  EXPECT_EQ(stream_, nullptr);
  EXPECT_THAT(Log(), ElementsAre("readable", "close"));
}

// --- the client's end ---

TEST_F(TlsStreamTest, ClientsEndFollowsItsLastBytes) {
  Connect();
  ASSERT_TRUE(client_->Write("bye").ok());
  client_->Shutdown();
  carrier_->Deliver(FromClient());
  EXPECT_EQ(Read(), "bye");
  stream_->AwaitReadable();
  RunPosted();
  EXPECT_THAT(Log(), ElementsAre("readable"));
  EXPECT_EQ(Read(), "(end: TLS: the client has ended the connection)");
  EXPECT_EQ(Read(), "(end: TLS: the client has ended the connection)");
}

TEST_F(TlsStreamTest, EndWithoutCloseNotifyIsAFailure) {
  Connect();
  stream_->AwaitReadable();
  carrier_->End();
  EXPECT_EQ(Read(),
            "(failed: TLS: the client has hung up without close_notify)");
}

TEST_F(TlsStreamTest, ReasonOfAFailureStays) {
  Connect();
  ASSERT_TRUE(client_->Write("hello").ok());
  std::string record = FromClient();
  record.back() ^= 1;
  carrier_->Deliver(record);
  EXPECT_EQ(Read(), "(failed: TLS: decryption failed or bad record mac)");
  EXPECT_EQ(Read(), "(failed: TLS: decryption failed or bad record mac)");
  EXPECT_EQ(ToClient().message(),
            "TLS: the server has refused: sslv3 alert bad record mac");
}

// RFC 8446 section 4.6.3: each request to change the keys is responded to.
TEST_F(TlsStreamTest, ClientThatAsksForResponsesAndTakesNoneIsGivenUp) {
  RawTlsClient client(TLS1_3_VERSION);
  for (int i = 0; i < 3; ++i) {
    client.Read();
    carrier_->Deliver(client.TakeOutput());
    ASSERT_TRUE(stream_->Handshake().ok());
    client.Feed(carrier_->TakeOutgoing());
  }
  carrier_->MakeRoom(0);
  // As much as gives it the right to another one.
  const std::string sent(1024, 'x');
  std::string read = sent;
  for (int i = 0; i < 5000 && read == sent; ++i) {
    SSL_key_update(client.tls(), SSL_KEY_UPDATE_REQUESTED);
    SSL_write(client.tls(), sent.data(), static_cast<int>(sent.size()));
    carrier_->Deliver(client.TakeOutput());
    read = Read();
    ASSERT_LT(stream_->held_bytes(), 200'000u);
  }
  EXPECT_EQ(read, "(failed: TLS: the client takes no responses)");
  EXPECT_EQ(Read(), "(failed: TLS: the client takes no responses)");
  EXPECT_EQ(buffers_.floods, 1u);
}

TEST_F(TlsStreamTest, FloodOfKeyUpdatesIsCounted) {
  RawTlsClient client(TLS1_3_VERSION);
  for (int i = 0; i < 3; ++i) {
    client.Read();
    carrier_->Deliver(client.TakeOutput());
    ASSERT_TRUE(stream_->Handshake().ok());
    client.Feed(carrier_->TakeOutgoing());
  }
  for (int i = 0; i < 100; ++i) {
    SSL_key_update(client.tls(), SSL_KEY_UPDATE_NOT_REQUESTED);
    SSL_do_handshake(client.tls());
  }
  carrier_->Deliver(client.TakeOutput());
  EXPECT_EQ(Read(), "(failed: TLS: the client asks for new keys too often)");
  EXPECT_EQ(Read(), "(failed: TLS: the client asks for new keys too often)");
  EXPECT_EQ(buffers_.floods, 1u);
}

// --- writing ---

TEST_F(TlsStreamTest, ShortPiecesAreOneRecordAndOneWrite) {
  Connect();
  carrier_->writes_ = 0;
  EXPECT_EQ(Write({"head", "", std::string(100, 'x'), "tail"}), 108);
  EXPECT_EQ(carrier_->writes_, 1);
  ASSERT_TRUE(ToClient().ok());
  EXPECT_EQ(received_, "head" + std::string(100, 'x') + "tail");
  EXPECT_LT(fed_.size(), 108u + 40);
}

TEST_F(TlsStreamTest, LongPiecesAreTakenByTheRecord) {
  Connect();
  const std::string text(50'000, 'x');
  std::size_t taken = 0;
  while (taken < text.size()) {
    const int bytes = Write({absl::string_view(text).substr(taken), "y"});
    ASSERT_GT(bytes, 0);
    taken += static_cast<std::size_t>(bytes);
  }
  ASSERT_TRUE(ToClient().ok());
  EXPECT_EQ(received_, text + "y");
}

TEST_F(TlsStreamTest, OneRecordIsHeldWhileTheClientTakesNothing) {
  Connect();
  carrier_->MakeRoom(1000);
  EXPECT_EQ(Write({std::string(5000, 'x')}), 5000);
  EXPECT_GT(stream_->held_bytes(), 4000u);
  EXPECT_EQ(Write({"more"}), -1);
  EXPECT_EQ(Write({"more"}), -1);
  stream_->AwaitWritable();
  carrier_->MakeRoom(1000);
  EXPECT_THAT(Log(), IsEmpty());
  carrier_->MakeRoom(100'000);
  EXPECT_THAT(Log(), ElementsAre("writable"));
  EXPECT_EQ(stream_->held_bytes(), 0u);
  EXPECT_EQ(Write({"more"}), 4);
  ASSERT_TRUE(ToClient().ok());
  EXPECT_EQ(received_, std::string(5000, 'x') + "more");
}

TEST_F(TlsStreamTest, WhatIsHeldIsSentThoughNobodyAsks) {
  Connect();
  carrier_->MakeRoom(1000);
  EXPECT_EQ(Write({std::string(5000, 'x')}), 5000);
  carrier_->MakeRoom(100'000);
  EXPECT_THAT(Log(), IsEmpty());
  ASSERT_TRUE(ToClient().ok());
  EXPECT_EQ(received_.size(), 5000u);
}

TEST_F(TlsStreamTest, BrokenCarrierFailsTheWrite) {
  Connect();
  carrier_->broken_ = true;
  EXPECT_EQ(Write({"hello"}), -2);
  EXPECT_EQ(Write({"hello"}), -2);
}

TEST_F(TlsStreamTest, EndIsCloseNotifyAndThenTheCarriers) {
  Connect();
  stream_->EndWrite();
  EXPECT_THAT(Log(), ElementsAre("end"));
  EXPECT_EQ(ToClient().message(), "TLS: the server has ended the connection");
  // The client may still send.
  ClientSends("goodbye");
  EXPECT_EQ(Read(), "goodbye");
  client_->Shutdown();
  carrier_->Deliver(FromClient());
  EXPECT_EQ(Read(), "(end: TLS: the client has ended the connection)");
}

TEST_F(TlsStreamTest, EndWaitsForWhatIsHeld) {
  Connect();
  carrier_->MakeRoom(1000);
  EXPECT_EQ(Write({std::string(5000, 'x')}), 5000);
  stream_->EndWrite();
  EXPECT_THAT(Log(), IsEmpty());
  carrier_->MakeRoom(100'000);
  EXPECT_THAT(Log(), ElementsAre("end"));
  EXPECT_EQ(ToClient().message(), "TLS: the server has ended the connection");
  EXPECT_EQ(received_.size(), 5000u);
}

TEST_F(TlsStreamTest, BytesTakenAreTheCarriers) {
  EXPECT_EQ(stream_->BytesTaken(), 7u);
  EXPECT_EQ(stream_->BytesWritten(), 9u);
}

}  // namespace
}  // namespace headgate
