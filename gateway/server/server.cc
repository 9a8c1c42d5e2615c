#include "gateway/server/server.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <boost/asio/post.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/clock.h"
#include "gateway/base/descriptor_limit.h"
#include "gateway/base/log.h"
#include "gateway/base/process_memory.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
using Error = boost::system::error_code;

constexpr auto kAcceptRetry = std::chrono::milliseconds(100);
// While more connections than there is room for wait to be refused.
constexpr auto kOverflowRetry = std::chrono::milliseconds(10);
// What each worker's io_context has: epoll, its timer, and what interrupts it.
constexpr std::uint64_t kWorkerDescriptors = 3;
// Nothing failed for that long: connections are accepted again.
constexpr absl::Duration kAcceptRecovery = absl::Seconds(1);
constexpr auto kHousekeeping = std::chrono::seconds(1);
// For a worker's answer to the admin listener, give or take a kHousekeeping.
constexpr absl::Duration kAnswerPatience = absl::Seconds(1);

// Logs what of the files is not used.
void WarnOf(const ListenerTls& tls, const std::string& listener) {
  for (const std::string& warning : tls.warnings()) {
    Log(LogLevel::kWarning, "an OCSP response is not used",
        {{"listener", listener}, {"reason", warning}});
  }
}

// Reads the TLS files of the listeners; what was made of the same settings in
// `before` stays.
absl::StatusOr<std::vector<std::unique_ptr<ListenerTls>>> MakeTls(
    const Settings& settings,
    std::vector<std::unique_ptr<ListenerTls>>& before) {
  std::vector<std::unique_ptr<ListenerTls>> made(settings.listeners.size());
  for (std::size_t i = 0; i < made.size(); ++i) {
    const std::optional<ListenerTlsSettings>& wanted =
        settings.listeners[i].tls;
    if (!wanted) continue;
    const bool same = i < before.size() && before[i] != nullptr &&
                      before[i]->settings() == *wanted;
    if (same) continue;
    absl::StatusOr<std::unique_ptr<ListenerTls>> tls =
        ListenerTls::Make(*wanted);
    if (!tls.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("listeners[", i, "].tls: ", tls.status().message()));
    }
    made[i] = *std::move(tls);
    WarnOf(*made[i], settings.listeners[i].address);
  }
  // From here on nothing fails.
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (settings.listeners[i].tls && made[i] == nullptr) {
      made[i] = std::move(before[i]);
    }
  }
  return made;
}

std::size_t WorkerCount(const Settings& settings) {
  if (settings.threads > 0) return static_cast<std::size_t>(settings.threads);
  return std::max(1u, std::thread::hardware_concurrency());
}

// What the process needs is not refused in the middle.
absl::Status CheckDescriptors(const Settings& settings) {
  const std::uint64_t limit = DescriptorLimit();
  const std::uint64_t open = CountOpenDescriptors();
  const std::uint64_t least =
      open + LeastDescriptorsFor(settings, WorkerCount(settings));
  if (limit >= least) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the process may have ", limit,
                   " file descriptors, and needs at least ", least,
                   " to serve this configuration: raise the limit (ulimit -n, "
                   "LimitNOFILE=)"));
}

// Of a listener with several sockets the widest.
SocketReach ReachOf(const std::vector<ListeningSocket>& sockets) {
  const SocketReach first = sockets.front().reach();
  const bool alike = std::all_of(
      sockets.begin(), sockets.end(),
      [first](const ListeningSocket& each) { return each.reach() == first; });
  return alike ? first : SocketReach::kNetwork;
}

// "ws://127.0.0.1:8080", "wss+unix:/path".
std::string UrlOf(const ListenerSettings& settings,
                  const std::string& address) {
  const absl::string_view scheme = settings.tls ? "wss" : "ws";
  return absl::StrCat(scheme, absl::StartsWith(address, "unix:") ? "+" : "://",
                      address);
}

}  // namespace

Server::Listener::Listener(asio::io_context& control, std::size_t index,
                           ListeningSocket from)
    : socket(std::move(from)), acceptor(control), retry(control), index(index) {
  acceptor.assign(asio::generic::stream_protocol(socket.family(), 0),
                  socket.Release());
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    Settings settings, asio::io_context& control) {
  if (absl::Status valid = Validate(settings); !valid.ok()) return valid;
  if (absl::Status enough = CheckDescriptors(settings); !enough.ok()) {
    return enough;
  }
  auto server = std::unique_ptr<Server>(new Server(control));
  auto tls = MakeTls(settings, server->tls_);
  if (!tls.ok()) return tls.status();
  server->tls_ = *std::move(tls);
  if (absl::Status listening = server->Listen(settings.listeners);
      !listening.ok()) {
    return listening;
  }
  server->Configure(std::move(settings));
  const std::vector<AdminSettings>& admins = server->settings().admin;
  const std::size_t admin_connections = AdminConnectionsFor(
      DescriptorLimit(),
      std::count_if(admins.begin(), admins.end(),
                    [](const AdminSettings& admin) { return admin.enabled; }));
  for (const AdminSettings& admin : admins) {
    if (!admin.enabled) continue;
    auto started =
        AdminServer::Start(admin, control, *server, admin_connections);
    if (!started.ok()) {
      return absl::Status(
          started.status().code(),
          absl::StrCat(started.status().message(),
                       " (the admin listener; --admin sets another address, "
                       "or off)"));
    }
    server->admin_.push_back(*std::move(started));
  }
  if (absl::Status status = server->StartHubApi(); !status.ok()) return status;
  server->descriptors_ = {
      DescriptorLimit(),
      CountOpenDescriptors() +
          kWorkerDescriptors * WorkerCount(server->settings()) +
          (server->settings().hub_api
               ? 2 * HubApi::MostConnections(DescriptorLimit())
               : 0)};
  server->Configure(server->settings());
  server->WarnOfDescriptors();
  server->StartWorkers();
  for (Listener& listener : server->listeners_) server->Accept(listener);
  server->Housekeep();
  server->WatchMemory();
  return server;
}

Server::Server(asio::io_context& control)
    : control_(control),
      builder_(std::make_shared<BuilderThread>()),
      exporter_(control, state_.spans),
      housekeeping_(control),
      memory_timer_(control),
      drain_timer_(control) {}

Server::~Server() {
  on_stopped_ = nullptr;
  Stop();
}

std::vector<std::string> Server::admin_addresses() const {
  std::vector<std::string> addresses;
  for (const auto& admin : admin_) addresses.push_back(admin->address());
  return addresses;
}

void Server::Configure(Settings settings) {
  Configuration::Tls contexts;
  for (const auto& tls : tls_) {
    contexts.push_back(tls == nullptr ? nullptr : tls->context());
  }
  const ConnectionLimit limit =
      ConnectionLimitFor(settings, descriptors_, WorkerCount(settings));
  const std::uint64_t available = AvailableMemory();
  memory_limit_ = settings.limits.max_memory.value_or(available / 5 * 4);
  NumberHubs(settings);
  const std::shared_ptr<const Configuration> before = configuration_;
  configuration_ = std::make_shared<const Configuration>(
      std::move(settings), contexts, reaches_, limit, configuration_.get(),
      [builder = builder_](std::function<void()> task) {
        builder->Post(std::move(task));
      });
  RunHubs(before.get());
  exporter_.Configure(this->settings().tracing);
  for (const auto& worker : workers_) worker->Reload(configuration_);
}

void Server::NumberHubs(Settings& settings) {
  for (Route& route : settings.routes) {
    if (!std::holds_alternative<HubTarget>(route.target)) continue;
    const HubSpec spec = HubSpecOf(settings, route);
    route.hub_id = 0;
    if (configuration_ != nullptr) {
      for (const auto& [id, hub] : configuration_->hubs) {
        if (hub.IsSameHub(spec)) route.hub_id = id;
      }
    }
    if (route.hub_id == 0) route.hub_id = next_hub_++;
  }
}

HubThread& Server::Hubs() {
  if (hubs_ == nullptr) {
    hubs_ =
        std::make_unique<HubThread>(WorkerCount(settings()), settings().hub);
    state_.hubs = hubs_.get();
  }
  return *hubs_;
}

absl::Status Server::StartHubApi() {
  if (!settings().hub_api) return absl::OkStatus();
  Hubs().Start();
  Hubs().ServeApi(HubApi::Methods());
  auto api = HubApi::Start(*settings().hub_api, Hubs(),
                           HubApi::MostConnections(DescriptorLimit()));
  if (!api.ok()) return api.status();
  hub_api_ = *std::move(api);
  return absl::OkStatus();
}

std::string Server::hub_api_address() const {
  return hub_api_ == nullptr ? "" : hub_api_->address();
}

void Server::RunHubs(const Configuration* before) {
  for (const auto& [id, spec] : configuration_->hubs) {
    if (before != nullptr && before->hubs.contains(id)) continue;
    Hubs().Add(id, spec);
  }
  if (before == nullptr) return;
  for (const auto& [id, spec] : before->hubs) {
    if (!configuration_->hubs.contains(id)) hubs_->Retire(id);
  }
}

void Server::WarnOfDescriptors() const {
  const std::optional<int> wanted = settings().limits.max_connections;
  const ConnectionLimit& limit = configuration_->connections;
  if (!wanted || !limit.by_descriptors) return;
  Log(LogLevel::kWarning,
      "limits.max_connections is more than the file descriptors allow for",
      {{"configured", absl::StrCat(*wanted)},
       {"possible", absl::StrCat(limit.most)},
       {"descriptors", absl::StrCat(descriptors_.limit)}});
}

absl::Status Server::Listen(const std::vector<ListenerSettings>& settings) {
  for (std::size_t i = 0; i < settings.size(); ++i) {
    absl::StatusOr<std::vector<ListeningSocket>> sockets =
        OpenListener(settings[i]);
    if (!sockets.ok()) return sockets.status();
    reaches_.push_back(ReachOf(*sockets));
    for (ListeningSocket& socket : *sockets) {
      addresses_.push_back(UrlOf(settings[i], socket.address()));
      listeners_.emplace_back(control_, i, std::move(socket));
    }
  }
  return absl::OkStatus();
}

void Server::StartWorkers() {
  for (std::size_t i = 0, count = WorkerCount(settings()); i < count; ++i) {
    workers_.push_back(std::make_unique<Worker>(configuration_, i, state_));
    state_.workers.push_back(workers_.back().get());
  }
  stalled_.resize(workers_.size());
  last_stats_.resize(workers_.size());
  for (const auto& worker : workers_) worker->Start();
}

void Server::Accept(Listener& listener) {
  const ConnectionLimit& limit = configuration_->connections;
  if (state_.connections.open() >= limit.most + limit.overflow) {
    return AcceptLater(listener, kOverflowRetry);
  }
  Worker& worker = *workers_[next_worker_];
  next_worker_ = (next_worker_ + 1) % workers_.size();
  listener.acceptor.async_accept(
      worker.io_context(),
      [this, &listener, &worker](Error error, StreamSocket socket) {
        const bool is_open = listener.acceptor.is_open();
        if (error && !is_open) return;
        if (error) return OnAcceptFailed(listener, error.message());
        listener.socket.SetOptions(socket.native_handle());
        // One that was accepted while the gateway began to drain is told so.
        worker.Serve(std::move(socket), listener.index,
                     state_.connections.Enter());
        if (is_open) Accept(listener);
      });
}

// Most likely out of file descriptors. The sessions there are go on; a new one
// can come in when one of them has gone.
void Server::OnAcceptFailed(Listener& listener, const std::string& why) {
  ++stats_.accept_errors;
  accept_failed_ = SteadyNow();
  if (!std::exchange(accept_failing_, true)) {
    Log(LogLevel::kError, "cannot accept connections for now",
        {{"reason", why}});
  }
  for (const auto& worker : workers_) worker->FreeDescriptor();
  AcceptLater(listener, kAcceptRetry);
}

// One descriptor that comes free serves one connection; what is told is the end
// of the shortage.
void Server::NoticeAccepting(absl::Time now) {
  if (!accept_failing_ || now - accept_failed_ < kAcceptRecovery) return;
  accept_failing_ = false;
  Log(LogLevel::kInfo, "accepting connections again");
}

void Server::AcceptLater(Listener& listener, std::chrono::milliseconds delay) {
  listener.retry.expires_after(delay);
  listener.retry.async_wait([this, &listener](Error cancelled) {
    if (!cancelled && listener.acceptor.is_open()) Accept(listener);
  });
}

void Server::CloseListeners() {
  for (Listener& listener : listeners_) {
    Error ignored;
    listener.acceptor.close(ignored);
    listener.socket.RemoveFile();
    listener.retry.cancel();
  }
}

// --- Once a second ---

void Server::Housekeep() {
  housekeeping_.expires_after(kHousekeeping);
  housekeeping_.async_wait([this](Error cancelled) {
    // A timer that has expired is not cancelled any more.
    if (cancelled || stopped_) return;
    const absl::Time now = SteadyNow();
    Watch();
    NoticeAccepting(now);
    while (!questions_.empty() &&
           now - questions_.front().asked >= kAnswerPatience) {
      const Question question = std::move(questions_.front());
      questions_.pop_front();
      question.give_up();
    }
    RefreshTls();
    FlushSuppressed(now);
    Housekeep();
  });
}

void Server::Watch() {
  std::vector<std::uint64_t> iterations;
  for (const auto& worker : workers_) {
    iterations.push_back(worker->iterations());
  }
  watch_.Observe(SteadyNow(), iterations);
  for (std::size_t i = 0; i < watch_.loops().size(); ++i) {
    const LoopWatch::Loop& loop = watch_.loops()[i];
    if (loop.stalled() == stalled_[i]) continue;
    stalled_[i] = loop.stalled();
    if (loop.stalled()) {
      Log(LogLevel::kError, "the event loop of a worker has stalled",
          {{"worker", absl::StrCat(i)},
           {"for", absl::FormatDuration(
                       absl::Trunc(loop.silence, absl::Milliseconds(1)))}});
    } else {
      Log(LogLevel::kInfo, "the event loop of the worker runs again",
          {{"worker", absl::StrCat(i)}});
    }
  }
}

// --- Memory ---

void Server::WatchMemory() {
  LookAtMemory();
  memory_timer_.expires_after(absl::ToChronoNanoseconds(
      MemoryWatch::Interval(memory_used_, memory_limit_)));
  memory_timer_.async_wait([this](Error cancelled) {
    if (!cancelled && !stopped_) WatchMemory();
  });
}

void Server::LookAtMemory() {
  const absl::Time now = SteadyNow();
  memory_used_ = UsedMemory();
  if (memory_watch_.WantsTrim(now, memory_used_, memory_limit_)) {
    TrimMemory();
    const std::uint64_t before = std::exchange(memory_used_, UsedMemory());
    memory_watch_.OnTrimmed(before, memory_used_);
  }
  const MemoryWatch::Verdict verdict =
      memory_watch_.Judge(now, memory_used_, memory_limit_);
  state_.short_of_memory = verdict.hold_back;
  if (verdict.refuse != state_.overloaded) {
    state_.overloaded = verdict.refuse;
    Log(LogLevel::kWarning,
        verdict.refuse ? "memory is short, new sessions are refused"
                       : "there is memory again, new sessions are taken",
        {{"used", absl::StrCat(memory_used_)},
         {"max_memory", absl::StrCat(memory_limit_)}});
  }
  if (verdict.free > 0 && !freeing_) {
    FreeMemory(verdict.free, verdict.urgent, memory_used_);
  }
}

void Server::FreeMemory(std::uint64_t bytes, bool urgent, std::uint64_t used) {
  freeing_ = true;
  AskWorkers<std::vector<Worker::Holder>>(
      [](Worker& worker,
         std::function<void(std::vector<Worker::Holder>)> answer) {
        worker.FindHolders(std::move(answer));
      },
      [this, bytes, urgent,
       used](Answers<std::vector<Worker::Holder>> answers) {
        Holders all;
        for (std::size_t i = 0; i < answers.size(); ++i) {
          if (!answers[i]) continue;
          for (Worker::Holder& holder : *answers[i]) {
            all.emplace_back(workers_[i].get(), std::move(holder));
          }
        }
        CloseHolders(std::move(all), bytes, urgent, used);
      });
}

void Server::CloseHolders(Holders holders, std::uint64_t bytes, bool urgent,
                          std::uint64_t used) {
  std::sort(holders.begin(), holders.end(), [](const auto& a, const auto& b) {
    return a.second.bytes > b.second.bytes;
  });
  using Chosen =
      absl::flat_hash_map<Worker*, std::vector<std::weak_ptr<Connection>>>;
  const auto chosen = std::make_shared<Chosen>();
  std::uint64_t held = 0;
  std::size_t count = 0;
  for (auto& [worker, holder] : holders) {
    if (held >= bytes) break;
    held += holder.bytes;
    ++count;
    (*chosen)[worker].push_back(std::move(holder.connection));
  }
  if (count == 0) {
    freeing_ = false;
    if (memory_watch_.OnNothingToFree(SteadyNow())) {
      Log(LogLevel::kWarning, "memory is short, and no session holds much",
          {{"used", absl::StrCat(used)},
           {"max_memory", absl::StrCat(memory_limit_)}});
    }
    return;
  }
  LogRepeated(LogLevel::kWarning,
              "memory is short, sessions that hold most are closed",
              {{"sessions", absl::StrCat(count)},
               {"held", absl::StrCat(held)},
               {"used", absl::StrCat(used)},
               {"max_memory", absl::StrCat(memory_limit_)}});
  if (!urgent) memory_watch_.OnClosing(SteadyNow(), held);
  const absl::Duration patience =
      urgent ? absl::ZeroDuration() : kMemoryPatience;
  AskWorkers<bool>(
      [chosen, patience](Worker& worker, std::function<void(bool)> done) {
        worker.CloseForMemory(std::move((*chosen)[&worker]), patience,
                              std::move(done));
      },
      [this](const Answers<bool>&) {
        freeing_ = false;
        TrimMemory();
        LookAtMemory();
      });
}

void Server::RefreshTls() {
  bool changed = false;
  for (std::size_t i = 0; i < tls_.size(); ++i) {
    if (tls_[i] == nullptr) continue;
    const std::string& address = settings().listeners[i].address;
    const absl::Status before = tls_[i]->status();
    if (tls_[i]->Refresh()) {
      changed = true;
      Log(LogLevel::kInfo, "certificate reloaded", {{"listener", address}});
      WarnOf(*tls_[i], address);
    } else if (!tls_[i]->status().ok() && tls_[i]->status() != before) {
      Log(LogLevel::kError,
          "the listener's TLS files cannot be used, the last good ones stay",
          {{"listener", address},
           {"reason", std::string(tls_[i]->status().message())}});
    }
  }
  if (changed) Configure(settings());
}

// --- Reload ---

absl::Status Server::Reload(Settings settings,
                            std::vector<std::string>* needs_restart) {
  const auto fail = [this](absl::Status status) {
    ReloadFailed();
    return status;
  };
  if (absl::Status valid = Validate(settings); !valid.ok()) return fail(valid);
  const Settings& before = this->settings();
  if (settings.threads != before.threads) {
    needs_restart->push_back("threads");
    settings.threads = before.threads;
  }
  if (settings.admin != before.admin) {
    needs_restart->push_back("admin");
    settings.admin = before.admin;
  }
  if (settings.hub != before.hub) {
    needs_restart->push_back(
        "hub.gateway, hub.engine, hub.nats, hub.limits, hub.groups or "
        "hub.resume");
    settings.hub = before.hub;
  }
  if (settings.hub_api != before.hub_api) {
    needs_restart->push_back("hub.api");
    settings.hub_api = before.hub_api;
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
    if (same->reuse_port != listener.reuse_port) {
      needs_restart->push_back(
          absl::StrCat("listeners: reuse_port of ", listener.address));
    }
    if (same->file != listener.file) {
      needs_restart->push_back(
          absl::StrCat("listeners: mode, user or group of ", listener.address));
    }
    listener = *same;
    settings.listeners.erase(same);
  }
  for (const ListenerSettings& listener : settings.listeners) {
    needs_restart->push_back(
        absl::StrCat("listeners: ", listener.address, " is new"));
  }
  settings.listeners = std::move(listeners);
  auto tls = MakeTls(settings, tls_);
  if (!tls.ok()) return fail(tls.status());
  tls_ = *std::move(tls);
  const std::optional<int> connections = before.limits.max_connections;
  Configure(std::move(settings));
  if (this->settings().limits.max_connections != connections) {
    WarnOfDescriptors();
  }
  ++stats_.reloads_ok;
  stats_.last_reload_ok = true;
  return absl::OkStatus();
}

void Server::ReloadFailed() {
  ++stats_.reloads_failed;
  stats_.last_reload_ok = false;
}

// --- The end ---

void Server::Drain(absl::Duration delay, absl::Duration timeout,
                   std::function<void()> on_stopped) {
  drain_requested_ = true;
  on_stopped_ = std::move(on_stopped);
  if (delay <= absl::ZeroDuration()) return BeginDrain(timeout);
  drain_timer_.expires_after(absl::ToChronoNanoseconds(delay));
  drain_timer_.async_wait([this, timeout](Error cancelled) {
    if (!cancelled && !stopped_) BeginDrain(timeout);
  });
}

void Server::BeginDrain(absl::Duration timeout) {
  state_.draining = true;
  CloseListeners();
  if (hubs_ != nullptr) hubs_->Drain(SteadyNow() + timeout);
  busy_workers_ = workers_.size();
  // The last fifth is for what is under way.
  const DrainPlan plan = {timeout * 0.8, timeout * 0.9};
  for (const auto& worker : workers_) {
    worker->Drain(plan, [this] {
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
  admin_.clear();
  questions_.clear();
  drain_timer_.cancel();
  housekeeping_.cancel();
  memory_timer_.cancel();
  exporter_.Configure(std::nullopt);
  CloseListeners();
  for (const auto& worker : workers_) worker->Stop();
  hub_api_.reset();  // Waits for what it has given to the hubs.
  if (hubs_ != nullptr) hubs_->Stop();
  builder_->Stop();  // Its tasks post to the workers, which are still there.
  FlushSuppressed(SteadyNow());
  if (on_stopped_ != nullptr) std::exchange(on_stopped_, nullptr)();
}

}  // namespace headgate
