#ifndef GATEWAY_UPSTREAM_UPSTREAM_H_
#define GATEWAY_UPSTREAM_UPSTREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/metadata.h"
#include "gateway/base/status.h"
#include "gateway/route/route.h"

namespace headgate {

// Hears the events of one upstream call.
//
// Thread: the worker that started the call; never from within a method of
//         UpstreamCall or Upstream.
// Order:  OnMessage answers one Read, OnWritten one Write; OnDone comes once,
//         and last, in answer to the Read that finds no further message: what
//         the backend sent before its status is always delivered first.
class UpstreamCallObserver {
 public:
  // The backend's initial metadata, once, before the first OnMessage and
  // before OnDone, as soon as its response begins: a client may wait for that.
  // Not of a response that consists of its status alone. gRPC C++ does not tell
  // a head without metadata from that, so there it comes with the first message
  // or 0.1 s later.
  // Only of a call started with MetadataDelivery::kDelivered.
  virtual void OnHeaders(Metadata /*headers*/) {}
  // `payload` is one serialized message.
  virtual void OnMessage(std::string payload) = 0;
  // The message is on its way, or the backend listens no longer (then OnDone
  // will say why): either way the next Write may follow.
  virtual void OnWritten() = 0;
  // The backend's connection takes no new calls (GOAWAY) and may end when this
  // one does, or after a time of its own; until then the call goes on. At most
  // once, and only where the transport tells (not gRPC C++).
  virtual void OnDraining() {}
  // The observer may destroy the call in here.
  virtual void OnDone(CallEnd end) = 0;

 protected:
  ~UpstreamCallObserver() = default;
};

// Whether the next Write follows as soon as this one is answered: then the two
// may leave together.
enum class WriteHint { kLast, kMoreFollows };

// One RPC in flight, driven from its worker's thread.
//
// Lifetime: destroying it cancels the RPC, and no event follows.
class UpstreamCall {
 public:
  virtual ~UpstreamCall() = default;

  // Asks for one message. At most one Read is pending.
  virtual void Read() = 0;
  // Sends one message. At most one Write is pending.
  virtual void Write(std::string payload, WriteHint hint) = 0;
  // What the backend has taken of what was written, where the transport knows:
  // bytes, growing as long as it takes any.
  virtual std::uint64_t bytes_taken() const { return 0; }
  // Says that no Write follows. Requires: no Write pending, not called before.
  virtual void WritesDone() = 0;
  // What it holds of messages both ways, bytes, as far as it knows.
  virtual std::size_t buffered_bytes() const { return 0; }
};

// Whether the backend's metadata, initial and trailing, is wanted. It costs a
// hand-off, and a WebSocket has no place for it.
enum class MetadataDelivery { kDropped, kDelivered };

struct CallRequest {
  std::string method;  // "/package.Service/Method"
  Metadata metadata;
  // From now; OnDone with DEADLINE_EXCEEDED when it has passed, even if the
  // backend is silent.
  absl::Duration timeout = absl::InfiniteDuration();
  MetadataDelivery metadata_delivery = MetadataDelivery::kDropped;
  // A longer answer ends the call with RESOURCE_EXHAUSTED, where the transport
  // can tell calls apart (not gRPC C++); 0: that of UpstreamOptions.
  std::size_t max_answer_bytes = 0;
  // Of the session, for spans. Valid while the call is being started; may be
  // null and empty.
  const Route* route = nullptr;
  absl::string_view client = {};  // The client's address, as in the log.
};

// One gRPC target, for the calls of one worker.
class Upstream {
 public:
  virtual ~Upstream() = default;

  // Starts an RPC. A failure to connect is not an error here: it arrives as
  // OnDone with UNAVAILABLE.
  virtual std::unique_ptr<UpstreamCall> StartCall(
      CallRequest request, UpstreamCallObserver& observer) = 0;
  // What an open call takes besides its messages and metadata, bytes, about.
  virtual std::size_t call_bytes() const { return 0; }
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_UPSTREAM_H_
