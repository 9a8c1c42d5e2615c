#include "gateway/upstream/h2/pool.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/base/version.h"

namespace headgate {
namespace {

// How long a connection that is no longer needed is kept for the next rush.
constexpr absl::Duration kIdleTime = absl::Seconds(30);
constexpr std::chrono::milliseconds kFirstBackoff(250);
constexpr std::chrono::milliseconds kMaxBackoff(1000);
constexpr double kBackoffGrowth = 1.6;
constexpr double kBackoffJitter = 0.2;
// A name is not looked up more often.
constexpr std::chrono::seconds kLookUpPause(1);
// Of those that a name has; more are not connected to.
constexpr std::size_t kMaxAddresses = 64;
// How often a turn goes round before others get theirs.
constexpr int kMaxRounds = 8;

H2ConnectionOptions ConnectionOptions(const UpstreamOptions& options) {
  const UpstreamSettings& settings = options.settings;
  H2ConnectionOptions connection;
  connection.stream_window_bytes = options.read_ahead_bytes;
  connection.max_streams = std::max(1, settings.max_streams_per_channel);
  if (settings.keepalive_interval != absl::InfiniteDuration()) {
    connection.keepalive_interval =
        absl::ToChronoMilliseconds(settings.keepalive_interval);
    connection.keepalive_timeout =
        absl::ToChronoMilliseconds(settings.keepalive_timeout);
  }
  return connection;
}

}  // namespace

H2Pool::H2Pool(UpstreamOptions options, boost::asio::io_context& worker)
    : options_(std::move(options)),
      worker_(worker),
      alarms_(worker),
      connection_options_(ConnectionOptions(options_)),
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
  for (const Address& address : addresses_) {
    if ((address.lost || address.backoff.failing()) &&
        !address.backoff.waits(steady_now) &&
        !HasConnectionTo(address.endpoint)) {
      Open(address);
    }
  }
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
    if (entry.connection->stream_count() > 0 ||
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

bool H2Pool::is_failing() const {
  const bool connected = std::any_of(
      connections_.begin(), connections_.end(),
      [](const Entry& entry) { return entry.connection->connected(); });
  return !connected && (lookup_backoff_.failing() ||
                        std::any_of(addresses_.begin(), addresses_.end(),
                                    [](const Address& one) {
                                      return one.backoff.failing();
                                    }));
}

absl::Status H2Pool::tls_status() const {
  return tls_ != nullptr ? tls_->status() : absl::OkStatus();
}

// --- turns ---

void H2Pool::Enqueue(H2Call& call) {
  waiting_.push_back(&call);
  call.places.waiting = std::prev(waiting_.end());
  Wake();
}

void H2Pool::Schedule(H2Call& call) {
  if (call.places.scheduled) return;
  call.places.scheduled = scheduled_.size();
  scheduled_.push_back(&call);
  Wake();
}

void H2Pool::Forget(H2Call& call) {
  if (call.places.waiting) waiting_.erase(*call.places.waiting);
  if (call.places.scheduled) scheduled_[*call.places.scheduled] = nullptr;
  call.places = {};
}

void H2Pool::OnWork(H2Connection& connection) {
  if (Entry* entry = EntryOf(connection)) entry->dirty = true;
  Wake();
}

void H2Pool::Wake() {
  if (in_turn_ || turn_posted_) return;
  turn_posted_ = true;
  boost::asio::post(worker_, [self = shared_from_this()] {
    self->turn_posted_ = false;
    self->RunTurn();
  });
}

void H2Pool::RunTurn() {
  // Observers may let go of the upstream and of the last call.
  const std::shared_ptr<H2Pool> self = shared_from_this();
  in_turn_ = true;
  bool more = true;
  for (int round = 0; more && round < kMaxRounds; ++round) {
    if (!waiting_.empty()) Dispatch();
    // Answers to what is told now leave together.
    while (round < kMaxRounds && DeliverScheduled()) ++round;
    more = FlushDirty() || !scheduled_.empty();
  }
  in_turn_ = false;
  if (more) Wake();
}

// Those that are scheduled meanwhile are left for the next time.
bool H2Pool::DeliverScheduled() {
  const std::size_t end = scheduled_.size();
  if (end == 0) return false;
  for (std::size_t i = 0; i < end; ++i) {
    H2Call* const call = std::exchange(scheduled_[i], nullptr);
    if (call == nullptr) continue;
    call->places.scheduled.reset();
    call->Deliver();
  }
  scheduled_.erase(scheduled_.begin(),
                   scheduled_.begin() + static_cast<std::ptrdiff_t>(end));
  for (std::size_t i = 0; i < scheduled_.size(); ++i) {
    if (scheduled_[i] != nullptr) scheduled_[i]->places.scheduled = i;
  }
  return true;
}

bool H2Pool::FlushDirty() {
  std::vector<std::shared_ptr<H2Connection>> dirty;
  for (Entry& entry : connections_) {
    if (std::exchange(entry.dirty, false)) dirty.push_back(entry.connection);
  }
  for (const auto& connection : dirty) connection->Flush();
  return !dirty.empty();
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
    waiting_.erase(*call.places.waiting);
    call.places.waiting.reset();
  }
  const Clock::time_point now = Clock::now();
  if (addresses_.empty()) {
    if (waiting_.empty()) return;
    if (!lookup_backoff_.waits(now)) LookUp();
    if (!resolving_) FailWaiting(last_error_);
    return;
  }
  if (options_.settings.load_balancing ==
          UpstreamSettings::LoadBalancing::kRoundRobin &&
      addresses_.size() > 1) {
    for (const Address& address : addresses_) {
      if (!address.backoff.waits(now) && !HasConnectionTo(address.endpoint)) {
        Open(address);
      }
    }
  }
  while (waiting_.size() > ExpectedRoom() && OpenConnection(now)) {
  }
  if (ExpectedRoom() == 0 && !resolving_) FailWaiting(last_error_);
}

// The oldest with room: so the newer ones run empty, and go.
H2Pool::Entry* H2Pool::ConnectionWithRoom() {
  const bool round_robin = options_.settings.load_balancing ==
                           UpstreamSettings::LoadBalancing::kRoundRobin;
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    const std::size_t at =
        round_robin ? (next_address_ + i) % addresses_.size() : i;
    for (Entry& entry : connections_) {
      if (entry.connection->room() == 0 ||
          entry.connection->endpoint() != addresses_[at].endpoint) {
        continue;
      }
      next_address_ = (at + 1) % addresses_.size();
      return &entry;
    }
  }
  return nullptr;
}

std::size_t H2Pool::ExpectedRoom() const {
  std::size_t room = 0;
  for (const Entry& entry : connections_) {
    if (!entry.connection->connecting()) continue;
    room += static_cast<std::size_t>(connection_options_.max_streams);
  }
  return room;
}

bool H2Pool::OpenConnection(Clock::time_point now) {
  // The one with the fewest connections; with pick_first the first.
  const bool round_robin = options_.settings.load_balancing ==
                           UpstreamSettings::LoadBalancing::kRoundRobin;
  const Address* best = nullptr;
  std::ptrdiff_t fewest = 0;
  for (const Address& address : addresses_) {
    if (address.backoff.waits(now)) continue;
    const std::ptrdiff_t count = std::count_if(
        connections_.begin(), connections_.end(), [&](const Entry& entry) {
          return entry.connection->endpoint() == address.endpoint;
        });
    if (best == nullptr || (round_robin && count < fewest)) {
      best = &address;
      fewest = count;
    }
  }
  if (best == nullptr) return false;
  Open(*best);
  return true;
}

void H2Pool::Open(const Address& address) {
  H2ConnectionOwner& owner = *this;
  connections_.push_back({std::make_shared<H2Connection>(
      worker_, alarms_, address.endpoint, connection_options_, owner,
      tls_ != nullptr ? tls_->NewClient(address.endpoint) : nullptr)});
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
    if (entry.connection->stream_count() == 0) {
      idle.push_back(std::move(entry.connection));
    } else {
      if (entry.connection->connected()) entry.connection->Drain();
      kept.push_back(std::move(entry));
    }
  }
  connections_ = std::move(kept);
  for (const auto& connection : idle) connection->Close();
  for (Address& address : addresses_) address.backoff.retry_at = {};
  Wake();
}

void H2Pool::FailWaiting(const absl::Status& status) {
  while (!waiting_.empty()) {
    waiting_.front()->FailToConnect(WithDetailForLog(
        absl::UnavailableError("the upstream cannot be reached"),
        status.message()));
  }
}

void H2Pool::OnConnected(H2Connection& connection) {
  if (Address* address = AddressOf(connection.endpoint())) {
    address->backoff = {};
    address->lost = false;
  }
  Wake();
}

void H2Pool::OnDraining(H2Connection& /*connection*/) {
  LookUp();
  Wake();
}

// A server that lets connect and takes no call is as good as none.
void H2Pool::OnLost(H2Connection& connection, bool served, absl::Status why) {
  std::erase_if(connections_, [&](const Entry& entry) {
    return entry.connection.get() == &connection;
  });
  Address* const address = AddressOf(connection.endpoint());
  if (address != nullptr) address->lost = true;
  if (!served) {
    last_error_ = absl::UnavailableError(absl::StrCat(
        FormatEndpoint(connection.endpoint()), ": ", why.message()));
    if (address != nullptr) Fail(address->backoff);
  }
  LookUp();
  Wake();
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
        if (self != nullptr) self->OnResolved(error, results);
      });
}

void H2Pool::OnResolved(boost::system::error_code error,
                        const Resolver::results_type& results) {
  resolving_ = false;
  if (error) {
    last_error_ = absl::UnavailableError(
        absl::StrCat(target_.host, ": ", error.message()));
    Fail(lookup_backoff_);
  } else {
    lookup_backoff_ = {};
    std::vector<H2Endpoint> endpoints;
    for (const auto& result : results) endpoints.push_back(result.endpoint());
    SetAddresses(std::move(endpoints));
  }
  RunTurn();
}

// What is known of addresses that stay is kept.
void H2Pool::SetAddresses(std::vector<H2Endpoint> endpoints) {
  std::vector<Address> addresses;
  for (const H2Endpoint& endpoint : endpoints) {
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

void H2Pool::Fail(Backoff& backoff) {
  const double growth = std::pow(kBackoffGrowth, std::min(backoff.failures, 8));
  const double delay =
      std::min(static_cast<double>(kFirstBackoff.count()) * growth,
               static_cast<double>(kMaxBackoff.count()));
  std::uniform_real_distribution<double> jitter(1 - kBackoffJitter,
                                                1 + kBackoffJitter);
  ++backoff.failures;
  backoff.retry_at = Clock::now() + std::chrono::milliseconds(
                                        std::lround(delay * jitter(random_)));
}

H2Pool::Address* H2Pool::AddressOf(const H2Endpoint& endpoint) {
  const auto found = std::find_if(
      addresses_.begin(), addresses_.end(),
      [&](const Address& one) { return one.endpoint == endpoint; });
  return found == addresses_.end() ? nullptr : &*found;
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
