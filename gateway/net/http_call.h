#ifndef GATEWAY_NET_HTTP_CALL_H_
#define GATEWAY_NET_HTTP_CALL_H_

#include <cstddef>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/http/handshake.h"
#include "gateway/net/connection.h"
#include "gateway/net/http_transport.h"
#include "gateway/net/place.h"
#include "gateway/session/session.h"

namespace headgate {

// The call that a request over plain HTTP leads to, in any version of HTTP:
// owns the transport of its session and its place among the sessions, and
// reports the session's events to the host.
//
// Thread: the worker's. Lifetime: its connection's.
class HttpCall {
 public:
  // `host` and `link` must outlive it.
  HttpCall(ConnectionHost& host, HttpLink& link) : host_(host), link_(link) {}

  // UNAVAILABLE: the request was admitted under a configuration that no longer
  // applies, and no call is open.
  absl::Status Open(Admission admission, HttpTransport::Options options);
  // Starts what was opened; it may end at once. `place`: among the sessions.
  void Start(std::unique_ptr<Place> place);

  bool is_open() const { return exchange_ != nullptr; }
  // Requires: is_open().
  HttpTransport& exchange() { return *exchange_; }
  // Null where none is open.
  const Session* session() const;

  // The session has written its first message.
  void OnFirstAnswer();
  // See Connection.
  void CloseForMemory(absl::Time now, absl::Duration patience);
  // Whether CloseForMemory was called, and the patience is over.
  bool is_cut_off(absl::Time now) const;
  // Whether its memory is being freed: CloseForMemory was called.
  bool is_being_freed() const { return cut_off_at_.has_value(); }
  // See Connection.
  std::size_t held_bytes() const;

  // Nothing more comes or goes, for this reason. Ends it.
  void Lose(TransportEnd::Cause cause);
  // Reports the session's end to the host, and frees the exchange.
  void End();

 private:
  ConnectionHost& host_;
  HttpLink& link_;
  std::unique_ptr<Session> session_;  // From Open to Start.
  std::unique_ptr<HttpTransport> exchange_;
  std::unique_ptr<Place> place_;
  std::optional<absl::Time> cut_off_at_;  // After CloseForMemory.
};

}  // namespace headgate

#endif  // GATEWAY_NET_HTTP_CALL_H_
