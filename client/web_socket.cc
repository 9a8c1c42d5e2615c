#include "client/web_socket.h"

#include <cassert>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace headgate {
namespace {

ws::Endpoint::Options EndpointOptions(ws::MaskSource& masks,
                                      const ClientWebSocket::Options& options) {
  ws::Endpoint::Options endpoint;
  endpoint.role = ws::Role::kClient;
  endpoint.delivery = options.delivery;
  endpoint.max_message_bytes = options.max_message_bytes;
  endpoint.masks = &masks;
  return endpoint;
}

// The plaintext of a record (RFC 8446 section 5.1).
constexpr std::size_t kPlaintextBytes = 16 * 1024;

Unreachable TlsFailure(const absl::Status& status) {
  return Unreachable{absl::StrReplaceAll(
      status.message(),
      {{"certificate verify failed", "the certificate cannot be trusted"}})};
}

}  // namespace

ClientWebSocket::ClientWebSocket(const UpgradeRequest& request,
                                 ws::MaskSource& masks, const Options& options)
    : max_message_bytes_(options.max_message_bytes),
      response_(std::in_place, request),
      endpoint_(EndpointOptions(masks, options)) {
  endpoint_.PutHandshake(request.text());
  if (options.tls == nullptr) return;
  tls_ = std::make_unique<TlsEngine>(options.tls, options.server);
}

bool ClientWebSocket::Start() {
  if (tls_ == nullptr) return true;
  const absl::Status status = tls_->Handshake();
  return status.ok() || Fail(TlsFailure(status));
}

bool ClientWebSocket::Fail(ClientFailure failure) {
  failure_ = std::move(failure);
  return false;
}

std::array<absl::string_view, 2> ClientWebSocket::Front() {
  if (tls_ == nullptr) return endpoint_.Front();
  return {absl::string_view(records_).substr(records_sent_), ""};
}

void ClientWebSocket::OnSent(std::size_t bytes) {
  if (tls_ == nullptr) return endpoint_.OnSent(bytes);
  records_sent_ += bytes;
  if (records_sent_ < records_.size()) return;
  std::string().swap(records_);
  records_sent_ = 0;
}

bool ClientWebSocket::HasRecords() {
  if (!records_.empty()) return true;
  if (tls_->established() && endpoint_.has_output()) {
    std::size_t size = 0;
    for (const absl::string_view piece : endpoint_.Front()) {
      tls_->Write(piece).IgnoreError();  // The read will fail, too.
      size += piece.size();
    }
    endpoint_.OnSent(size);
  }
  std::swap(records_, tls_->output());
  return !records_.empty();
}

void ClientWebSocket::EncryptFrames(absl::string_view frames) {
  assert(is_tls() && is_open() && records_.empty());
  tls_->Write(frames).IgnoreError();  // The read will fail, too.
  std::swap(records_, tls_->output());
}

bool ClientWebSocket::ReceiveAny(absl::string_view bytes,
                                 ClientWebSocketObserver& observer) {
  return tls_ == nullptr ? ReceivePlaintext(bytes, observer)
                         : ReceiveRecords(bytes, observer);
}

bool ClientWebSocket::ReceiveRecords(absl::string_view records,
                                     ClientWebSocketObserver& observer) {
  tls_->Feed(records);
  if (!tls_->established()) {
    if (absl::Status status = tls_->Handshake(); !status.ok()) {
      return Fail(TlsFailure(status));
    }
    if (!tls_->established()) return true;
  }
  for (std::array<char, kPlaintextBytes> plaintext;;) {
    const auto size = tls_->Read(plaintext.data(), plaintext.size());
    if (!size.ok()) {
      return Fail(AtEnd(tls_->peer_ended() ? "" : size.status().message()));
    }
    if (*size == 0) return true;
    if (!ReceivePlaintext({plaintext.data(), *size}, observer)) return false;
  }
}

bool ClientWebSocket::ReceivePlaintext(absl::string_view bytes,
                                       ClientWebSocketObserver& observer) {
  if (is_open()) return ReceiveFrames(bytes, observer);
  auto outcome = response_->Take(bytes);
  if (!outcome) return true;
  if (auto* failure = std::get_if<ClientFailure>(&*outcome)) {
    return Fail(std::move(*failure));
  }
  response_.reset();
  const auto& accepted = std::get<UpgradeResponse::Accepted>(*outcome);
  observer.OnOpen(accepted.subprotocol);
  return ReceiveFrames(accepted.rest, observer);
}

bool ClientWebSocket::ReceiveFrames(absl::string_view bytes,
                                    ClientWebSocketObserver& observer) {
  while (!bytes.empty()) {
    switch (endpoint_.Next(bytes)) {
      case ws::Endpoint::Event::kPiece:
        observer.OnPiece(endpoint_.piece(), endpoint_.ends_message());
        break;
      case ws::Endpoint::Event::kMessage:
        observer.OnMessage(endpoint_.TakeMessage());
        break;
      case ws::Endpoint::Event::kTooBig:
        return FailTooBig();
      case ws::Endpoint::Event::kViolation:
        return FailViolated();
      case ws::Endpoint::Event::kClose:
        observer.OnClose(endpoint_.peer_close_code(), endpoint_.close_reason());
        break;
      case ws::Endpoint::Event::kNeedsBytes:
      case ws::Endpoint::Event::kPing:
      case ws::Endpoint::Event::kPong:
        break;
    }
  }
  return true;
}

bool ClientWebSocket::FailTooBig() {
  std::string why =
      absl::StrCat("a message is longer than ", max_message_bytes_, " bytes");
  endpoint_.Close(CloseCode::kMessageTooBig, why);
  return Fail(Lost{std::move(why)});
}

bool ClientWebSocket::FailViolated() {
  const ws::Reader::Fault& fault = endpoint_.violation();
  if (endpoint_.may_write()) endpoint_.Close(fault.code, fault.what);
  return Fail(Lost{absl::StrCat("the other side broke the WebSocket protocol: ",
                                fault.what)});
}

ClientFailure ClientWebSocket::AtEnd(absl::string_view why) const {
  if (is_tls() && !tls_->established()) {
    return Unreachable{
        absl::StrCat("TLS: ", why.empty() ? "the other side hung up" : why)};
  }
  if (!is_open()) return response_->AtEnd(why);
  std::string lost = "connection broken without a Close frame";
  if (!why.empty()) absl::StrAppend(&lost, " (", why, ")");
  return Lost{std::move(lost)};
}

}  // namespace headgate
