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

// One plain HTTP request and its response as the transport of a session: the
// request's body comes piece by piece, its end is the half-close, and the head,
// messages and end that the session's codec makes go out as they are, in chunks
// where HTTP has them (docs/protocol.md, "HTTP and JSON").
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
    bool is_http_1_0 = false;
    bool keep_alive = true;  // The client wants it.
    bool expects_continue = false;
    bool wants_trailers = false;
    // A head's filler is sent after this time without anything.
    absl::Duration filler_interval = absl::InfiniteDuration();
    bool is_cross_origin = false;  // A script reads the response.
    HttpFields fields;             // Of every response.
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
  void SendHead(OutHead head) override;
  bool head_is_sent() const override { return head_sent_; }
  void Close(const OutEnd& end) override;

 private:
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
  // Whether the head may leave without a message.
  bool MaySendHead() const;
  // The head of a body that comes in pieces, with its preamble.
  std::string StreamHead();
  // `text` as a chunk, where there are chunks.
  std::string Chunk(std::string text) const;
  void SendEnd();
  void SendWhole(int status, HttpFields fields, std::string body);
  void Send(std::string head, std::string content, std::string tail);
  std::string Head(int status, HttpFields fields);
  HttpFields Trailers() const;
  void SendFiller(absl::Time now);
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

  std::unique_ptr<OutHead> head_;        // Until it is sent.
  std::optional<WireMessage> outgoing_;  // Write's, until it is sent or held.
  std::optional<WireMessage> held_;      // The whole body, until the end.
  OutEnd end_;
  absl::string_view filler_;  // Of the head that was sent.
  bool sending_ = false;
  bool writing_ = false;    // What is being sent answers a Write.
  bool head_due_ = false;   // It waits for no message any more.
  bool head_sent_ = false;  // Or is being sent.
  bool reusable_ = false;   // As the head has promised.
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
