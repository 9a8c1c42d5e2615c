#ifndef CMD_HEADGATE_BENCH_PEER_H_
#define CMD_HEADGATE_BENCH_PEER_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "client/failure.h"
#include "client/web_socket.h"
#include "gateway/codec/codec.h"
#include "gateway/tls/context.h"

namespace headgate {

// The other end of a connection that carries load: what is done with its bytes,
// and what is sent besides messages.
//
// Thread: one at a time. No I/O.
class BenchPeer {
 public:
  virtual ~BenchPeer() = default;

  // Once connected, first. False: see failure.
  virtual bool Start() = 0;
  // Whether messages may be sent right after Start. Else OnOpen follows.
  virtual bool opens_at_once() const = 0;
  // Takes all of `bytes`; each response is the end of a piece. False: see
  // failure.
  virtual bool Receive(absl::string_view bytes,
                       ClientWebSocketObserver& observer) = 0;
  // Requires: Start or Receive has returned false.
  virtual ClientFailure failure() const = 0;
  // The failure if the connection ends now, for this reason.
  virtual ClientFailure AtEnd(absl::string_view why) const = 0;

  // What is to be sent between messages: has_output, then Front, then OnSent.
  virtual bool has_output() = 0;
  virtual absl::string_view Front() = 0;
  virtual void OnSent(std::size_t bytes) = 0;
  // Messages are given to EncryptFrames instead of the socket.
  virtual bool is_tls() const = 0;
  virtual void EncryptFrames(absl::string_view frames) = 0;
  // Says good-bye, and awaits the other side's. False: there is none.
  virtual bool Close() = 0;
};

// `request` and `masks` must outlive it. `head`: sent before all messages.
std::unique_ptr<BenchPeer> MakeWebSocketPeer(
    const UpgradeRequest& request, ws::MaskSource& masks,
    const ClientWebSocket::Options& options, std::optional<WireMessage> head);

// Calls over HTTP/1.1, each message a request. A response with another status
// than 200, or a gRPC status other than 0, is a failure. Null `tls`: plain.
// Else the certificate must be for `server`.
std::unique_ptr<BenchPeer> MakeHttpPeer(
    const std::shared_ptr<const TlsContext>& tls, const std::string& server);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_PEER_H_
