#ifndef GATEWAY_NET_REFUSED_CONNECTION_H_
#define GATEWAY_NET_REFUSED_CONNECTION_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "gateway/net/byte_stream.h"
#include "gateway/net/connection.h"

namespace headgate {

// A connection for which there is no room: it waits for the first bytes of a
// request, answers with 503, and lets the client read that before it closes.
// It takes no longer than kRefusalPatience, and what comes is dropped unread.
//
// Thread: the worker's. Lifetime: a Connection.
class RefusedConnection final
    : public Connection,
      private ByteStream::User,
      public std::enable_shared_from_this<RefusedConnection> {
 public:
  // `place`: among those that wait; given back at the end. Requires: no TLS.
  RefusedConnection(std::shared_ptr<ByteStream> stream,
                    std::unique_ptr<Place> place, std::string answer,
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
  void Answer();
  void Finish();

  const std::shared_ptr<ByteStream> stream_;
  std::unique_ptr<Place> place_;
  std::string answer_;  // Empty once it is sent.
  ConnectionHost& host_;
  const absl::Time since_;
  bool finished_ = false;
};

inline constexpr absl::Duration kRefusalPatience = absl::Seconds(1);

// See RefuseConnection of connection.h. `peer`: for the log.
void RefuseConnection(std::shared_ptr<ByteStream> stream, std::size_t listener,
                      const std::string& peer, bool needs_tls,
                      Capacity capacity, ConnectionHost& host);

}  // namespace headgate

#endif  // GATEWAY_NET_REFUSED_CONNECTION_H_
