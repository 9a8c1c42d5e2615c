#include "gateway/server/server.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/base/log.h"
#include "gateway/config/address.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Error = boost::system::error_code;

constexpr auto kAcceptRetry = std::chrono::milliseconds(100);

ConnectionSettings MakeConnectionSettings(const Settings& settings,
                                          const ListenerSettings& listener,
                                          const Router& router) {
  ConnectionSettings connection;
  connection.policy.router = &router;
  connection.policy.allowed_origins = listener.allowed_origins;
  for (const std::string& proxy : listener.trusted_proxies) {
    connection.policy.trusted_proxies.push_back(*Network::Parse(proxy));
  }
  connection.policy.refusals = listener.refusals;
  connection.max_header_bytes = settings.limits.max_header_bytes;
  connection.handshake_timeout = settings.timeouts.handshake;
  connection.send_timeout = settings.timeouts.send;
  connection.close_timeout = settings.timeouts.close;
  return connection;
}

// NOT_FOUND when the machine has no such address.
absl::Status CannotListen(absl::string_view address, const Error& error) {
  const bool no_such_address =
      error == asio::error::address_family_not_supported ||
      error == boost::system::errc::address_not_available;
  return absl::Status(
      no_such_address ? absl::StatusCode::kNotFound
                      : absl::StatusCode::kUnavailable,
      absl::StrCat("cannot listen on ", address, ": ", error.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    Settings settings, asio::io_context& control) {
  if (absl::Status valid = Validate(settings); !valid.ok()) return valid;
  auto server =
      std::unique_ptr<Server>(new Server(std::move(settings), control));
  for (const ListenerSettings& listener : server->settings_.listeners) {
    if (absl::Status status = server->Listen(listener); !status.ok()) {
      return status;
    }
  }
  int threads = server->settings_.threads;
  if (threads == 0) {
    threads =
        std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
  for (int i = 0; i < threads; ++i) {
    server->workers_.push_back(
        std::make_unique<Worker>(i, server->settings_, server->state_));
    server->workers_.back()->Start();
  }
  for (Listener& listener : server->listeners_) server->Accept(listener);
  return server;
}

Server::Server(Settings settings, asio::io_context& control)
    : settings_(std::move(settings)),
      router_(settings_.routes),
      control_(control),
      drain_timer_(control) {}

Server::~Server() {
  on_stopped_ = nullptr;
  Stop();
}

absl::Status Server::Listen(const ListenerSettings& settings) {
  const Address address = *ParseAddress(settings.address);
  connection_settings_.push_back(
      MakeConnectionSettings(settings_, settings, router_));
  const ConnectionSettings& connection = connection_settings_.back();
  if (address.host.empty()) {
    // One socket for both families: the IPv6 wildcard takes IPv4 as well,
    // where there is IPv6.
    const absl::Status both =
        ListenOn(tcp::endpoint(tcp::v6(), address.port), connection);
    if (both.ok()) return both;
    return ListenOn(tcp::endpoint(tcp::v4(), address.port), connection);
  }
  Error error;
  tcp::resolver resolver(control_);
  const auto endpoints = resolver.resolve(
      address.host, absl::StrCat(address.port), tcp::resolver::passive, error);
  if (error) return CannotListen(settings.address, error);
  // A name such as localhost may have an address of a family that the machine
  // does not have; the others will do.
  absl::Status status;
  bool listening = false;
  for (const auto& entry : endpoints) {
    status = ListenOn(entry.endpoint(), connection);
    if (status.ok()) listening = true;
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  return listening ? absl::OkStatus() : status;
}

absl::Status Server::ListenOn(const tcp::endpoint& endpoint,
                              const ConnectionSettings& settings) {
  Listener& listener = listeners_.emplace_back(control_, settings);
  Error error;
  const auto ok = [&error] { return !error; };
  listener.acceptor.open(endpoint.protocol(), error);
  if (ok())
    listener.acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (ok() && endpoint.address() == asio::ip::address_v6::any()) {
    listener.acceptor.set_option(asio::ip::v6_only(false), error);
  }
  if (ok()) listener.acceptor.bind(endpoint, error);
  if (ok())
    listener.acceptor.listen(asio::socket_base::max_listen_connections, error);
  tcp::endpoint bound;
  if (ok()) bound = listener.acceptor.local_endpoint(error);
  if (!ok()) {
    listeners_.pop_back();
    return CannotListen(
        FormatAddress(endpoint.address().to_string(), endpoint.port()), error);
  }
  addresses_.push_back(
      FormatAddress(bound.address().to_string(), bound.port()));
  return absl::OkStatus();
}

void Server::Accept(Listener& listener) {
  Worker& worker = *workers_[next_worker_];
  next_worker_ = (next_worker_ + 1) % workers_.size();
  listener.acceptor.async_accept(
      worker.io_context(),
      [this, &listener, &worker](Error error, TcpSocket socket) {
        if (error == asio::error::operation_aborted) return;
        if (error) {
          // Most likely out of file descriptors. The sessions there are go on;
          // a new one can come in when one of them has gone.
          if (!accept_failing_) {
            Log(LogLevel::kError, "cannot accept connections for now",
                {{"reason", error.message()}});
          }
          accept_failing_ = true;
          listener.retry.expires_after(kAcceptRetry);
          listener.retry.async_wait([this, &listener](Error cancelled) {
            if (!cancelled) Accept(listener);
          });
          return;
        }
        if (accept_failing_) {
          accept_failing_ = false;
          Log(LogLevel::kInfo, "accepting connections again");
        }
        Error ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        socket.set_option(asio::socket_base::keep_alive(true), ignored);
        worker.Serve(std::move(socket), listener.settings);
        Accept(listener);
      });
}

void Server::Drain(absl::Duration timeout, std::function<void()> on_stopped) {
  on_stopped_ = std::move(on_stopped);
  state_.draining = true;
  for (Listener& listener : listeners_) {
    Error ignored;
    listener.acceptor.close(ignored);
    listener.retry.cancel();
  }
  busy_workers_ = workers_.size();
  for (const auto& worker : workers_) {
    worker->Drain([this] {
      asio::post(control_, [this] {
        if (--busy_workers_ == 0) Stop();
      });
    });
  }
  drain_timer_.expires_after(absl::ToChronoNanoseconds(timeout));
  drain_timer_.async_wait([this](Error cancelled) {
    if (!cancelled) Stop();
  });
}

void Server::Stop() {
  if (std::exchange(stopped_, true)) return;
  drain_timer_.cancel();
  for (Listener& listener : listeners_) {
    Error ignored;
    listener.acceptor.close(ignored);
    listener.retry.cancel();
  }
  for (const auto& worker : workers_) worker->Stop();
  if (on_stopped_ != nullptr) std::exchange(on_stopped_, nullptr)();
}

}  // namespace headgate
