#ifndef GATEWAY_NET_WS_TRANSPORT_H_
#define GATEWAY_NET_WS_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/beast/websocket/stream.hpp>

#include "absl/strings/string_view.h"
#include "gateway/net/connection.h"
#include "gateway/net/wire.h"
#include "gateway/session/transport.h"

namespace headgate {

// One WebSocket over Boost.Beast, and the owner of its session.
//
// Beast sees pings and the client's Close frame only while a read is pending;
// so does this.
//
// Thread:   the worker's.
// Lifetime: a Connection; it leaves its host in Finish, and is gone when the
//           operations that it cancelled there have completed.
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

  void Read() override;
  void Write(WireMessage message) override;
  void Close(const Ending& ending) override;

 private:
  using Error = boost::beast::error_code;
  using Stream = boost::beast::websocket::stream<Wire>;

  template <typename Handler>
  void SendAccept(const HttpRequest& request, const std::string& subprotocol,
                  Handler handler);
  void OnAccepted(SessionRequest request);
  void ReadSome();
  void OnReadSome(std::size_t old_size, Error error, std::size_t bytes);
  void OnWritten(Error error);
  void OnControlFrame(boost::beast::websocket::frame_type kind,
                      absl::string_view payload);
  void OnCloseFrame();
  // To be called before anything begins that OnTick is to time.
  void Wake();
  // Tells the session of the control frames that have come.
  void TellControlFrames();
  // Sends a ping when it is time; whether the client is dead.
  bool IsDead(absl::Time now, bool has_taken);
  // Whether the client has taken anything since the last look.
  bool HasTaken();
  void Ping(absl::Time now);
  void SendClose(CloseCode code, absl::string_view reason);
  // The same where Beast has given the stream up and sends nothing any more.
  void SendCloseByHand(CloseCode code, absl::string_view reason);
  // Tells the session, once.
  void NotifyClosed(const TransportEnd& end);
  // Tells the session, closes the socket and leaves the host; once.
  void Finish(const TransportEnd& end);
  void LetStreamGo();
  TransportEnd EndOfRead(const Error& error) const;
  // Whether `since` has lasted for `timeout`; starts it when it is unset.
  static bool Expired(std::optional<absl::Time>& since, absl::Time now,
                      absl::Duration timeout);

  // Empty once finished: a read that fails
  // the connection and a close can wait for each other inside Beast, each
  // keeping this alive, until their stream is gone.
  std::optional<Stream> ws_;
  const std::shared_ptr<const ConnectionSettings> settings_;
  ConnectionHost& host_;
  std::unique_ptr<Place> place_;
  std::unique_ptr<Session> session_;

  std::size_t max_message_bytes_ = 0;
  std::string incoming_;
  WireMessage outgoing_;

  bool reading_ = false;
  bool discarding_ = false;  // A message was too big; what follows is dropped.
  bool writing_ = false;
  std::optional<DrainOrder> drain_;  // Before the session was there.
  bool closing_ = false;             // Close was called, with `close_code_`.
  CloseCode close_code_ = CloseCode::kNormal;
  bool notified_ = false;
  bool finished_ = false;
  bool answered_ = false;  // The session has sent its first answer.
  bool resting_ = false;   // As Rest has told the host.

  std::optional<absl::Time> closing_since_;
  std::optional<absl::Time> send_stalled_since_;
  std::uint64_t taken_ = 0;  // By the client, bytes, at the last look.

  // Keepalive. Frames can be seen only while a read is pending.
  bool heard_ = false;              // Since the last tick.
  std::size_t control_frames_ = 0;  // Since the session was told.
  std::size_t discarded_bytes_ = 0;
  std::optional<absl::Time> heard_at_;
  std::optional<absl::Time> pinged_at_;  // The ping that has no answer yet.
  absl::Time patience_began_;            // Since when it could have one.
  bool pinging_ = false;                 // The ping is being written.
};

}  // namespace headgate

#endif  // GATEWAY_NET_WS_TRANSPORT_H_
