#ifndef GATEWAY_SERVER_SERVER_H_
#define GATEWAY_SERVER_SERVER_H_

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/status/statusor.h"
#include "gateway/config/settings.h"
#include "gateway/server/configuration.h"
#include "gateway/server/worker.h"

namespace headgate {

// The gateway: its listeners and its workers.
//
// Thread:   the one that runs `control`, for everything.
// Lifetime: destroying it stops it at once.
class Server {
 public:
  // Listens and starts the workers. Fails, before anything is served, with
  // INVALID_ARGUMENT for settings that Validate refuses, and with UNAVAILABLE
  // for an address that cannot be listened on. `control` must outlive the
  // server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      Settings settings, boost::asio::io_context& control);

  ~Server();

  // The addresses listened on, "127.0.0.1:8080", with the ports that were
  // taken for 0; a listener on a name with several addresses has several.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Takes routes, upstreams, limits and timeouts over from `settings`, for all
  // that comes in from now on; open sessions keep what they were opened with.
  // Fails with INVALID_ARGUMENT, changing nothing, for settings that Validate
  // refuses. `needs_restart` names what else is different, and stays as it was:
  // the listeners' addresses and the number of threads.
  absl::Status Reload(Settings settings,
                      std::vector<std::string>* needs_restart);

  // Stops listening, ends the sessions with Close 1001, and stops when they
  // are gone or `timeout` has passed; then calls `on_stopped`. To be called
  // once.
  void Drain(absl::Duration timeout, std::function<void()> on_stopped);

  // Cuts off what is left and waits for the workers.
  void Stop();

 private:
  using Acceptor = boost::asio::basic_socket_acceptor<
      boost::asio::ip::tcp, boost::asio::io_context::executor_type>;
  struct Listener {
    Listener(boost::asio::io_context& control, std::size_t index)
        : acceptor(control), retry(control), index(index) {}
    Acceptor acceptor;
    boost::asio::steady_timer retry;
    const std::size_t index;  // Of the settings' listeners.
  };

  Server(std::shared_ptr<const Configuration> configuration,
         boost::asio::io_context& control);

  absl::Status Listen(const std::string& address, std::size_t index);
  absl::Status ListenOn(const boost::asio::ip::tcp::endpoint& endpoint,
                        std::size_t index);
  void Accept(Listener& listener);

  std::shared_ptr<const Configuration> configuration_;
  boost::asio::io_context& control_;
  ServerState state_;
  std::list<Listener> listeners_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::size_t next_worker_ = 0;
  bool accept_failing_ = false;

  boost::asio::steady_timer drain_timer_;
  std::size_t busy_workers_ = 0;
  bool stopped_ = false;
  std::function<void()> on_stopped_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_SERVER_H_
