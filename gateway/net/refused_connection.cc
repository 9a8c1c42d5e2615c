#include "gateway/net/refused_connection.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gateway/http/response.h"
#include "gateway/net/http2_connection.h"
#include "gateway/net/socket_stream.h"

namespace headgate {
namespace {

// ENHANCE_YOUR_CALM of RFC 9113 section 7.
constexpr char kEnhanceYourCalm = 0x0B;

// To a client of HTTP/2: SETTINGS, which come first, and GOAWAY, by which it
// knows that none of its requests were processed (RFC 9113 section 6.8).
std::string Http2AnswerOf(const Refusal& refusal) {
  const auto frame_head = [](std::size_t length, char type) {
    std::string head(9, '\0');
    head[1] = static_cast<char>(length >> 8);
    head[2] = static_cast<char>(length);
    head[3] = type;
    return head;
  };
  std::string goaway(8, '\0');  // The last stream, and the error code.
  goaway[7] = kEnhanceYourCalm;
  absl::StrAppend(&goaway, refusal.status.message());
  return absl::StrCat(frame_head(0, 4), frame_head(goaway.size(), 7), goaway);
}

// A fatal alert, internal_error (RFC 8446 sections 5.1 and 6.2), which is in
// plaintext before the ServerHello. Its record has the version that every
// client reads.
constexpr absl::string_view kTlsAlert("\x15\x03\x01\0\x02\x02\x50", 7);
constexpr char kTlsHandshakeRecord = 0x16;

using Language = RefusedConnection::Language;

// The whole response: small enough for any socket's buffer. `received`: the
// first bytes of the client.
std::string AnswerOf(const Refusal& refusal, Language language,
                     absl::string_view received, absl::Time now) {
  if (language == Language::kTls) {
    const bool is_hello =
        !received.empty() && received.front() == kTlsHandshakeRecord;
    return std::string(is_hello ? kTlsAlert : "");
  }
  if (absl::StartsWith(received, kHttp2Preface.substr(0, 4))) {
    return Http2AnswerOf(refusal);
  }
  const std::string body = RefusalBody(refusal);
  HttpFields fields = refusal.headers;
  fields.emplace_back("Server", "headgate");
  fields.emplace_back("Date", HttpDate(now));
  fields.emplace_back("Content-Type", "application/json");
  fields.emplace_back("Content-Length", absl::StrCat(body.size()));
  fields.emplace_back("Connection", "close");
  return absl::StrCat(ResponseHead(refusal.http_status, fields), body);
}

}  // namespace

RefusedConnection::RefusedConnection(std::shared_ptr<ByteStream> stream,
                                     Language language,
                                     std::unique_ptr<Place> place,
                                     Refusal refusal, ConnectionHost& host)
    : stream_(std::move(stream)),
      language_(language),
      place_(std::move(place)),
      refusal_(std::move(refusal)),
      host_(host),
      since_(host.now()) {
  stream_->SetUser(this);
}

void RefusedConnection::Start() { stream_->AwaitReadable(); }

void RefusedConnection::OnReadable() {
  const auto self = shared_from_this();
  const absl::Span<char> buffer = host_.ReadBuffer();
  const ByteStream::Result read = stream_->Read(buffer);
  switch (read.kind) {
    case ByteStream::Result::Kind::kDone:
      Answer({buffer.data(), read.bytes});
      break;
    case ByteStream::Result::Kind::kWouldBlock:
      break;
    case ByteStream::Result::Kind::kEnd:
    case ByteStream::Result::Kind::kFailed:
      return Finish();
  }
  if (!finished_) stream_->AwaitReadable();
}

void RefusedConnection::Answer(absl::string_view received) {
  if (std::exchange(answered_, true)) return;
  const std::string answer =
      AnswerOf(refusal_, language_, received, host_.clock().wall);
  if (answer.empty()) return Finish();
  const ByteStream::Result written = stream_->Write({answer});
  if (written.kind == ByteStream::Result::Kind::kFailed) return Finish();
  stream_->EndWrite();
}

void RefusedConnection::OnTick(absl::Time now) {
  if (finished_ || now - since_ < kRefusalPatience) return;
  Answer("");  // A client that waits for the gateway's word gets it.
  Finish();
}

void RefusedConnection::Finish() {
  if (finished_) return;
  finished_ = true;
  stream_->Close();
  place_.reset();
  host_.Remove(*this);
}

void RefuseConnection(std::shared_ptr<ByteStream> stream, std::size_t listener,
                      const std::string& peer, bool needs_tls,
                      Capacity capacity, ConnectionHost& host) {
  const Refusal refusal = NoConnection(capacity);
  std::unique_ptr<Place> place =
      host.ConnectionRefused(listener, refusal, peer);
  const Language language = needs_tls ? Language::kTls : Language::kHttp;
  if (place == nullptr) {
    // What has come is read first: closing with bytes unread resets the
    // connection, and may take the answer away from the client.
    const absl::Span<char> buffer = host.ReadBuffer();
    const ByteStream::Result read = stream->Read(buffer);
    const std::size_t received =
        read.kind == ByteStream::Result::Kind::kDone ? read.bytes : 0;
    const std::string answer = AnswerOf(
        refusal, language, {buffer.data(), received}, host.clock().wall);
    if (!answer.empty()) stream->Write({answer});
    return stream->Close();
  }
  auto connection = std::make_shared<RefusedConnection>(
      std::move(stream), language, std::move(place), refusal, host);
  host.Add(connection, listener);
  connection->Start();
}

void RefuseConnection(AcceptedConnection accepted, Capacity capacity,
                      ConnectionHost& host) {
  RefuseConnection(
      std::make_shared<SocketStream>(std::move(accepted.socket),
                                     std::move(accepted.place), nullptr),
      accepted.listener, accepted.address,
      host.SettingsOf(accepted.listener)->tls != nullptr, capacity, host);
}

}  // namespace headgate
