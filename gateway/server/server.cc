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
  auto configuration =
      std::make_shared<const Configuration>(std::move(settings));
  auto server = std::unique_ptr<Server>(new Server(configuration, control));
  const std::vector<ListenerSettings>& listeners =
      configuration->settings.listeners;
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    absl::Status status = server->Listen(listeners[i].address, i);
    if (!status.ok()) return status;
  }
  int threads = configuration->settings.threads;
  if (threads == 0) {
    threads =
        std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
  for (int i = 0; i < threads; ++i) {
    server->workers_.push_back(
        std::make_unique<Worker>(configuration,
                                 i == 0 ? WorkerUpstream::Voice::kSpeaks
                                        : WorkerUpstream::Voice::kSilent,
                                 server->state_));
    server->workers_.back()->Start();
  }
  for (Listener& listener : server->listeners_) server->Accept(listener);
  return server;
}

Server::Server(std::shared_ptr<const Configuration> configuration,
               asio::io_context& control)
    : configuration_(std::move(configuration)),
      control_(control),
      drain_timer_(control) {}

Server::~Server() {
  on_stopped_ = nullptr;
  Stop();
}

absl::Status Server::Listen(const std::string& text, std::size_t index) {
  const Address address = *ParseAddress(text);
  if (address.host.empty()) {
    // One socket for both families: the IPv6 wildcard takes IPv4 as well,
    // where there is IPv6.
    const absl::Status both =
        ListenOn(tcp::endpoint(tcp::v6(), address.port), index);
    if (both.ok()) return both;
    return ListenOn(tcp::endpoint(tcp::v4(), address.port), index);
  }
  Error error;
  tcp::resolver resolver(control_);
  const auto endpoints = resolver.resolve(
      address.host, absl::StrCat(address.port), tcp::resolver::passive, error);
  if (error) return CannotListen(text, error);
  // A name such as localhost may have an address of a family that the machine
  // does not have; the others will do.
  absl::Status status;
  bool listening = false;
  for (const auto& entry : endpoints) {
    status = ListenOn(entry.endpoint(), index);
    if (status.ok()) listening = true;
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  return listening ? absl::OkStatus() : status;
}

absl::Status Server::ListenOn(const tcp::endpoint& endpoint,
                              std::size_t index) {
  Listener& listener = listeners_.emplace_back(control_, index);
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
        worker.Serve(std::move(socket), listener.index);
        Accept(listener);
      });
}

absl::Status Server::Reload(Settings settings,
                            std::vector<std::string>* needs_restart) {
  if (absl::Status valid = Validate(settings); !valid.ok()) return valid;
  const Settings& before = configuration_->settings;
  if (settings.threads != before.threads) {
    needs_restart->push_back("threads");
    settings.threads = before.threads;
  }
  // The sockets stay; what is said of an address applies to the listener that
  // is there.
  std::vector<ListenerSettings> listeners = before.listeners;
  for (ListenerSettings& listener : listeners) {
    const auto same =
        std::find_if(settings.listeners.begin(), settings.listeners.end(),
                     [&listener](const ListenerSettings& candidate) {
                       return candidate.address == listener.address;
                     });
    if (same == settings.listeners.end()) {
      needs_restart->push_back(absl::StrCat("listeners: ", listener.address,
                                            " is not among them any more"));
      continue;
    }
    listener = *same;
    settings.listeners.erase(same);
  }
  for (const ListenerSettings& listener : settings.listeners) {
    needs_restart->push_back(
        absl::StrCat("listeners: ", listener.address, " is new"));
  }
  settings.listeners = std::move(listeners);
  configuration_ = std::make_shared<const Configuration>(std::move(settings));
  for (const auto& worker : workers_) worker->Reload(configuration_);
  return absl::OkStatus();
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
