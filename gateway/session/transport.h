#ifndef GATEWAY_SESSION_TRANSPORT_H_
#define GATEWAY_SESSION_TRANSPORT_H_

#include <cassert>
#include <cstddef>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gateway/base/status.h"
#include "gateway/codec/outgoing.h"
#include "gateway/upstream/upstream.h"
#include "gateway/ws/endpoint.h"
#include "gateway/ws/shared_frame.h"

namespace headgate {

// Why a WebSocket is over.
struct TransportEnd {
  enum class Cause {
    kClosedByClient,    // `code` and `reason` are the client's.
    kClosedByGateway,   // Close was called.
    kBrokenByClient,    // Not RFC 6455; told with `code`.
    kLost,              // The connection ended without a Close frame.
    kSendTimeout,       // The client took nothing for `send_timeout`.
    kKeepaliveTimeout,  // The client did not answer a ping.
    kAborted,           // The gateway is stopping and waits no longer.
  };
  Cause cause = Cause::kLost;
  CloseCode code = CloseCode::kAbnormal;
  std::string reason;
};

// How long a session whose client has broken a rule may wait for the answers to
// what came before. By default there is no time.
struct AnswerWait {
  absl::Time now = absl::InfinitePast();
  absl::Time deadline = absl::InfinitePast();
};

// Hears the events of one WebSocket.
//
// Thread: the worker's; never from within a method of Transport.
// Order:  OnMessage, OnMessageTooBig or OnViolation answers one Read, OnWritten
//         one Write; OnClosed comes once, and last.
class TransportObserver {
 public:
  virtual void OnMessage(WireMessage message) = 0;
  // The message was longer than the limit. What follows is discarded: a Read
  // after this is never answered.
  virtual void OnMessageTooBig(const AnswerWait& wait) = 0;
  // The client has violated the transport's protocol, also while no Read is
  // pending. Nothing more comes from it, and a Read after this is never
  // answered. The session calls Close with `ending`, or with another that it
  // was at already.
  virtual void OnViolation(const Ending& ending, const AnswerWait& wait) = 0;
  // Pings and pongs that the client has sent; not while its messages wait.
  virtual void OnControlFrames(std::size_t /*count*/) {}
  // The client has answered a ping of the gateway's.
  virtual void OnPong(absl::Duration /*round_trip*/) {}
  // Bytes that have come off the wire since the last time, with all that frames
  // them. Those of a message are told before it.
  virtual void OnWireBytes(std::size_t /*bytes*/) {}
  // The rest of a message does not come, or too slowly: `patience` is what it
  // had. A Read stays pending.
  virtual void OnMessageStuck(absl::Duration /*patience*/) {}
  virtual void OnWritten() = 0;
  virtual void OnClosed(const TransportEnd& end) = 0;

 protected:
  ~TransportObserver() = default;
};

// One WebSocket as a session sees it. Pings are answered while a Read is
// pending.
class Transport {
 public:
  // Asks for one message. At most one Read is pending.
  virtual void Read() = 0;
  // The head of an HTTP response; it is sent with the first message, or when
  // the transport can send it, and no OnWritten follows. Another one takes its
  // place as long as it has not been sent. A WebSocket, whose handshake was the
  // head, ignores it.
  virtual void SendHead(OutHead head) = 0;
  virtual bool head_is_sent() const = 0;
  // Sends one message. At most one Write is pending.
  virtual void Write(WireMessage message) = 0;

  // Frames that other sessions send, too. Requires: a WebSocket.
  //
  // Sends the first of `frames`, as many as leave together, at least one, at
  // once: with one system call unless the client is slow. It is a Write, for
  // all that were taken, and must be pending alone.
  struct FramesTaken {
    std::size_t count = 0;
    // OnWritten will follow. False: it is complete, and no OnWritten follows.
    bool is_pending = false;
  };
  virtual FramesTaken WriteFrames(absl::Span<const ws::FrameRef> /*frames*/,
                                  ws::WriteUntil /*until*/) {
    assert(false && "not a WebSocket");
    return {};
  }
  // Sends all of `frames` in front of the Close that comes next, behind a write
  // that may be pending.
  virtual void WriteLastFrames(absl::Span<const ws::FrameRef> /*frames*/) {
    assert(false && "not a WebSocket");
  }
  // The form in which this client gets frames. Does not change.
  virtual ws::FrameForm frame_form() const { return {}; }
  // Bytes that were written and that the client's connection has not taken.
  virtual std::size_t unsent_bytes() const { return 0; }

  // Ends it: a WebSocket with a Close frame (the status message cut to what a
  // frame holds), an HTTP response with its last byte; one without a head
  // becomes a response that tells the status. Requires: no Write pending,
  // but a WriteFrames may be; nothing is called after it.
  virtual void Close(const OutEnd& end) = 0;

 protected:
  ~Transport() = default;
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_TRANSPORT_H_
