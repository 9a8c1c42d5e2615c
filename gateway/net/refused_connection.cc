#include "gateway/net/refused_connection.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gateway/http/response.h"
#include "gateway/net/socket_stream.h"

namespace headgate {
namespace {

// The whole response: small enough for any socket's buffer.
std::string AnswerOf(const Refusal& refusal, absl::Time now) {
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
                                     std::unique_ptr<Place> place,
                                     std::string answer, ConnectionHost& host)
    : stream_(std::move(stream)),
      place_(std::move(place)),
      answer_(std::move(answer)),
      host_(host),
      since_(host.now()) {
  stream_->SetUser(this);
}

void RefusedConnection::Start() { stream_->AwaitReadable(); }

void RefusedConnection::OnReadable() {
  const auto self = shared_from_this();
  const ByteStream::Result read = stream_->Read(host_.ReadBuffer());
  switch (read.kind) {
    case ByteStream::Result::Kind::kDone:
      Answer();
      break;
    case ByteStream::Result::Kind::kWouldBlock:
      break;
    case ByteStream::Result::Kind::kEnd:
    case ByteStream::Result::Kind::kFailed:
      return Finish();
  }
  if (!finished_) stream_->AwaitReadable();
}

void RefusedConnection::Answer() {
  if (answer_.empty()) return;
  const ByteStream::Result written = stream_->Write({answer_});
  answer_.clear();
  if (written.kind == ByteStream::Result::Kind::kFailed) return Finish();
  stream_->EndWrite();
}

void RefusedConnection::OnTick(absl::Time now) {
  if (finished_ || now - since_ < kRefusalPatience) return;
  Answer();  // A client that waits for the gateway's word gets it.
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
  if (needs_tls) return stream->Close();
  std::string answer = AnswerOf(refusal, host.now());
  if (place == nullptr) {
    // What has come is read first: closing with bytes unread resets the
    // connection, and may take the answer away from the client.
    stream->Read(host.ReadBuffer());
    stream->Write({answer});
    return stream->Close();
  }
  auto connection = std::make_shared<RefusedConnection>(
      std::move(stream), std::move(place), std::move(answer), host);
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
