#ifndef GATEWAY_NET_HTTP_TRANSPORT_H_
#define GATEWAY_NET_HTTP_TRANSPORT_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "gateway/http/handshake.h"
#include "gateway/http/request.h"
#include "gateway/http/request_body.h"
#include "gateway/session/session.h"
#include "gateway/session/transport.h"
#include "gateway/ws/message_watch.h"

namespace headgate {

// What one HTTP exchange needs of its connection.
class HttpLink {
 public:
  // What has arrived and was not used yet. The exchange takes the body from
  // its front; what is behind it is the next request's.
  virtual std::string& received() = 0;
  // Asks for more of it: OnReceived or OnLost follows, but not while there is
  // more than a connection should hold. May be asked again.
  virtual void Receive() = 0;
  // Sends the parts one behind the other; OnSent or OnLost follows. At most
  // one is under way.
  virtual void Send(std::string head, std::string content,
                    std::string tail) = 0;
  // The session has written its first message.
  virtual void OnFirstAnswer() = 0;
  // Runs `act` soon, not from within, unless the exchange is over by then.
  virtual void Post(std::function<void()> act) = 0;

  enum class Afterwards {
    kNextRequest,
    kClose,
    kCutOff,  // The answer is not complete, and the client shall see that.
  };
  // The answer is out, or never will be. Ends the exchange's life; the last
  // that it calls.
  virtual void ExchangeOver(Afterwards afterwards) = 0;

 protected:
  ~HttpLink() = default;
};

// One plain HTTP request and its answer as the transport of a session: the
// request's body comes piece by piece, its end is the half-close, and answers
// go out as docs/protocol.md ("HTTP and JSON") has it.
//
// Of a method that gives one answer it is held until its status is known; those
// of a stream leave at once, each a line, or an event if the client takes
// events (the HTML standard, "Server-sent events"). The head of a stream leaves
// with the backend's initial metadata, unless a failure is right behind that:
// it decides on the HTTP status. A stream of bytes
// (google.api.HttpBody) that fails has no place for the failure: it ends
// without its last chunk.
//
// Thread:   the worker's.
// Lifetime: its connection's, which must outlive it, until ExchangeOver.
class HttpTransport final : public Transport {
 public:
  // What the request's head says of it.
  struct Options {
    MethodKind kind = MethodKind::kUnary;
    JsonCodecOptions::ErrorShape error_shape =
        JsonCodecOptions::ErrorShape::kGrpcGatewayV2;
    std::size_t max_message_bytes = 1024 * 1024;
    // See MessageWatch.
    absl::Duration message_timeout = absl::Seconds(30);
    bool is_head = false;
    bool is_http_1_0 = false;
    bool keep_alive = true;  // The client wants it.
    bool expects_continue = false;
    bool wants_trailers = false;
    bool wants_events = false;
    // A comment among events after this time without any.
    absl::Duration event_keepalive = absl::InfiniteDuration();
    bool gives_bytes = false;  // google.api.HttpBody, which has a media type.
    bool is_cross_origin = false;  // A script reads the answer.
    HttpFields fields;             // Of every answer.
  };
  HttpTransport(Options options, RequestBody body, HttpLink& link);

  // Opens for business; `session` is one on this transport.
  void Start(std::unique_ptr<Session> session, absl::Time now);

  // From the link.
  void OnReceived();
  void OnSent();
  // Nothing more comes or goes, for this reason. ExchangeOver does not follow.
  void OnLost(const TransportEnd& end);
  void OnTick(absl::Time now);
  void Drain(const DrainOrder& order);
  void CloseSession();
  void CloseForMemory();
  // See Connection::held_bytes.
  std::size_t held_bytes() const;

  // Null until Start.
  const Session* session() const { return session_.get(); }
  // Whether the last of the answer is being sent.
  bool is_ending() const { return end_sent_ && sending_; }

  void Read() override;
  void Write(WireMessage message) override;
  void Close(const Ending& ending) override;
  MetadataDelivery metadata_delivery() const override {
    return MetadataDelivery::kDelivered;
  }
  void OnCallHeaders(const Metadata& headers) override;
  void OnEnding(const Ending& ending) override;

 private:
  bool IsStream() const { return !GivesOneAnswer(options_.kind); }
  bool IsChunked() const { return !options_.is_http_1_0; }

  void DeliverBody();
  // The number of the message that has begun, when its rest is waited for.
  std::optional<std::uint64_t> UnfinishedMessage() const;
  void DropBody();
  // Ends an exchange whose request cannot be read on.
  void FailRequest(int http_status, absl::Status status);

  // Sends what can be sent.
  void Flush();
  void FlushMessage(WireMessage message);
  void Hold(WireMessage message);
  // Of a stream: the message with what goes around it. An event may be the one
  // that tells the failure.
  enum class Event { kData, kError };
  void SendPiece(WireMessage message, Event event);
  // The head of a stream of messages of `media_type`, "" for JSON, with what
  // comes before them all.
  std::string StreamHead(absl::string_view media_type);
  // `text` as a chunk, where there are chunks.
  std::string Chunk(std::string text) const;
  void SendEnd();
  void SendWholeAnswer(std::string body);
  void Send(std::string head, std::string content, std::string tail);
  std::string Head(int status, HttpFields fields);
  void AddContentType(absl::string_view media_type, HttpFields& fields) const;
  HttpFields Trailers() const;
  void KeepEventsAlive(absl::Time now);
  void NotifyClosed(const TransportEnd& end);

  const Options options_;
  RequestBody body_;
  HttpLink& link_;
  std::unique_ptr<Session> session_;

  bool reading_ = false;  // Read is pending.
  bool half_closed_ = false;
  bool continue_due_ = false;
  bool discarding_ = false;  // The message was too big.
  std::size_t body_bytes_ = 0;
  std::uint64_t wire_bytes_ = 0;  // Of the body, with what frames it.
  ws::MessageWatch message_watch_;

  Metadata headers_;
  std::optional<WireMessage> outgoing_;  // Write's, until it is sent or held.
  std::optional<WireMessage> held_;
  Ending ending_;
  bool failed_ = false;  // OnEnding told so.
  bool sending_ = false;
  bool writing_ = false;    // What is being sent answers a Write.
  bool head_due_ = false;   // It need not wait for a message.
  bool head_sent_ = false;  // Or is being sent.
  bool reusable_ = false;   // As the head has promised.
  bool raw_ = false;        // Bytes, not JSON.
  bool closing_ = false;    // Close was called, or the request has failed.
  int failed_request_ = 0;  // The HTTP status then.
  bool end_sent_ = false;   // Or is being sent.
  bool draining_ = false;
  bool notified_ = false;
  bool has_written_ = false;  // The session has.

  bool sent_any_ = false;  // Since the last tick.
  std::optional<absl::Time> silent_since_;
};

}  // namespace headgate

#endif  // GATEWAY_NET_HTTP_TRANSPORT_H_
