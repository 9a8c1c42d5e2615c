#ifndef GATEWAY_NET_HTTP_TRANSPORT_H_
#define GATEWAY_NET_HTTP_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gateway/http/handshake.h"
#include "gateway/http/request.h"
#include "gateway/session/session.h"
#include "gateway/session/transport.h"
#include "gateway/ws/message_watch.h"

namespace headgate {

// A part of an HTTP response. The parts of a response are, in order, its head,
// pieces of its body and its end; one part may be several of these.
struct ResponsePart {
  struct Head {
    int status = 200;
    HttpFields fields;  // Without those that frame the body.
    // The part is the whole response.
    bool is_whole = false;
  };
  std::optional<Head> head;
  std::string lead;     // Of the body, in front of `content`.
  std::string content;  // Of the body.
  bool is_last = false;
  HttpFields trailers;  // Of the last part.
};

// What one HTTP exchange needs of its connection: the request's body, and a way
// for the response, without what frames them in one version of HTTP.
class HttpLink {
 public:
  // Of the request's body.
  struct BodyPiece {
    std::string bytes;
    std::size_t wire_bytes = 0;  // With what frames it.
  };
  // Takes what has arrived of the body, up to `max_bytes`, perhaps nothing.
  // INVALID_ARGUMENT: that is no body.
  virtual absl::StatusOr<BodyPiece> TakeBody(std::size_t max_bytes) = 0;
  // All of the body has been taken.
  virtual bool body_done() const = 0;
  // Asks for more of it: OnReceived or OnLost follows, but not while there is
  // more than a connection should hold. May be asked again.
  virtual void Receive() = 0;
  // OnReceived follows, not from within. May take several event loop
  // iterations: a short body may be a large message when it is decompressed,
  // and those of many requests may have come at once.
  virtual void ReceiveSoon() = 0;

  // Sends 100 (Continue), before anything else; false: the body has begun to
  // arrive. OnSent or OnLost follows.
  virtual bool Continue() = 0;
  // OnSent or OnLost follows, not from within. At most one is under way.
  virtual void Send(ResponsePart part) = 0;
  // The session has written its first message.
  virtual void OnFirstAnswer() = 0;
  // Runs `act` soon, not from within, unless the exchange is over by then.
  virtual void Post(std::function<void()> act) = 0;

  enum class Outcome {
    kComplete,
    kCutOff,  // The answer is not complete, and the client shall see that.
  };
  // The answer is out, or never will be. Ends the exchange's life; the last
  // that it calls.
  virtual void ExchangeOver(Outcome outcome) = 0;

 protected:
  ~HttpLink() = default;
};

// One plain HTTP request and its response as the transport of a session: the
// request's body comes piece by piece, its end is the half-close, and the head,
// messages and end that the session's codec makes go out as they are
// (docs/protocol.md, "HTTP and JSON").
//
// A head whose body is whole waits for the end, when its length is known. Any
// other leaves with the first message, or soon after it was given, unless
// another takes its place: a failure that comes right behind the backend's
// initial metadata has its own HTTP status.
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
    bool expects_continue = false;
    bool has_trailers =
        false;  // The client can be sent trailers, and wants them.
    // A head's filler is sent after this time without anything.
    absl::Duration filler_interval = absl::InfiniteDuration();
    bool is_cross_origin = false;  // A script reads the response.
    // Of the session's dialect; null: failures are told as JSON.
    WholeResponse (*failure)(const CallEnd&) = nullptr;
    HttpFields fields;  // Of every response.
  };
  HttpTransport(Options options, HttpLink& link);

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
  bool is_ending() const {
    return closing_ == Closing::kSent && wire_ != Wire::kFree;
  }

  void Read() override;
  void Write(WireMessage message) override;
  void SendHead(OutHead head) override;
  bool head_is_sent() const override { return head_state_ == Head::kSent; }
  void Close(const OutEnd& end) override;

 private:
  // The request's body.
  enum class Body : std::uint8_t {
    kContinueDue,  // The client sends it when it is told to go on.
    kComing,
    kEnded,    // The session has got the half-close.
    kDropped,  // The message was too long: no Read is answered any more.
  };
  // The response's head.
  enum class Head : std::uint8_t {
    kHeld,  // Not given yet, or another may take its place.
    kDue,   // It waits for no message.
    kSent,  // Or is being sent.
  };
  // What the link is sending.
  enum class Wire : std::uint8_t {
    kFree,
    kOwn,    // What no Write is complete with.
    kWrite,  // What the session wrote.
  };
  enum class Closing : std::uint8_t {
    kNone,
    kDue,   // Close was called, or the request has failed: `end_`.
    kSent,  // Or is being sent, or cut off.
  };

  void DeliverBody();
  // The number of the message that has begun, when its rest is waited for.
  std::optional<std::uint64_t> UnfinishedMessage() const;
  // Ends an exchange whose request cannot be read on.
  void FailRequest(int http_status, absl::Status status);

  // Sends what can be sent.
  void Flush();
  void FlushMessage(WireMessage message);
  void Hold(WireMessage message);
  // Whether the head may leave without a message.
  bool MaySendHead() const;
  // The head of a body that comes in pieces, with its preamble.
  ResponsePart StreamHead();
  void SendEnd();
  void SendWhole(int status, HttpFields fields, std::string body);
  void Send(ResponsePart part, Wire as = Wire::kOwn);
  ResponsePart::Head MakeHead(int status, HttpFields fields);
  HttpFields Trailers() const;
  void SendFiller(absl::Time now);
  void NotifyClosed(const TransportEnd& end);

  const Options options_;
  HttpLink& link_;
  std::unique_ptr<Session> session_;

  Body body_;
  bool reading_ = false;  // Read is pending.
  std::size_t body_bytes_ = 0;
  std::uint64_t wire_bytes_ = 0;  // Of the body, with what frames it.
  ws::MessageWatch message_watch_;

  std::unique_ptr<OutHead> head_;        // Until it is sent.
  std::optional<WireMessage> outgoing_;  // Write's, until it is sent or held.
  std::optional<WireMessage> held_;      // The whole body, until the end.
  OutEnd end_;
  absl::string_view filler_;  // Of the head that was sent.
  Head head_state_ = Head::kHeld;
  Wire wire_ = Wire::kFree;
  Closing closing_ = Closing::kNone;
  int failed_request_ = 0;    // The HTTP status, when the request has failed.
  bool notified_ = false;     // The session has been told of the end.
  bool has_written_ = false;  // The session has.

  bool sent_any_ = false;  // Since the last tick.
  std::optional<absl::Time> silent_since_;
};

}  // namespace headgate

#endif  // GATEWAY_NET_HTTP_TRANSPORT_H_
