#ifndef GATEWAY_NET_REFUSED_CONNECTION_H_
#define GATEWAY_NET_REFUSED_CONNECTION_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/http/refusal.h"
#include "gateway/net/byte_stream.h"
#include "gateway/net/connection.h"

namespace headgate {

// A connection for which there is no room: it waits for the first bytes of a
// request, answers with 503, or with GOAWAY where they are HTTP/2's, and lets
// the client read that before it closes. No handshake is made for one of TLS:
// its ClientHello is answered with an alert.
// It takes no longer than kRefusalPatience, and what comes is dropped unread.
//
// Thread: the worker's. Lifetime: a Connection.
class RefusedConnection final
    : public Connection,
      private ByteStream::User,
      public std::enable_shared_from_this<RefusedConnection> {
 public:
  enum class Language { kHttp, kTls };

  // `place`: among those that wait; given back at the end. `stream`: the
  // socket's own.
  RefusedConnection(std::shared_ptr<ByteStream> stream, Language language,
                    std::unique_ptr<Place> place, Refusal refusal,
                    ConnectionHost& host);

  void Start();

  void OnTick(absl::Time now) override;
  void Drain(const DrainOrder& /*order*/) override { Finish(); }
  void Abort() override { Finish(); }
  void CloseSession() override {}
  const Session* session() const override { return nullptr; }

 private:
  void OnReadable() override;
  void OnWritable() override {}
  // `received`: the client's first bytes; empty: none have come.
  void Answer(absl::string_view received);
  void Finish();

  const std::shared_ptr<ByteStream> stream_;
  const Language language_;
  std::unique_ptr<Place> place_;
  const Refusal refusal_;
  ConnectionHost& host_;
  const absl::Time since_;
  bool answered_ = false;
  bool finished_ = false;
};

inline constexpr absl::Duration kRefusalPatience = absl::Seconds(1);

// See RefuseConnection of connection.h. `peer`: for the log.
void RefuseConnection(std::shared_ptr<ByteStream> stream, std::size_t listener,
                      const std::string& peer, bool needs_tls,
                      Capacity capacity, ConnectionHost& host);

}  // namespace headgate

#endif  // GATEWAY_NET_REFUSED_CONNECTION_H_
