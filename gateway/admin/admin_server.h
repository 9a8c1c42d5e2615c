#ifndef GATEWAY_ADMIN_ADMIN_SERVER_H_
#define GATEWAY_ADMIN_ADMIN_SERVER_H_

#include <cstddef>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gateway/admin/gateway.h"

namespace headgate {

// The admin listener: health, metrics, routes and sessions over HTTP/1.1, for
// who runs the gateway and for his machines; docs/operations.md lists its
// paths.
//
// It is for a network that can be trusted, and still trusts nobody: heads and
// bodies are limited, a request that a browser's page has made (one with an
// Origin of elsewhere) is refused, and on a loopback address the Host must be
// one, so that no page reaches it by a name of its own. Of 64 connections the
// one that has kept it waiting longest gives way to a new one.
//
// Thread:   the one that runs `control`.
// Lifetime: destroying it stops it at once. `control` and `gateway` must
//           outlive it.
class AdminServer {
 public:
  virtual ~AdminServer() = default;

  // Fails with UNAVAILABLE when it cannot listen on the settings' address.
  // `max_connections`: at a time; one more takes the place of another.
  // `patience`: the longest for a request to come and be
  // answered, and for its answer to be taken.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(
      const AdminSettings& settings, boost::asio::io_context& control,
      Gateway& gateway, std::size_t max_connections = 64,
      absl::Duration patience = absl::Seconds(10));

  // "127.0.0.1:9901", with the port that was taken for 0.
  virtual const std::string& address() const = 0;
};

}  // namespace headgate

#endif  // GATEWAY_ADMIN_ADMIN_SERVER_H_
