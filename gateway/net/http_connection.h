#ifndef GATEWAY_NET_HTTP_CONNECTION_H_
#define GATEWAY_NET_HTTP_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "absl/time/time.h"
#include "gateway/base/turn.h"
#include "gateway/http/handshake.h"
#include "gateway/net/byte_stream.h"
#include "gateway/net/connection.h"
#include "gateway/net/http_call.h"
#include "gateway/net/http_dispatcher.h"
#include "gateway/net/http_transport.h"
#include "gateway/net/pending_write.h"
#include "gateway/net/request_head.h"
#include "gateway/net/ws_transport.h"

namespace headgate {

// A connection that speaks HTTP/1.1: one request after the other, each answered
// before the next is looked at. A WebSocket's handshake is the last one: a
// WsTransport then takes the socket over.
//
//   kHead --> kFinding --> kExchange --> kHead ...   a call over plain HTTP
//      \-------\--> (WsTransport)
//       \-------\--> kAnswering --> kHead ...        a refusal, OPTIONS
//                          \--> kLingering --> kFinished
//
// One read is awaited at most, which goes on from one state to the next, and
// one write is under way at most.
//
// Thread: the worker's. Lifetime: a Connection.
class HttpConnection final
    : public Connection,
      private HttpLink,
      private HttpDispatcher::Owner,
      private ByteStream::User,
      private TurnTask,
      public std::enable_shared_from_this<HttpConnection> {
 public:
  // `host` must outlive it. `since`: when the connection was accepted.
  HttpConnection(std::shared_ptr<ByteStream> stream, Peer peer,
                 std::size_t listener, absl::Time since, ConnectionHost& host);

  void Start();

  void OnTick(absl::Time now) override;
  bool MayMakeRoom(absl::Time now) const override;
  void Drain(const DrainOrder& order) override;
  void Abort() override;
  void CloseSession() override;
  const Session* session() const override { return call_.session(); }
  std::size_t held_bytes() const override;
  void CloseForMemory(absl::Time now, absl::Duration patience) override;

 private:
  enum class State {
    kHead,       // Waits for a request, or for the rest of its head.
    kFinding,    // `dispatcher_` finds out what the request leads to.
    kExchange,   // `call_` is at work.
    kAnswering,  // Sends an answer of the gateway's own.
    kLingering,  // Nothing is sent any longer; what the client sends is
                 // dropped.
    kFinished,
  };
  using Judgement = HttpDispatcher::Judgement;

  // HttpLink.
  absl::StatusOr<BodyPiece> TakeBody(std::size_t max_bytes) override;
  bool body_done() const override { return body_.done(); }
  void ReceiveSoon() override { host_.turn().Soon(*this); }
  void Receive() override;
  bool Continue() override;
  void Send(ResponsePart part) override;
  void OnFirstAnswer() override { call_.OnFirstAnswer(); }
  void Post(std::function<void()> act) override;
  void ExchangeOver(Outcome outcome) override;

  // HttpDispatcher::Owner.
  void OnOwnResponse(OwnResponse response) override;
  void OnWebSocket(Judgement judgement) override;
  void OnCall(Admission admission, HttpTransport::Options options) override;
  std::shared_ptr<void> KeepAlive() override { return shared_from_this(); }

  // Goes on with the request's head, or delivers of its body what has come.
  void OnTurn() override;

  // ByteStream::User.
  void OnReadable() override;
  void OnWritable() override;

  void OnReadFailed();
  // What frames the body, by `chunked_`.
  std::string Head(ResponsePart& part);
  void SendBytes(std::string head, std::string content, std::string tail);
  // Takes what is there of a body that nobody reads any longer; false: that is
  // no body.
  bool DropBody();
  // Writes as much as the stream takes.
  void WriteOn();
  void OnWritten();

  // Tells the host whether it waits for a request, or for the rest of its head.
  void SetIdle(bool idle);

  void BeginRequest(absl::Time since);
  void ReadHead();
  // Whether what has come is the preface of HTTP/2, or the beginning of it: the
  // client has prior knowledge (RFC 9113 section 3.3).
  bool MayBeHttp2() const;
  // An Http2Connection takes the stream over.
  void ServeHttp2();
  void OnHead();
  // Refuses what is no request, or one that cannot be served here.
  void Refuse(const Refusal& refusal);
  void Linger();
  // Whether the client has taken anything since the last look.
  bool HasTaken();
  void Finish(TransportEnd::Cause cause);

  std::shared_ptr<ByteStream> stream_;
  const std::size_t listener_;
  ConnectionHost& host_;
  std::shared_ptr<const ConnectionSettings> settings_;
  Peer peer_;
  State state_ = State::kHead;
  absl::Time since_;  // When the state's patience began.
  bool first_request_ = true;
  bool idle_ = false;  // As the host knows.
  std::optional<DrainOrder> draining_;

  std::string received_;
  bool reading_ = false;
  PendingWrite write_;
  std::size_t dropped_ = 0;  // In kLingering, bytes.
  std::uint64_t taken_ = 0;  // By the client, bytes, at the last look.

  // Of the request at hand.
  std::optional<RequestHead> head_;
  RequestBody body_ = RequestBody::OfLength(0);
  std::optional<HttpDispatcher> dispatcher_;
  std::unique_ptr<Place> own_place_;  // Of an OwnResponse; until it is sent.
  bool chunked_ = false;              // The response is.
  bool reusable_ = false;             // As its head has promised.
  HttpCall call_;
  std::uint64_t exchanges_ = 0;  // Tells one from the next.
};

}  // namespace headgate

#endif  // GATEWAY_NET_HTTP_CONNECTION_H_
