#ifndef BACKEND_BACKEND_H_
#define BACKEND_BACKEND_H_

#include <memory>
#include <string>
#include <vector>

#include <grpcpp/impl/service_type.h>
#include <grpcpp/server.h>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace headgate {

struct BackendOptions {
  // What gRPC can listen on: "host:port" (port 0: a free one), "[::1]:port",
  // "unix:/path".
  std::string address = "127.0.0.1:50051";
};

// The demo services on a gRPC server, with reflection and health.
//
// Thread:   safe for any; the services run on gRPC's threads.
// Lifetime: serves from Start until Shutdown or its destruction.
class Backend {
 public:
  // UNAVAILABLE when it cannot listen on the address: the port is in use, say;
  // INVALID_ARGUMENT when it is none.
  static absl::StatusOr<std::unique_ptr<Backend>> Start(
      const BackendOptions& options);

  // As Shutdown without grace.
  ~Backend();

  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  // What it listens on; never 0 for an address with a port.
  int port() const { return port_; }
  // The address with the port that it got.
  const std::string& address() const { return address_; }

  // Takes no more calls, and gives the open ones `grace` to end; those that
  // have not are broken off, which their clients see as UNAVAILABLE or
  // CANCELLED. Returns when no call is left. A second call does nothing.
  void Shutdown(absl::Duration grace);

 private:
  Backend() = default;

  // Before the server, which must be gone first.
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  int port_ = 0;
};

}  // namespace headgate

#endif  // BACKEND_BACKEND_H_
