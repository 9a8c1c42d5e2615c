#ifndef GATEWAY_NET_WS_TRANSPORT_H_
#define GATEWAY_NET_WS_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/beast/websocket/stream.hpp>

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
  WsTransport(TcpSocket socket,
              std::shared_ptr<const ConnectionSettings> settings,
              ConnectionHost& host);

  // Answers the handshake with 101 and opens the session. The host must have
  // admitted it; Leave is called when it is over.
  void Accept(const HttpRequest& request, Admission admission);
  // Answers with 101, then closes with the refusal's code and reason.
  void AcceptAndClose(const HttpRequest& request, const Refusal& refusal);

  void OnTick(absl::Time now) override;
  void Drain() override;
  void Abort() override;

  void Read() override;
  void Write(WireMessage message) override;
  void Close(const Ending& ending) override;

 private:
  using Error = boost::beast::error_code;

  template <typename Handler>
  void SendAccept(const HttpRequest& request, const std::string& subprotocol,
                  Handler handler);
  void OnAccepted(SessionRequest request);
  void ReadSome();
  void OnReadSome(std::size_t old_size, Error error, std::size_t bytes);
  void OnWritten(Error error);
  void OnCloseFrame();
  void SendClose(CloseCode code, absl::string_view reason);
  // Tells the session, once.
  void NotifyClosed(const TransportEnd& end);
  // Tells the session, closes the socket and leaves the host; once.
  void Finish(const TransportEnd& end);
  TransportEnd EndOfRead(const Error& error) const;
  // Whether `since` has lasted for `timeout`; starts it when it is unset.
  static bool Expired(std::optional<absl::Time>& since, absl::Time now,
                      absl::Duration timeout);

  // `false`: without permessage-deflate. Empty once finished: a read that fails
  // the connection and a close can wait for each other inside Beast, each
  // keeping this alive, until their stream is gone.
  std::optional<boost::beast::websocket::stream<Wire, false>> ws_;
  const std::shared_ptr<const ConnectionSettings> settings_;
  ConnectionHost& host_;
  std::unique_ptr<Session> session_;
  bool admitted_ = false;

  std::size_t max_message_bytes_ = 0;
  std::string incoming_;
  WireMessage outgoing_;

  bool reading_ = false;
  bool discarding_ = false;  // A message was too big; what follows is dropped.
  bool writing_ = false;
  bool drain_requested_ = false;  // Before the session was there.
  bool closing_ = false;          // Close was called, with `close_code_`.
  CloseCode close_code_ = CloseCode::kNormal;
  bool notified_ = false;
  bool finished_ = false;

  std::optional<absl::Time> closing_since_;
  std::optional<absl::Time> send_stalled_since_;
  std::uint64_t sends_when_stalled_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_NET_WS_TRANSPORT_H_
