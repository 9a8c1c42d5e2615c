#include "cmd/headgate/bench/peer.h"

#include <cassert>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/http_responses.h"

namespace headgate {
namespace {

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
  bool Start() override { return true; }
  bool opens_at_once() const override { return true; }
  bool Receive(absl::string_view bytes,
               ClientWebSocketObserver& observer) override {
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
  ClientFailure failure() const override { return failure_; }
  ClientFailure AtEnd(absl::string_view why) const override {
    return Lost{why.empty() ? "the other side has closed the connection"
                            : std::string(why)};
  }
  bool has_output() override { return false; }
  absl::string_view Front() override { return ""; }
  void OnSent(std::size_t /*bytes*/) override {}
  bool is_tls() const override { return false; }
  void EncryptFrames(absl::string_view /*frames*/) override {
    assert(false && "without TLS");
  }
  bool Close() override { return false; }

 private:
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

std::unique_ptr<BenchPeer> MakeHttpPeer() {
  return std::make_unique<HttpPeer>();
}

}  // namespace headgate
