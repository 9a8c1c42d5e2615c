#ifndef GATEWAY_NET_WS_TRANSPORT_H_
#define GATEWAY_NET_WS_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "gateway/base/turn.h"
#include "gateway/net/byte_stream.h"
#include "gateway/net/connection.h"
#include "gateway/session/transport.h"
#include "gateway/ws/endpoint.h"
#include "gateway/ws/message_watch.h"

namespace headgate {

// A client's WebSocket: the socket, and the owner of the session. The protocol
// is the Endpoint's.
//
// It reads only while the session waits for a message or the WebSocket is
// closing: pings and the client's Close frame are not seen at other times.
//
// Thread:   the worker's.
// Lifetime: a Connection; it leaves its host in Finish, and is destroyed when
//           the operations that it cancelled there have completed.
// Memory:   an idle connection holds no buffer.
class WsTransport final : public Connection,
                          public Transport,
                          private ByteStream::User,
                          private TurnTask,
                          public std::enable_shared_from_this<WsTransport> {
 public:
  // `host` must outlive it.
  // `place`: counts the session, and is released when it ends; null for
  // AcceptAndClose.
  WsTransport(std::shared_ptr<ByteStream> stream, std::unique_ptr<Place> place,
              std::shared_ptr<const ConnectionSettings> settings,
              ConnectionHost& host);

  // Takes the head of the response to an extended CONNECT (RFC 8441), whose
  // stream is the WebSocket's. Without one the stream begins with the 101 of
  // HTTP/1.1.
  class HeadSink {
   public:
    virtual void RespondToConnect(const HttpFields& fields) = 0;

   protected:
    ~HeadSink() = default;
  };

  // One of these is called first, and once. `http2`: null for HTTP/1.1.
  // Responds and opens the session.
  void Accept(const HttpRequest& request, Admission admission,
              HeadSink* http2 = nullptr);
  // Responds, tells the refusal in the client's dialect where that has a place
  // for it, and closes with its code and reason.
  void AcceptAndClose(const HttpRequest& request, const Refusal& refusal,
                      HeadSink* http2 = nullptr);

  bool is_stream() const override { return is_stream_; }

  void OnTick(absl::Time now) override;
  bool Rest() override;
  void Drain(const DrainOrder& order) override;
  void Abort() override;
  void CloseSession() override;
  const Session* session() const override { return session_.get(); }
  std::size_t held_bytes() const override;
  void CloseForMemory(absl::Time now, absl::Duration patience) override;

  void Read() override;
  void Write(WireMessage message) override;
  FramesTaken WriteFrames(absl::Span<const ws::FrameRef> frames,
                          ws::WriteUntil until) override;
  void WriteLastFrames(absl::Span<const ws::FrameRef> frames) override;
  ws::FrameForm frame_form() const override { return endpoint_->frame_form(); }
  std::size_t unsent_bytes() const override {
    return endpoint_->output_bytes();
  }
  void SendHead(OutHead) override {}  // The handshake was it.
  bool head_is_sent() const override { return true; }
  void Close(const OutEnd& end) override;

 private:
  enum class State : std::uint8_t {
    kHandshake,  // Before Accept.
    kLive,       // The session has not been told of the end.
    kEnding,     // It has been; the connection is coming down.
    kFinished,   // The socket is closed and the host has been left.
  };
  enum class Rests : std::uint8_t { kAwake, kResting };  // As the host knows.

  // Agrees on the extension and responds. `route`: of the session; null: there
  // is none.
  void Respond(const HttpRequest& request, const std::string& subprotocol,
               const Route* route, HeadSink* http2);

  // Reading.
  bool WantsBytes() const;
  // Waits for bytes if they are wanted and none are left over.
  void Await();
  void OnReadable() override;
  void OnBytes(absl::string_view bytes);
  // Continues with the bytes that were left over.
  void TakeRest();
  // Awaits bytes, or has those that are left over taken in the next iteration
  // of the event loop.
  void Continue();
  // Gives bytes to the endpoint while they are wanted, until the messages in
  // them are long enough for one iteration; returns how many.
  std::size_t Take(absl::string_view bytes);
  void OnEvent(ws::Endpoint::Event event);
  void OnMessage();
  void OnPong();
  void OnReadFailed(const absl::Status& why);
  // Reports the bytes and control frames that have arrived to the session.
  void ReportTraffic();

  // Writing. What was put into the endpoint is sent by Send: SendSoon has it
  // called before the iteration of the event loop ends, or, where bytes are
  // left over, in the next one, which takes them first.
  void SendSoon();
  void OnTurn() override;
  void Send();
  // Gives the stream what it takes; false if it took nothing. A failure ends
  // the connection, `when` it may.
  enum class When : std::uint8_t { kNow, kLater };
  bool SendNow(When when = When::kNow);
  // One step of that.
  ByteStream::Result SendFront();
  void OnWritable() override;
  void CompleteWrites();
  // Ends our direction of the connection, once all is sent.
  void EndOurSide();

  // How long the session may wait for responses after a violation.
  AnswerWait WaitForAnswers() const;
  TransportEnd EndOfEndpoint() const;
  // Tells the session before the connection has come down. Requires: kLive.
  void NotifyClosed(const TransportEnd& end);
  // Tells the session, closes the socket and leaves the host; once.
  void Finish(const TransportEnd& end);

  // To be called before anything begins that OnTick times.
  void Wake();
  // The number of the message that has begun, in frames or in the session's
  // codec, if the rest of it is awaited from the client; see MessageWatch.
  std::optional<std::uint64_t> UnfinishedMessage() const;
  // Whether the client has taken anything since the last call.
  bool HasTaken();

  struct Reading {
    enum class Phase : std::uint8_t {
      kPaused,    // Nothing is wanted, or OnTick will see if it may be read.
      kAwaiting,  // The stream is to become readable.
      kTaking,    // The endpoint is being given bytes.
    };
    enum class Wish : std::uint8_t { kNothing, kMessage };  // The session's.

    Phase phase = Phase::kPaused;
    Wish wish = Wish::kNothing;
    std::string rest;               // Bytes that were not wanted yet,
    std::size_t rest_taken = 0;     // and how many of them have been since.
    std::size_t message_bytes = 0;  // Of the messages of this Take.
    ws::MessageWatch message_watch;
  };
  struct Writing {
    enum class Phase : std::uint8_t {
      kReady,
      kBlocked,  // The stream is to become writable.
      kFailed,
      kEnded,  // Our direction of the connection has been shut down.
    };
    Phase phase = Phase::kReady;
    std::uint64_t taken = 0;  // Bytes, by the client, as of the last HasTaken.
  };

  const std::shared_ptr<ByteStream> stream_;
  const std::shared_ptr<const ConnectionSettings> settings_;
  ConnectionHost& host_;
  std::unique_ptr<Place> place_;
  std::unique_ptr<Session> session_;
  std::optional<ws::Endpoint> endpoint_;  // From Accept on.
  Reading reading_;
  Writing writing_;
  std::optional<absl::Time> cut_off_at_;  // After CloseForMemory.
  State state_ = State::kHandshake;
  Rests rests_ = Rests::kAwake;
  bool is_stream_ = false;
  bool compresses_ = false;  // As agreed on.
  bool responded_ = false;   // The session has written its first response.
};

}  // namespace headgate

#endif  // GATEWAY_NET_WS_TRANSPORT_H_
