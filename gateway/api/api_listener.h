#ifndef GATEWAY_API_API_LISTENER_H_
#define GATEWAY_API_API_LISTENER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/net/listening_socket.h"

namespace headgate {

// Accepts connections for gRPC's server, which does not limit their number. At
// `max_connections` a new connection replaces the one that has been silent for
// longest, or is closed if all have sent something in the last second.
//
// It keeps a duplicate of each connection's descriptor, so that a connection
// takes two of the process's.
//
// Thread: `serve` is called on a thread of its own, which the destructor ends.
class ApiListener {
 public:
  // Takes a connection over; it is shut down before it is closed.
  using Serve = std::function<void(int fd)>;

  // Opens the sockets of `address`, see OpenListener. Connections wait until
  // Start.
  static absl::StatusOr<std::unique_ptr<ApiListener>> Open(
      const std::string& address, std::size_t max_connections);
  ~ApiListener();
  ApiListener(const ApiListener&) = delete;
  ApiListener& operator=(const ApiListener&) = delete;

  void Start(Serve serve);
  // Accepts no more.
  void Stop();

  // With the port that was taken for 0.
  const std::string& address() const { return sockets_.front().address(); }

 private:
  ApiListener(std::vector<ListeningSocket> sockets, std::vector<int> fds,
              int stop, std::size_t max_connections);

  void Run();
  // False: there are no descriptors for now.
  bool Accept(int fd);
  // Shuts one down that has said nothing, or the quietest; false where there is
  // none.
  bool MakeRoom();

  std::vector<ListeningSocket> sockets_;  // Their files.
  const std::vector<int> fds_;
  const int stop_;  // An eventfd.
  const std::size_t max_connections_;
  Serve serve_;
  std::vector<int> connections_;  // Duplicates of those that are open.
  std::thread thread_;
};

}  // namespace headgate

#endif  // GATEWAY_API_API_LISTENER_H_
