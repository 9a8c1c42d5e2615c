#ifndef GATEWAY_NET_WS_TRANSPORT_H_
#define GATEWAY_NET_WS_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/beast/core/error.hpp>

#include "absl/strings/string_view.h"
#include "gateway/net/connection.h"
#include "gateway/net/wire.h"
#include "gateway/session/transport.h"
#include "gateway/ws/message_watch.h"
#include "gateway/ws/outbox.h"
#include "gateway/ws/reader.h"

namespace headgate {

// One WebSocket (RFC 6455), and the owner of its session.
//
// It reads while the session waits for a message or the WebSocket is closing,
// not else: pings and the client's Close frame are seen only then.
//
// Thread:   the worker's.
// Lifetime: a Connection; it leaves its host in Finish, and is gone when the
//           operations that it cancelled there have completed.
// Memory:   without TLS a silent socket holds no buffer.
class WsTransport final : public Connection,
                          public Transport,
                          public std::enable_shared_from_this<WsTransport> {
 public:
  // `host` must outlive it.
  // `place`: the session's among the others, given back when it is over; null
  // for AcceptAndClose.
  WsTransport(Wire wire, std::unique_ptr<Place> place,
              std::shared_ptr<const ConnectionSettings> settings,
              ConnectionHost& host);

  // Answers the handshake with 101 and opens the session.
  void Accept(const HttpRequest& request, Admission admission);
  // Answers with 101, then closes with the refusal's code and reason.
  void AcceptAndClose(const HttpRequest& request, const Refusal& refusal);

  void OnTick(absl::Time now) override;
  bool Rest() override;
  void Drain(const DrainOrder& order) override;
  void Abort() override;
  void CloseSession() override;
  const Session* session() const override { return session_.get(); }
  std::size_t held_bytes() const override;
  void CloseForMemory(absl::Time now) override;

  void Read() override;
  void Write(WireMessage message) override;
  void Close(const Ending& ending) override;

 private:
  enum class State {
    kOpen,
    kBroken,     // The client has broken the rules: what comes is dropped, and
                 // the session says its last.
    kClosing,    // Our Close frame is said; the client's is awaited.
    kHangingUp,  // Nothing is said any more, and what comes is dropped: the
                 // client is to take what was sent and end the connection.
    kFinished,
  };
  using Error = boost::beast::error_code;

  // Agrees on the extension and answers with 101.
  void Answer(const HttpRequest& request, const std::string& subprotocol,
              std::size_t max_message_bytes);

  // Reading.
  bool WantsBytes() const;
  // Waits for bytes, if they are wanted and none is left.
  void Await();
  void OnReadable(Error error);
  void AwaitTls();
  void OnTlsRead(Error error, std::size_t bytes);
  void OnBytes(absl::string_view bytes);
  // Goes on with what was left when the session wanted nothing more.
  void TakeRest();
  // Takes bytes as far as they are wanted; how many.
  std::size_t Pump(absl::string_view bytes);
  void OnReadFailed(Error error);
  void OnEvent(ws::Reader::Event event);
  void OnPong();
  void OnCloseFrame();
  void OnFault();

  // Writing. What is put is sent by SendSoon, or Send.
  void SendSoon();
  void OnTurn();
  void Send();
  // Gives the kernel what it takes; false when nothing came of it.
  bool SendNow();
  void OnSent(Error error, std::size_t bytes);
  // Puts the pong that is owed, where there is room.
  void PutPong();
  // Tells the session of writes that are done, and takes the next.
  void AnswerWrites();

  // What the session may wait for an answer when its client has broken a rule.
  AnswerWait WaitForAnswers() const;
  // Whether the session may still send, Close included.
  bool MaySend() const;
  // Says Close, and waits for the client's unless the client is broken.
  void SayClose(CloseCode code, absl::string_view reason);
  void HangUp();
  // Ends our side, once all is sent.
  void EndOurSide();
  TransportEnd EndByState() const;

  // To be called before anything begins that OnTick is to time.
  void Wake();
  // Tells the session of the control frames and bytes that have come.
  void TellTraffic();
  // The same when they are many.
  void TellMuchTraffic();
  // The number of the message that has begun, by frames or within the session's
  // codec, when the client is what is waited for; see MessageWatch.
  std::optional<std::uint64_t> UnfinishedMessage() const;
  // Sends a ping when it is time; whether the client is dead.
  bool IsDead(absl::Time now, bool has_taken);
  // Whether the client has taken anything since the last look.
  bool HasTaken();
  void Ping(absl::Time now);
  // Tells the session, once.
  void NotifyClosed(const TransportEnd& end);
  // Tells the session, closes the socket and leaves the host; once.
  void Finish(const TransportEnd& end);
  // Whether `since` has lasted for `timeout`; starts it when it is unset.
  static bool Expired(std::optional<absl::Time>& since, absl::Time now,
                      absl::Duration timeout);

  Wire wire_;
  const std::shared_ptr<const ConnectionSettings> settings_;
  ConnectionHost& host_;
  std::unique_ptr<Place> place_;
  std::unique_ptr<Session> session_;
  State state_ = State::kOpen;
  CloseCode close_code_ = CloseCode::kNormal;  // What we have said, or would.
  // Of an end that we have said.
  TransportEnd::Cause cause_ = TransportEnd::Cause::kClosedByGateway;
  bool notified_ = false;
  bool answered_ = false;  // The session has sent its first answer.
  bool resting_ = false;   // As Rest has told the host.

  std::optional<ws::Reader> reader_;
  std::unique_ptr<ws::Deflater> deflater_;
  bool read_wanted_ = false;  // By the session.
  bool awaiting_ = false;     // Bytes.
  bool pumping_ = false;
  std::string rest_;  // What has come and was not wanted yet.
  std::size_t rest_taken_ = 0;
  std::string tls_incoming_;
  std::size_t untold_bytes_ = 0;   // Of the wire, for the session.
  std::size_t dropped_bytes_ = 0;  // Of what came once we were closing.
  ws::MessageWatch message_watch_;

  ws::Outbox outbox_;
  bool writing_ = false;       // A Write has no answer yet.
  bool send_pending_ = false;  // The kernel, or TLS, is at it.
  bool send_failed_ = false;
  bool turn_pending_ = false;
  bool our_side_ended_ = false;
  std::optional<std::string> pong_;  // For which there was no room.

  std::optional<absl::Time> cut_off_at_;  // After CloseForMemory.
  std::optional<absl::Time> closing_since_;
  std::optional<absl::Time> send_stalled_since_;
  std::uint64_t taken_ = 0;  // By the client, bytes, at the last look.

  // Keepalive. Frames can be seen only while bytes are wanted.
  bool heard_ = false;              // Since the last tick.
  std::size_t control_frames_ = 0;  // Since the session was told.
  std::optional<absl::Time> heard_at_;
  std::optional<absl::Time> pinged_at_;  // The ping that has no answer yet.
  absl::Time patience_began_;            // Since when it could have one.
  std::uint64_t ping_put_ = 0;           // What had been put with the ping.
};

}  // namespace headgate

#endif  // GATEWAY_NET_WS_TRANSPORT_H_
