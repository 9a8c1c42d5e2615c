#ifndef GATEWAY_NET_CONNECTION_H_
#define GATEWAY_NET_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gateway/base/clock.h"
#include "gateway/base/turn.h"
#include "gateway/config/settings.h"
#include "gateway/console/schema_cache.h"
#include "gateway/h2/flood_budget.h"
#include "gateway/http/handshake.h"
#include "gateway/net/place.h"
#include "gateway/net/stream_socket.h"
#include "gateway/net/tls_stream.h"
#include "gateway/session/session.h"
#include "gateway/tls/context.h"
#include "gateway/tls/engine.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {

// One accepted connection, in one of its phases: what comes before HTTP, where
// the listener has a PROXY header or TLS (Arrival), the HTTP requests
// (HttpConnection), the WebSocket (WsTransport). Of HTTP/2 the connection
// (Http2Connection), which has no session, and each of its streams
// (Http2Exchange, WsTransport).
//
// Thread:   its worker's.
// Lifetime: shared by its host, until ConnectionHost::Remove, and by the
//           operations it has started.
class Connection {
 public:
  virtual ~Connection() = default;

  // Whether it is a stream of an HTTP/2 connection, which is a Connection of
  // its own.
  virtual bool is_stream() const { return false; }
  // Its sense of time; see Session::OnTick.
  virtual void OnTick(absl::Time now) = 0;
  // Asked after OnTick: whether nothing is under way that is timed more closely
  // than silence and age are. One that says so is looked at more seldom, until
  // it calls ConnectionHost::Wake.
  virtual bool Rest() { return false; }
  // Whether it has waited for a request, or for the rest of its head or of the
  // TLS handshake before it, for so long that it may be aborted to make room
  // for another connection.
  virtual bool MayMakeRoom(absl::Time /*now*/) const { return false; }
  // The gateway stops: a session ends with Close 1001, a request is refused.
  virtual void Drain(const DrainOrder& order) = 0;
  // Ends at once: the socket is closed, no Close frame is waited for.
  virtual void Abort() = 0;
  // Ends its session, if there is one, for the operator.
  virtual void CloseSession() = 0;
  // Null when there is none.
  virtual const Session* session() const = 0;
  // What would be free without it, as far as that is messages, bytes.
  virtual std::size_t held_bytes() const { return 0; }
  // Frees that because memory is short. A session ends: what waits is dropped
  // at once, and the client has `patience` to take what is on its way and the
  // Close frame; zero: it is cut off. What has no session ends at once.
  virtual void CloseForMemory(absl::Time /*now*/, absl::Duration /*patience*/) {
  }
};

// What holds less than that is not closed for lack of memory, and is read on:
// it would free nothing worth the loss.
inline constexpr std::size_t kLeastHeldBytes = 16 * 1024;
inline constexpr absl::Duration kMemoryPatience = absl::Seconds(1);

// A client that has just connected, or has begun to send a request's head, has
// this time to complete it before the connection may make room for another.
inline constexpr absl::Duration kLeastIdle = absl::Seconds(1);

// What a connection needs to know of its settings.
struct ConnectionSettings {
  HandshakePolicy policy;
  std::size_t max_header_bytes = 16 * 1024;
  absl::Duration handshake_timeout = absl::Seconds(5);
  absl::Duration send_timeout = absl::Seconds(30);
  absl::Duration close_timeout = absl::Seconds(5);
  absl::Duration message_timeout = absl::Seconds(30);
  // For the next request of a connection that had one.
  absl::Duration keep_alive_timeout = absl::Seconds(60);
  KeepaliveSettings keepalive;
  CompressionSettings compression;
  bool proxy_protocol = false;
  std::shared_ptr<const TlsContext> tls;  // Null: plain.
  struct Http2 {
    bool enabled = false;
    std::uint32_t max_streams = 128;
  } http2;
};

// What comes before HTTP, and may fail.
enum class ArrivalStep { kProxyHeader, kTls };

// A connection that may have to wait before its TLS handshake begins.
class HandshakeWaiter {
 public:
  virtual void OnHandshakeAllowed() = 0;

 protected:
  ~HandshakeWaiter() = default;
};

// Where connections live: a worker.
class ConnectionHost {
 public:
  virtual void Add(std::shared_ptr<Connection> connection,
                   std::size_t listener) = 0;
  // The connection is over; it touches its host no more.
  virtual void Remove(Connection& connection) = 0;
  // The connection has been at rest and is no longer; see Connection::Rest.
  virtual void Wake(Connection& connection) = 0;

  // The connection begins or ends to wait for a request or the rest of its
  // head; see Connection::MayMakeRoom. Remove ends it as well.
  virtual void SetIdle(Connection& connection, bool idle) = 0;

  // Counts a connection of the client's address ("": one that is not counted,
  // which gets no place). kFree, or kAddressFull.
  virtual Capacity AdmitConnection(const std::string& client,
                                   std::unique_ptr<Place>* place) = 0;
  // There is no room for a connection. Returns a place among those that wait
  // for their refusal to be read; null: there is none left.
  virtual std::unique_ptr<Place> ConnectionRefused(std::size_t listener,
                                                   const Refusal& refusal,
                                                   const std::string& peer) = 0;

  // Takes a place among the sessions, of the route and of the client's address
  // ("": one that is not counted), when the answer is kFree.
  virtual Capacity Admit(const Route& route, const std::string& client,
                         std::unique_ptr<Place>* place) = 0;
  // Counts the session of `*place` among those of `identity` too and returns
  // kFree; `*place` then holds both. Else kIdentityFull, and nothing changes.
  virtual Capacity AdmitIdentity(const std::string& identity,
                                 std::unique_ptr<Place>* place) = 0;
  virtual std::string NewSessionId() = 0;
  // What the listener has by now; a reload changes it between two requests.
  virtual std::shared_ptr<const ConnectionSettings> SettingsOf(
      std::size_t listener) = 0;
  // What is known of an upstream; see SchemaSource::Get.
  virtual SchemaSource::SnapshotOr GetSchema(
      const std::string& upstream, SchemaSource::SnapshotCallback callback) = 0;
  // Asks the backend of the session's hub whether it is admitted. `verdict`
  // hears OK, after which OpenSession must follow at once, or why not; never
  // before this returns. Destroying the ticket withdraws the question. Null:
  // the route admits everybody.
  class AdmissionTicket {
   public:
    virtual ~AdmissionTicket() = default;
  };
  virtual std::unique_ptr<AdmissionTicket> AskAdmission(
      const SessionRequest& request,
      std::function<void(const absl::Status&)> verdict) = 0;
  // Null when a reload has taken the route's upstream away meanwhile.
  virtual std::unique_ptr<Session> OpenSession(SessionRequest request,
                                               Transport& transport) = 0;
  virtual void SessionEnded(const Session& session) = 0;
  virtual void HandshakeRefused(const Refusal& refusal,
                                const std::string& peer) = 0;
  // A connection of the listener got no further than this.
  virtual void ArrivalFailed(std::size_t listener, ArrivalStep step,
                             const std::string& peer,
                             const std::string& why) = 0;
  // Whether the TLS handshake of a connection of the listener may begin; if not
  // `waiter` is notified when it may.
  virtual bool AdmitHandshake(std::size_t listener,
                              std::weak_ptr<HandshakeWaiter> waiter) = 0;
  // It is complete, that long after the client's first byte.
  virtual void TlsEstablished(std::size_t listener, const TlsEngine& engine,
                              absl::Duration took) = 0;
  // A client has begun to speak HTTP/2 on a connection of the listener.
  virtual void Http2Begun(std::size_t listener) = 0;
  // Such a connection ends because the client breaks HTTP/2 (kNone) or floods
  // it.
  virtual void Http2Failed(std::size_t listener, h2::Flood flood,
                           const std::string& peer, const std::string& why) = 0;
  // The first answer of a session is on its way.
  virtual void FirstAnswer(const Session& session) = 0;
  // A client has answered a ping.
  virtual void PingAnswered(absl::Duration round_trip) = 0;
  // clock().steady.
  virtual absl::Time now() const = 0;
  virtual Moment clock() const = 0;
  // The process is so short of memory that connections which hold much of it
  // must not be read until it is not.
  virtual bool is_short_of_memory() const = 0;
  // What is left to do before the worker's event loop iteration ends.
  virtual Turn& turn() = 0;
  // Room for what is read at one time, some 64 KiB, shared by the worker's
  // connections: what is there is of no meaning once a handler has returned.
  virtual absl::Span<char> ReadBuffer() = 0;
  virtual TlsBuffers& tls_buffers() = 0;
  // For the console's data, which may be megabytes: a place among the worker's
  // responses with it; null: there is none left.
  virtual std::unique_ptr<Place> TakeConsolePlace() = 0;
  virtual ConsoleSchemaCache& console_cache() = 0;

 protected:
  ~ConnectionHost() = default;
};

// A connection that was accepted and counted.
struct AcceptedConnection {
  StreamSocket socket;
  std::size_t listener = 0;
  std::string address;  // Of the other end; see PeerAddress.
  // Among all connections; may be null.
  std::unique_ptr<Place> place;
  // Among those of its address; null where it is not counted, or not yet
  // because a PROXY header will tell the address.
  std::unique_ptr<Place> address_place;
};

// Takes a fresh connection on: reads its requests, and refuses each or makes it
// a session of `host`. A WebSocket is its last one.
void ServeConnection(AcceptedConnection accepted, ConnectionHost& host);

// Answers its first request with 503, or HTTP/2 with GOAWAY, and closes it.
// With TLS, or where too many are being told so, it is closed at once.
// `capacity`: kFull or kAddressFull.
void RefuseConnection(AcceptedConnection accepted, Capacity capacity,
                      ConnectionHost& host);

}  // namespace headgate

#endif  // GATEWAY_NET_CONNECTION_H_
