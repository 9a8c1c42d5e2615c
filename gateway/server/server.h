#ifndef GATEWAY_SERVER_SERVER_H_
#define GATEWAY_SERVER_SERVER_H_

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
#include "gateway/net/connection.h"
#include "gateway/route/route.h"
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
    Listener(boost::asio::io_context& control,
             const ConnectionSettings& settings)
        : acceptor(control), retry(control), settings(settings) {}
    Acceptor acceptor;
    boost::asio::steady_timer retry;
    const ConnectionSettings& settings;
  };

  Server(Settings settings, boost::asio::io_context& control);

  absl::Status Listen(const ListenerSettings& settings);
  absl::Status ListenOn(const boost::asio::ip::tcp::endpoint& endpoint,
                        const ConnectionSettings& settings);
  void Accept(Listener& listener);

  const Settings settings_;
  const Router router_;
  boost::asio::io_context& control_;
  ServerState state_;
  std::list<ConnectionSettings> connection_settings_;  // Stable addresses.
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
