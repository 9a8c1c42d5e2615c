#include "cmd/headgate/bench/peer.h"

#include <array>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/http_responses.h"
#include "gateway/tls/engine.h"

namespace headgate {
namespace {

// The plaintext of a record (RFC 8446 section 5.1).
constexpr std::size_t kPlaintextBytes = 16 * 1024;

class WebSocketPeer final : public BenchPeer {
 public:
  WebSocketPeer(const UpgradeRequest& request, ws::MaskSource& masks,
                const ClientWebSocket::Options& options,
                std::optional<WireMessage> head)
      : web_socket_(request, masks, options), head_(std::move(head)) {}

  bool Start() override { return web_socket_.Start(); }
  bool opens_at_once() const override { return false; }
  bool Receive(absl::string_view bytes,
               ClientWebSocketObserver& observer) override {
    const bool was_open = web_socket_.is_open();
    const bool received = web_socket_.Receive(bytes, observer);
    // What came with the handshake's response may have ended the WebSocket.
    if (!was_open && web_socket_.is_open() && head_ &&
        web_socket_.endpoint().may_write()) {
      web_socket_.endpoint().Write(head_->opcode, head_->payload);
    }
    return received;
  }
  ClientFailure failure() const override { return web_socket_.failure(); }
  ClientFailure AtEnd(absl::string_view why) const override {
    return web_socket_.AtEnd(why);
  }
  bool has_output() override { return web_socket_.has_output(); }
  absl::string_view Front() override { return web_socket_.Front()[0]; }
  void OnSent(std::size_t bytes) override { web_socket_.OnSent(bytes); }
  bool is_tls() const override { return web_socket_.is_tls(); }
  void EncryptFrames(absl::string_view frames) override {
    web_socket_.EncryptFrames(frames);
  }
  bool Close() override {
    web_socket_.endpoint().Close(CloseCode::kNormal, "");
    return true;
  }

 private:
  ClientWebSocket web_socket_;
  const std::optional<WireMessage> head_;
};

class HttpPeer final : public BenchPeer {
 public:
  HttpPeer(const std::shared_ptr<const TlsContext>& tls,
           const std::string& server)
      : tls_(tls == nullptr ? nullptr
                            : std::make_unique<TlsEngine>(tls, server)) {}

  bool Start() override { return tls_ == nullptr || Handshake(); }
  bool opens_at_once() const override { return tls_ == nullptr; }
  bool Receive(absl::string_view bytes,
               ClientWebSocketObserver& observer) override {
    return tls_ == nullptr ? ReceivePlaintext(bytes, observer)
                           : ReceiveRecords(bytes, observer);
  }
  ClientFailure failure() const override { return failure_; }
  ClientFailure AtEnd(absl::string_view why) const override {
    const absl::string_view reason =
        why.empty() ? "the other side has closed the connection" : why;
    if (tls_ != nullptr && !tls_->established()) {
      return Unreachable{absl::StrCat("TLS: ", reason)};
    }
    return Lost{std::string(reason)};
  }
  bool has_output() override {
    if (tls_ == nullptr) return false;
    if (records_.empty()) std::swap(records_, tls_->output());
    return !records_.empty();
  }
  absl::string_view Front() override {
    return absl::string_view(records_).substr(records_sent_);
  }
  void OnSent(std::size_t bytes) override {
    records_sent_ += bytes;
    if (records_sent_ < records_.size()) return;
    records_.clear();
    records_sent_ = 0;
  }
  bool is_tls() const override { return tls_ != nullptr; }
  void EncryptFrames(absl::string_view frames) override {
    tls_->Write(frames).IgnoreError();  // The read will fail, too.
  }
  bool Close() override { return false; }

 private:
  bool Handshake() {
    const absl::Status status = tls_->Handshake();
    if (status.ok()) return true;
    failure_ = Unreachable{std::string(status.message())};
    return false;
  }

  bool ReceiveRecords(absl::string_view records,
                      ClientWebSocketObserver& observer) {
    tls_->Feed(records);
    if (!tls_->established()) {
      if (!Handshake()) return false;
      if (!tls_->established()) return true;
      observer.OnOpen("");
    }
    for (std::array<char, kPlaintextBytes> plaintext;;) {
      const auto size = tls_->Read(plaintext.data(), plaintext.size());
      if (!size.ok()) {
        failure_ = AtEnd(tls_->peer_ended() ? "" : size.status().message());
        return false;
      }
      if (*size == 0) return true;
      if (!ReceivePlaintext({plaintext.data(), *size}, observer)) return false;
    }
  }

  bool ReceivePlaintext(absl::string_view bytes,
                        ClientWebSocketObserver& observer) {
    responses_.Feed(bytes);
    for (;;) {
      auto next = responses_.Next();
      if (!next.ok()) {
        failure_ = Lost{std::string(next.status().message())};
        return false;
      }
      if (!next->has_value()) return true;
      HttpResponses::Response& response = **next;
      const bool has_failed =
          !response.grpc_status.empty() && response.grpc_status != "0";
      if (response.http_status != 200) {
        failure_ = Refused{response.http_status, std::move(response.body)};
        return false;
      }
      if (has_failed) {
        failure_ = Lost{absl::StrCat("grpc-status ", response.grpc_status)};
        return false;
      }
      observer.OnPiece(response.body, /*end=*/true);
    }
  }

  const std::unique_ptr<TlsEngine> tls_;  // Null: plain.
  std::string records_;                   // To be sent.
  std::size_t records_sent_ = 0;          // Of them.
  HttpResponses responses_;
  ClientFailure failure_;
};

}  // namespace

std::unique_ptr<BenchPeer> MakeWebSocketPeer(
    const UpgradeRequest& request, ws::MaskSource& masks,
    const ClientWebSocket::Options& options, std::optional<WireMessage> head) {
  return std::make_unique<WebSocketPeer>(request, masks, options,
                                         std::move(head));
}

std::unique_ptr<BenchPeer> MakeHttpPeer(
    const std::shared_ptr<const TlsContext>& tls, const std::string& server) {
  return std::make_unique<HttpPeer>(tls, server);
}

}  // namespace headgate
