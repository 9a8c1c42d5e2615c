#ifndef CMD_HEADGATE_BENCH_H2_LINK_H_
#define CMD_HEADGATE_BENCH_H2_LINK_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/h2/session.h"
#include "gateway/tls/engine.h"

namespace headgate {

// A client's end of an HTTP/2 connection, with TLS where there is a context:
// bytes in, bytes out.
//
// Thread: one at a time. No I/O. The streams must leave the session before they
// are destroyed.
class H2Link {
 public:
  // Null `tls`: plain. Else the certificate must be for `server`.
  H2Link(const std::shared_ptr<const TlsContext>& tls,
         const std::string& server, h2::Time now);

  // Once connected, first.
  absl::Status Start();
  absl::Status Receive(absl::string_view bytes, h2::Time now);
  // Requests may be sent: the server's SETTINGS have come.
  bool is_ready() const { return is_ready_; }
  h2::Session& session() { return session_; }

  // What is to be sent next, empty: nothing. Then OnSent.
  absl::string_view Front();
  void OnSent(std::size_t bytes) { sent_ += bytes; }
  // What Front has found: the connection ends with what it returned. OK: it
  // goes on.
  const absl::Status& failure() const { return failure_; }

 private:
  absl::Status ReceiveFrames(absl::string_view bytes, h2::Time now);

  std::unique_ptr<TlsEngine> tls_;
  h2::Session session_;
  bool is_ready_ = false;
  absl::Status failure_;
  std::string output_;
  std::size_t sent_ = 0;  // Of it.
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_H2_LINK_H_
