#ifndef GATEWAY_NET_HTTP2_EXCHANGE_H_
#define GATEWAY_NET_HTTP2_EXCHANGE_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "gateway/base/turn.h"
#include "gateway/http/http2_request.h"
#include "gateway/net/byte_stream.h"
#include "gateway/net/connection.h"
#include "gateway/net/http2_stream.h"
#include "gateway/net/http_call.h"
#include "gateway/net/http_dispatcher.h"
#include "gateway/net/http_transport.h"
#include "gateway/net/pending_write.h"
#include "gateway/net/ws_transport.h"

namespace headgate {

// One request of an HTTP/2 connection, and its response; a WebSocket's stream
// is taken over by a WsTransport.
//
//   kFinding --> kExchange --> kFinished     a call over plain HTTP
//      |\------> kAnswering --> kFinished    a response of the gateway's own
//      \-------> (WsTransport)
//
// Thread: the worker's. Lifetime: a Connection.
class Http2Exchange final : public Connection,
                            private HttpLink,
                            private HttpDispatcher::Owner,
                            private WsTransport::HeadSink,
                            private ByteStream::User,
                            private TurnTask,
                            public std::enable_shared_from_this<Http2Exchange> {
 public:
  // `stream`: one with the whole head of its request.
  Http2Exchange(std::shared_ptr<Http2Stream> stream, const Peer& peer,
                std::size_t listener,
                std::shared_ptr<const ConnectionSettings> settings,
                ConnectionHost& host);

  // Adds it to its host.
  void Start();

  bool is_stream() const override { return true; }
  void OnTick(absl::Time now) override;
  void Drain(const DrainOrder& order) override;
  void Abort() override;
  void CloseSession() override;
  const Session* session() const override { return call_.session(); }
  std::size_t held_bytes() const override;
  void CloseForMemory(absl::Time now, absl::Duration patience) override;

 private:
  enum class State { kFinding, kExchange, kAnswering, kFinished };

  // HttpLink.
  absl::StatusOr<BodyPiece> TakeBody(std::size_t max_bytes) override;
  bool body_done() const override { return stream_->at_end(); }
  void ReceiveSoon() override { host_.turn().Soon(*this); }
  void Receive() override { stream_->AwaitReadable(); }
  bool Continue() override;
  void Send(ResponsePart part) override;
  void OnFirstAnswer() override { call_.OnFirstAnswer(); }
  void Post(std::function<void()> act) override;
  void ExchangeOver(Outcome outcome) override;

  // HttpDispatcher::Owner.
  void OnOwnResponse(OwnResponse response) override;
  void OnWebSocket(HttpDispatcher::Judgement judgement) override;
  void OnCall(Admission admission, HttpTransport::Options options) override;
  std::shared_ptr<void> KeepAlive() override { return shared_from_this(); }

  // WsTransport::HeadSink.
  void RespondToConnect(const HttpFields& fields) override;

  // Delivers of the request's body what has come.
  void OnTurn() override;

  // ByteStream::User.
  void OnReadable() override;
  void OnWritable() override;

  // Frees the request's head once it has been decided what to do with it.
  void ReleaseRequest();
  void WriteOn();
  void OnWritten();
  void Finish(TransportEnd::Cause cause);

  const std::shared_ptr<Http2Stream> stream_;
  std::unique_ptr<Http2Request> head_;  // Until ReleaseRequest.
  bool is_head_ = false;                // The method is HEAD.
  const Peer peer_;
  const std::size_t listener_;
  const std::shared_ptr<const ConnectionSettings> settings_;
  ConnectionHost& host_;
  State state_ = State::kFinding;
  std::optional<DrainOrder> draining_;

  std::optional<HttpDispatcher> dispatcher_;  // As long as `head_`.
  std::unique_ptr<Place> own_place_;          // Of an OwnResponse.
  HttpCall call_;

  PendingWrite write_;
  bool ends_with_write_ = false;
  HttpFields trailers_;  // Behind the last write.
};

}  // namespace headgate

#endif  // GATEWAY_NET_HTTP2_EXCHANGE_H_
