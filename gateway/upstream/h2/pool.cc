#include "gateway/upstream/h2/pool.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/base/version.h"

namespace headgate {
namespace {

// How long a connection that is no longer needed is kept for the next rush.
constexpr absl::Duration kIdleTime = absl::Seconds(30);
// A name is not looked up more often.
constexpr std::chrono::seconds kLookUpPause(1);
// Of those that a name has; more are not connected to.
constexpr std::size_t kMaxAddresses = 64;

H2ConnectionOptions ConnectionOptions(const UpstreamOptions& options,
                                      const H2Timing& timing) {
  const UpstreamSettings& settings = options.settings;
  H2ConnectionOptions connection;
  connection.stream_window_bytes = options.read_ahead_bytes;
  // The health check of a connection is one of its streams.
  connection.max_streams =
      std::max(settings.health_check ? 2 : 1, settings.max_streams_per_channel);
  if (!settings.keepalive_interval) {
    connection.keepalive_interval = timing.ping_after_answer;
    connection.keepalive_pause = timing.ping_pause;
  } else if (*settings.keepalive_interval != absl::InfiniteDuration()) {
    connection.keepalive_interval =
        absl::ToChronoMilliseconds(*settings.keepalive_interval);
  }
  connection.keepalive_timeout =
      absl::ToChronoMilliseconds(settings.keepalive_timeout);
  return connection;
}

absl::Status AtEndpoint(const H2Endpoint& endpoint, const absl::Status& why) {
  return Annotate(why, FormatEndpoint(endpoint));
}

}  // namespace

H2Pool::H2Pool(UpstreamOptions options, boost::asio::io_context& worker,
               Turn& turn, const H2Timing& timing)
    : options_(std::move(options)),
      timing_(timing),
      // Which of the addresses are healthy is of use to round robin alone.
      round_robin_(options_.settings.health_check ||
                   options_.settings.load_balancing ==
                       UpstreamSettings::LoadBalancing::kRoundRobin),
      worker_(worker),
      turn_(turn),
      alarms_(worker),
      connection_options_(ConnectionOptions(options_, timing_)),
      random_(std::random_device{}()),
      resolver_(worker) {
  const UpstreamSettings& settings = options_.settings;
  absl::StatusOr<H2Target> target = ParseH2Target(settings.target);
  if (target.ok()) {
    target_ = *std::move(target);
    SetAddresses(target_.endpoints);
  } else {
    target_status_ = target.status();
  }
  call_options_.authority =
      settings.authority.empty() ? target_.authority : settings.authority;
  if (settings.tls) {
    tls_ = std::make_unique<H2Tls>(settings, target_);
    call_options_.scheme = "https";
    if (settings.authority.empty() && !settings.tls->authority.empty()) {
      call_options_.authority = settings.tls->authority;
    }
  }
  call_options_.user_agent = absl::StrCat("grpc-c++-headgate/", kVersion);
  call_options_.compress =
      settings.compression == UpstreamSettings::Compression::kGzip;
  call_options_.max_answer_bytes = options_.max_answer_bytes;
}

H2Pool::~H2Pool() {
  resolver_.cancel();
  alarms_.Cancel(*this);
  for (Entry& entry : connections_) entry.connection->Close();
}

std::unique_ptr<UpstreamCall> H2Pool::StartCall(
    CallRequest request, UpstreamCallObserver& observer) {
  auto call = std::make_unique<H2Call>(shared_from_this(), std::move(request),
                                       observer);
  call->Start();
  Dispatch();
  return call;
}

void H2Pool::OnTick(absl::Time now) {
  const Clock::time_point steady_now = Clock::now();
  if (tls_ != nullptr && tls_->Refresh(now)) RetireConnections();
  // Where there was a connection there is to be one again, so that what has
  // become of the upstream is known before the next call.
  const auto is_missed = [&](const Address& address) {
    return (address.lost || address.backoff.failing()) &&
           !address.backoff.waits(steady_now) &&
           !HasConnectionTo(address.endpoint);
  };
  if (!dials()) {
    for (const Address& address : addresses_) {
      if (is_missed(address)) Open(address.endpoint);
    }
  } else if (!AnyUsable() &&
             std::any_of(addresses_.begin(), addresses_.end(), is_missed)) {
    DialOn(steady_now);
  }
  CheckHealth(steady_now);
  if (lookup_backoff_.failing() && !lookup_backoff_.waits(steady_now)) LookUp();

  std::vector<H2Endpoint> kept;
  for (std::size_t i = 0; i < connections_.size();) {
    Entry& entry = connections_[i];
    const H2Endpoint& endpoint = entry.connection->endpoint();
    // The first to each address stays, so that the next call need not wait for
    // a connection.
    const bool stays =
        AddressOf(endpoint) != nullptr && !entry.connection->draining() &&
        std::find(kept.begin(), kept.end(), endpoint) == kept.end();
    if (stays) kept.push_back(endpoint);
    const bool asks = entry.health != nullptr && entry.health->asking();
    if (entry.connection->stream_count() > (asks ? 1 : 0) ||
        entry.connection->connecting()) {
      entry.idle_since = absl::InfiniteFuture();
    } else if (entry.idle_since == absl::InfiniteFuture()) {
      entry.idle_since = now;
    } else if (now - entry.idle_since >= kIdleTime && !stays) {
      const std::shared_ptr<H2Connection> idle = std::move(entry.connection);
      connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(i));
      idle->Close();
      continue;
    }
    ++i;
  }
}

void H2Pool::KeepConnected() {
  if (!target_status_.ok() || (tls_ != nullptr && !tls_->usable())) return;
  const Clock::time_point now = Clock::now();
  if (AnyUsable() || AnyPending(now)) return;
  if (addresses_.empty()) {
    if (!lookup_backoff_.waits(now)) LookUp();
  } else if (dials()) {
    DialOn(now);
  } else {
    for (const Address& address : addresses_) {
      if (!address.backoff.waits(now) && !HasConnectionTo(address.endpoint)) {
        Open(address.endpoint);
      }
    }
  }
}

bool H2Pool::is_failing() const {
  const Clock::time_point now = Clock::now();
  return !AnyUsable() && (lookup_backoff_.failing() ||
                          std::any_of(connections_.begin(), connections_.end(),
                                      [&](const Entry& one) {
                                        return IsUnhealthy(one, now);
                                      }) ||
                          std::any_of(addresses_.begin(), addresses_.end(),
                                      [](const Address& one) {
                                        return one.backoff.failing();
                                      }));
}

absl::Status H2Pool::tls_status() const {
  return tls_ != nullptr ? tls_->status() : absl::OkStatus();
}

// --- calls that wait ---

void H2Pool::Enqueue(H2Call& call) {
  waiting_.push_back(&call);
  call.waiting.position = std::prev(waiting_.end());
  call.waiting.since = Clock::now();
  turn_.Soon(*this);
}

void H2Pool::Forget(H2Call& call) {
  if (!call.waiting.position) return;
  waiting_.erase(*call.waiting.position);
  call.waiting.position.reset();
  if (waiting_.empty()) SetAlarm(Clock::now());
}

void H2Pool::OnRoom() {
  if (!waiting_.empty()) turn_.Soon(*this);
}

void H2Pool::OnTurn() {
  if (!waiting_.empty()) Dispatch();
}

// --- connections ---

void H2Pool::Dispatch() {
  if (!target_status_.ok()) return FailWaiting(target_status_);
  if (tls_ != nullptr && !tls_->usable()) {
    return FailWaiting(absl::UnavailableError(
        absl::StrCat("TLS is not set up: ", tls_->status().message())));
  }
  while (!waiting_.empty()) {
    Entry* const entry = ConnectionWithRoom();
    if (entry == nullptr) break;
    H2Call& call = *waiting_.front();
    if (!call.OpenOn(*entry->connection)) continue;
    entry->idle_since = absl::InfiniteFuture();
    entry->took_calls = true;
    waiting_.erase(*call.waiting.position);
    call.waiting.position.reset();
  }
  const Clock::time_point now = Clock::now();
  if (addresses_.empty()) {
    if (waiting_.empty()) return;
    if (!lookup_backoff_.waits(now)) LookUp();
    if (!resolving_) FailWaiting(last_error_);
    return SetAlarm(now);
  }
  if (round_robin_ && addresses_.size() > 1) {
    for (const Address& address : addresses_) {
      if (!address.backoff.waits(now) && !HasConnectionTo(address.endpoint)) {
        Open(address.endpoint);
      }
    }
  }
  if (!waiting_.empty()) {
    if (dials() && !AnyUsable()) {
      DialOn(now);
    } else {
      while (waiting_.size() > ExpectedRoom(now) && OpenConnection(now)) {
      }
    }
    // Calls that end make room, where there is a connection.
    const bool may_wait =
        AnyPending(now) || resolving_ || (IsFull() && AnyUsable());
    if (!may_wait) FailWaiting(LastError(now));
  }
  SetAlarm(now);
}

void H2Pool::OnAlarm() {
  const Clock::time_point now = Clock::now();
  FailOverdue(now);
  if (dial_) DialOn(now);
  turn_.Soon(*this);
}

void H2Pool::SetAlarm(Clock::time_point now) {
  std::optional<Clock::time_point> next;
  const auto add = [&](Clock::time_point at) {
    if (!next || at < *next) next = at;
  };
  if (!waiting_.empty()) {
    add(waiting_.front()->waiting.since + timing_.connect_timeout);
    // Until others need not be waited for.
    for (const Entry& entry : connections_) {
      const Clock::time_point at = entry.opened + timing_.attempt_delay;
      if (IsPending(entry, now) && at > now) add(at);
    }
  }
  if (dial_) {
    if (const auto due = dial_->due(now)) add(*due);
  }
  if (next) {
    alarms_.Set(*this, *next);
  } else {
    alarms_.Cancel(*this);
  }
}

// The oldest with room: so the newer ones run empty, and go.
H2Pool::Entry* H2Pool::ConnectionWithRoom() {
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    const std::size_t at =
        round_robin_ ? (next_address_ + i) % addresses_.size() : i;
    for (Entry& entry : connections_) {
      if (!IsUsable(entry) || entry.connection->room() == 0 ||
          entry.connection->endpoint() != addresses_[at].endpoint) {
        continue;
      }
      next_address_ = (at + 1) % addresses_.size();
      return &entry;
    }
  }
  return nullptr;
}

bool H2Pool::AnyUsable() const {
  return std::any_of(
      connections_.begin(), connections_.end(), [&](const Entry& entry) {
        return IsUsable(entry) &&
               AddressOf(entry.connection->endpoint()) != nullptr;
      });
}

bool H2Pool::IsUnhealthy(const H2Endpoint& endpoint,
                         Clock::time_point now) const {
  return std::any_of(connections_.begin(), connections_.end(),
                     [&](const Entry& entry) {
                       return IsUnhealthy(entry, now) &&
                              entry.connection->endpoint() == endpoint;
                     });
}

bool H2Pool::IsPending(const Entry& entry, Clock::time_point now) const {
  if (entry.connection->connecting()) return true;
  return entry.connection->connected() && entry.health != nullptr &&
         entry.health->health() == H2HealthWatch::Health::kUnknown &&
         now - entry.opened < timing_.connect_timeout;
}

bool H2Pool::AnyPending(Clock::time_point now) const {
  return std::any_of(connections_.begin(), connections_.end(),
                     [&](const Entry& entry) { return IsPending(entry, now); });
}

bool H2Pool::Works(const H2Endpoint& endpoint) const {
  return std::any_of(
      connections_.begin(), connections_.end(), [&](const Entry& entry) {
        return IsUsable(entry) && entry.connection->endpoint() == endpoint;
      });
}

std::size_t H2Pool::ExpectedRoom(Clock::time_point now) const {
  const bool any_usable = AnyUsable();
  const auto counts = [&](const Entry& entry) {
    if (!any_usable) return true;
    // Where one address works no call waits for another that is silent.
    const H2Endpoint& endpoint = entry.connection->endpoint();
    const Address* const address = AddressOf(endpoint);
    return Works(endpoint) ||
           (address != nullptr && !address->backoff.failing() &&
            now - entry.opened < timing_.attempt_delay);
  };
  std::size_t room = 0;
  for (const Entry& entry : connections_) {
    if (!IsPending(entry, now) || !counts(entry)) continue;
    room += static_cast<std::size_t>(connection_options_.max_streams) -
            (options_.settings.health_check ? 1 : 0);
  }
  return room;
}

bool H2Pool::OpenConnection(Clock::time_point now) {
  // The one with the fewest connections; with pick_first the first.
  const bool any_usable = AnyUsable();
  const Address* best = nullptr;
  std::ptrdiff_t fewest = 0;
  for (const Address& address : addresses_) {
    if (address.backoff.waits(now)) continue;
    // Another connection to who is not healthy would be told the same.
    if (any_usable ? !Works(address.endpoint)
                   : IsUnhealthy(address.endpoint, now)) {
      continue;
    }
    const std::ptrdiff_t count = std::count_if(
        connections_.begin(), connections_.end(), [&](const Entry& entry) {
          return entry.connection->endpoint() == address.endpoint;
        });
    if (best == nullptr || (round_robin_ && count < fewest)) {
      best = &address;
      fewest = count;
    }
  }
  if (best == nullptr) return false;
  if (IsFull() && HasConnectionTo(best->endpoint)) return false;
  Open(best->endpoint);
  return true;
}

void H2Pool::DialOn(Clock::time_point now) {
  // It has failed everywhere: another begins with what may be tried by now.
  if (dial_ && !dial_->due(now) && !AnyPending(now)) dial_.reset();
  if (!dial_) {
    std::vector<H2Endpoint> order;
    for (const Address& address : addresses_) {
      if (!address.backoff.waits(now)) order.push_back(address.endpoint);
    }
    if (order.empty()) return;
    dial_.emplace(std::move(order), now, timing_);
  }
  while (const std::optional<H2Endpoint> endpoint = dial_->Next(now)) {
    Open(*endpoint, dial_->deadline() - now);
  }
  SetAlarm(now);
}

void H2Pool::Open(const H2Endpoint& endpoint, Clock::duration timeout) {
  H2ConnectionOptions options = connection_options_;
  options.connect_timeout = timeout;
  H2ConnectionOwner& owner = *this;
  connections_.push_back(
      {std::make_shared<H2Connection>(
           worker_, turn_, alarms_, endpoint, options, owner,
           tls_ != nullptr ? tls_->NewClient(endpoint) : nullptr),
       Clock::now()});
  connections_.back().connection->Connect();
}

// Calls keep the connections that they have. New ones are made by the tick,
// where there was one or had failed, or by the next call.
void H2Pool::RetireConnections() {
  std::vector<Entry> kept;
  std::vector<std::shared_ptr<H2Connection>> idle;
  for (Entry& entry : connections_) {
    if (Address* address = AddressOf(entry.connection->endpoint())) {
      address->lost = true;
    }
    entry.health.reset();  // The connection ends with its last call.
    if (entry.connection->stream_count() == 0) {
      idle.push_back(std::move(entry.connection));
    } else {
      if (entry.connection->connected()) entry.connection->Drain();
      kept.push_back(std::move(entry));
    }
  }
  connections_ = std::move(kept);
  for (const auto& connection : idle) connection->Close();
  for (Address& address : addresses_) address.backoff.EndPause();
  dial_.reset();
  turn_.Soon(*this);
}

void H2Pool::Fail(H2Call& call, const absl::Status& status) {
  call.FailToConnect(
      WithDetailForLog(absl::UnavailableError("the upstream cannot be reached"),
                       status.message()));
}

void H2Pool::FailWaiting(const absl::Status& status) {
  while (!waiting_.empty()) Fail(*waiting_.front(), status);
}

void H2Pool::FailOverdue(Clock::time_point now) {
  const auto is_overdue = [&](const H2Call& call) {
    return now - call.waiting.since >= timing_.connect_timeout;
  };
  if (waiting_.empty() || !is_overdue(*waiting_.front())) return;
  absl::Status why =
      IsFull() ? absl::ResourceExhaustedError(
                     "its connections take no more calls, and no more of them "
                     "are opened")
               : absl::DeadlineExceededError("no answer in time");
  for (const Entry& entry : connections_) {
    if (!IsPending(entry, now)) continue;
    const bool connecting = entry.connection->connecting();
    why = AtEndpoint(entry.connection->endpoint(),
                     absl::DeadlineExceededError(absl::StrCat(
                         connecting ? entry.connection->missing() : "no answer",
                         " in time")));
    break;
  }
  while (!waiting_.empty() && is_overdue(*waiting_.front())) {
    Fail(*waiting_.front(), why);
  }
}

absl::Status H2Pool::LastError(Clock::time_point now) const {
  for (const Entry& entry : connections_) {
    if (!IsUnhealthy(entry, now)) continue;
    return AtEndpoint(entry.connection->endpoint(),
                      absl::UnavailableError(entry.health->why()));
  }
  return last_error_;
}

void H2Pool::CheckHealth(Clock::time_point now) {
  bool any_unhealthy = false;
  for (const Entry& entry : connections_) {
    if (entry.health == nullptr || !entry.connection->connected()) continue;
    entry.health->OnTick(*entry.connection, now, timing_.health_backoff,
                         random_);
    any_unhealthy = any_unhealthy || IsUnhealthy(entry, now);
  }
  // Perhaps others are healthy by now.
  if (any_unhealthy && !AnyUsable()) LookUp();
}

void H2Pool::OnConnected(H2Connection& connection) {
  if (options_.settings.health_check) {
    if (connection.room() < 2) {
      connection.Close();
      return OnLost(connection, /*served=*/false,
                    absl::UnavailableError(
                        "the server takes one stream, and no call beside the "
                        "health check"));
    }
    Entry* const entry = EntryOf(connection);
    entry->health = std::make_unique<H2HealthWatch>(
        call_options_, *options_.settings.health_check);
    entry->health->Ask(connection);
  }
  if (Address* address = AddressOf(connection.endpoint())) {
    address->backoff.Reset();
    address->lost = false;
  }
  if (std::exchange(dial_, std::nullopt)) {
    // The others have lost the race.
    std::erase_if(connections_, [](const Entry& entry) {
      if (!entry.connection->connecting()) return false;
      entry.connection->Close();
      return true;
    });
    SetAlarm(Clock::now());
  }
  turn_.Soon(*this);
}

void H2Pool::OnDraining(H2Connection& connection) {
  // The connection ends with its last stream.
  if (Entry* entry = EntryOf(connection)) entry->health.reset();
  LookUp();
  turn_.Soon(*this);
}

// A server that lets connect and takes no call is as good as none.
void H2Pool::OnLost(H2Connection& connection, bool served, absl::Status why) {
  Entry* const entry = EntryOf(connection);
  served = served && entry != nullptr && entry->took_calls;
  if (entry != nullptr) {
    turn_.Bury(std::move(entry->connection));  // It is calling.
    connections_.erase(connections_.begin() + (entry - connections_.data()));
  }
  Address* const address = AddressOf(connection.endpoint());
  if (address != nullptr) address->lost = true;
  if (!served) {
    last_error_ = AtEndpoint(connection.endpoint(), why);
    if (address != nullptr) {
      address->backoff.Fail(Clock::now(), timing_.connect_backoff, random_);
    }
  }
  if (dial_) {
    dial_->OnFailed();
    DialOn(Clock::now());
  }
  LookUp();
  turn_.Soon(*this);
}

// --- names ---

void H2Pool::LookUp() {
  const Clock::time_point now = Clock::now();
  if (target_.host.empty() || resolving_ ||
      (looked_up_ && now - *looked_up_ < kLookUpPause && !addresses_.empty())) {
    return;
  }
  resolving_ = true;
  looked_up_ = now;
  resolver_.async_resolve(
      target_.host, target_.port, Resolver::numeric_service,
      [weak = weak_from_this()](boost::system::error_code error,
                                const Resolver::results_type& results) {
        const std::shared_ptr<H2Pool> self = weak.lock();
        if (self == nullptr) return;
        self->OnResolved(error, results);
        self->turn_.Run();
      });
}

void H2Pool::OnResolved(boost::system::error_code error,
                        const Resolver::results_type& results) {
  resolving_ = false;
  if (error) {
    last_error_ = absl::UnavailableError(
        absl::StrCat(target_.host, ": ", error.message()));
    lookup_backoff_.Fail(Clock::now(), timing_.connect_backoff, random_);
  } else {
    lookup_backoff_.Reset();
    std::vector<H2Endpoint> endpoints;
    for (const auto& result : results) endpoints.push_back(result.endpoint());
    SetAddresses(std::move(endpoints));
  }
  turn_.Soon(*this);
}

// What is known of addresses that stay is kept.
void H2Pool::SetAddresses(std::vector<H2Endpoint> endpoints) {
  std::vector<Address> addresses;
  // Of the first ones IPv4 and IPv6 both are.
  for (const H2Endpoint& endpoint : InterleaveFamilies(std::move(endpoints))) {
    const bool known = std::any_of(
        addresses.begin(), addresses.end(),
        [&](const Address& one) { return one.endpoint == endpoint; });
    if (known || addresses.size() == kMaxAddresses) continue;
    const Address* const before = AddressOf(endpoint);
    addresses.push_back(before != nullptr ? *before : Address{endpoint});
  }
  addresses_ = std::move(addresses);
  // Workers begin in different places.
  next_address_ = addresses_.empty() ? 0 : random_() % addresses_.size();
}

const H2Pool::Address* H2Pool::AddressOf(const H2Endpoint& endpoint) const {
  const auto found = std::find_if(
      addresses_.begin(), addresses_.end(),
      [&](const Address& one) { return one.endpoint == endpoint; });
  return found == addresses_.end() ? nullptr : &*found;
}
H2Pool::Address* H2Pool::AddressOf(const H2Endpoint& endpoint) {
  return const_cast<Address*>(std::as_const(*this).AddressOf(endpoint));
}

H2Pool::Entry* H2Pool::EntryOf(const H2Connection& connection) {
  const auto found = std::find_if(
      connections_.begin(), connections_.end(), [&](const Entry& entry) {
        return entry.connection.get() == &connection;
      });
  return found == connections_.end() ? nullptr : &*found;
}

bool H2Pool::HasConnectionTo(const H2Endpoint& endpoint) const {
  return std::any_of(connections_.begin(), connections_.end(),
                     [&](const Entry& entry) {
                       return entry.connection->endpoint() == endpoint &&
                              !entry.connection->draining();
                     });
}

}  // namespace headgate
