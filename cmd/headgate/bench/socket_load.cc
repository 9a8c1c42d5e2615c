#include "cmd/headgate/bench/socket_load.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

constexpr int kEventsAtOnce = 256;
constexpr std::int64_t kMinSleepNs = 20'000;
// How often it is looked for what takes too long.
constexpr std::int64_t kLookNs = 250'000'000;
const std::int64_t kStallNs = absl::ToInt64Nanoseconds(kStallTimeout);
constexpr char kTooManyAnswers[] = "more answers than messages";
// How long the other side has to hang up after our Close frame.
constexpr std::int64_t kCloseTimeoutNs = 2'000'000'000;

}  // namespace

std::string SocketErrorText(int error) {
  return std::generic_category().message(error);
}

absl::Status LoadSocket::Connect(const std::vector<Endpoint>& endpoints,
                                 std::size_t first, std::size_t number) {
  Close();
  for (endpoint_ = first;; ++endpoint_) {
    const auto fd = StartConnecting(endpoints[endpoint_], number);
    if (fd.ok()) {
      fd_ = *fd;
      return absl::OkStatus();
    }
    if (endpoint_ + 1 == endpoints.size()) return fd.status();
  }
}

absl::Status LoadSocket::OnConnected(const std::vector<Endpoint>& endpoints,
                                     bool* has_another) const {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
  *has_another = endpoint_ + 1 < endpoints.size();
  return error == 0 ? absl::OkStatus()
                    : absl::UnavailableError(SocketErrorText(error));
}

void LoadSocket::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

SocketLoad::SocketLoad(const LoadOptions& load, Share share,
                       const StopFlag& stop, std::size_t message_bytes)
    : load_(load), share_(share), stop_(stop), ledger_(load, share, counts_) {
  ledger_.set_message_bytes(message_bytes);
}

SocketLoad::~SocketLoad() {
  if (timer_ >= 0) close(timer_);
  if (epoll_ >= 0) close(epoll_);
}

absl::Status SocketLoad::Init() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  // Each time the timer fires is an edge, so it need not be read.
  if (epoll_ < 0 || timer_ < 0 || !Watch(timer_, EPOLLIN, nullptr) ||
      !Watch(stop_.fd(), EPOLLIN, nullptr)) {
    return absl::InternalError(
        absl::StrCat("cannot wait for events: ", SocketErrorText(errno)));
  }
  return absl::OkStatus();
}

void SocketLoad::Open(Role role) {
  const std::size_t first = connections_.size();
  if (role == Role::kActive) first_active_ = first;
  const std::size_t count =
      share_.Of(role == Role::kActive ? load_.connections : load_.idle);
  const std::int64_t begin = NowNs();
  std::size_t started = 0;
  while ((started < count || opening_ > 0) && !stop_.raised()) {
    std::int64_t now = NowNs();
    std::int64_t next = now + kLookNs;
    for (; started < count; ++started) {
      const std::size_t number = share_.index + started * share_.threads;
      const std::int64_t at = OpeningTime(begin, number);
      if (at > now) next = std::min(next, at);
      if (at > now || opening_ >= MaxOpening()) break;
      Begin(role, number);
    }
    if (opening_ == 0 && started == count) break;
    Poll(next);
    now = NowNs();
    if (now >= next_look_ns_) LookForSlowOpening(first, now);
  }
}

void SocketLoad::Begin(Role role, std::size_t number) {
  connections_.push_back(Make(role, number));
  LoadConnection& connection = *connections_.back();
  ++opening_;
  connection.opening_until_ns =
      NowNs() + absl::ToInt64Nanoseconds(load_.connect_timeout);
  Start(connection);
}

void SocketLoad::Rest(std::int64_t until_ns) {
  while (!stop_.raised() && NowNs() < until_ns) Poll(until_ns);
}

void SocketLoad::Run(const LoadPlan& plan) {
  ledger_.Begin(plan);
  ForActive([&](LoadConnection& connection) {
    ledger_.Enter(connection.account);
    if (ledger_.is_open_loop()) return;
    Send(connection, ledger_.OnStart(connection.account, NowNs()));
  });
  while (!stop_.raised() && (live_ > 0 || HasOnlyIdle(plan))) {
    const std::int64_t now = NowNs();
    std::int64_t wake = std::min(NextLook(now), plan.end_ns);
    if (now >= plan.end_ns) {
      ledger_.StopSending();
      wake = plan.end_ns + absl::ToInt64Nanoseconds(plan.drain);
      if (ledger_.outstanding() == 0 || now >= wake) break;
    } else if (ledger_.is_open_loop()) {
      SendWhatIsDue(now);
      wake = std::min(wake, ledger_.NextDueNs());
    }
    if (ledger_.IsFinished()) break;
    if (plan.messages.has_value() && Stalls(now)) break;
    Poll(std::max(wake, now + kMinSleepNs));
  }
  ledger_.StopSending();
  ForActive(
      [&](LoadConnection& connection) { ledger_.End(connection.account); });
}

void SocketLoad::Close() {
  for (const auto& connection : connections_) {
    if (connection->state != State::kOpen) {
      Hangup(*connection);
      continue;
    }
    if (connection->role == Role::kActive) --live_;
    connection->state = State::kClosing;
    ++closing_;
    if (!BeginClose(*connection)) Hangup(*connection);
  }
  const std::int64_t until = NowNs() + kCloseTimeoutNs;
  while (closing_ > 0 && !stop_.raised() && NowNs() < until) Poll(until);
  for (const auto& connection : connections_) Hangup(*connection);
}

template <class Do>
void SocketLoad::ForActive(Do&& act) {
  for (const auto& connection : connections_) {
    if (connection->role == Role::kActive &&
        connection->state == State::kOpen) {
      act(*connection);
    }
  }
}

// Whether there are connections to look after, but none with load.
bool SocketLoad::HasOnlyIdle(const LoadPlan& plan) const {
  return !plan.messages.has_value() && share_.Of(load_.connections) == 0 &&
         open(Role::kIdle) > 0;
}

// When to look for what takes too long; the same time until it has come, so
// that the timer need not be set each time.
std::int64_t SocketLoad::NextLook(std::int64_t now) {
  if (now >= next_look_ns_) next_look_ns_ = now + kLookNs;
  return next_look_ns_;
}

bool SocketLoad::Watch(int fd, std::uint32_t events, void* watched) {
  epoll_event event = {};
  event.events = events | EPOLLET;
  event.data.ptr = watched;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

// Waits until something happens, at the longest until `until`, and does what
// there is to do.
void SocketLoad::Poll(std::int64_t until) {
  if (until != timer_at_ns_) {
    timer_at_ns_ = until;
    itimerspec at = {};
    at.it_value.tv_sec = until / 1'000'000'000;
    at.it_value.tv_nsec = until % 1'000'000'000;
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &at, nullptr);
  }
  std::array<epoll_event, kEventsAtOnce> events;
  const int count = epoll_wait(epoll_, events.data(), kEventsAtOnce, -1);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.ptr == nullptr) {
      timer_at_ns_ = 0;  // What has fired must be set again.
      continue;
    }
    OnEvent(events[i].data.ptr, events[i].events);
  }
}

// ---- Opening

std::int64_t SocketLoad::OpeningTime(std::int64_t begin,
                                     std::size_t number) const {
  if (!load_.ramp.has_value()) return begin;
  return begin + static_cast<std::int64_t>(static_cast<double>(number) *
                                           (1e9 / *load_.ramp));
}

std::size_t SocketLoad::MaxOpening() const {
  if (load_.ramp.has_value()) return load_.connections + load_.idle;
  return std::max(std::size_t{1}, share_.Of(kMaxOpening));
}

std::size_t SocketLoad::SocketNumber(const LoadConnection& connection) const {
  const std::size_t before = connection.role == Role::kActive ? load_.idle : 0;
  return before + connection.account.number;
}

void SocketLoad::OnUpgraded(LoadConnection& connection) {
  if (connection.role == Role::kActive) return OnOpen(connection);
  connection.state = State::kFirstAnswer;
  Send(connection, 1);
}

void SocketLoad::OnOpen(LoadConnection& connection) {
  connection.state = State::kOpen;
  --opening_;
  ++open_[static_cast<std::size_t>(connection.role)];
  if (connection.role == Role::kActive) ++live_;
}

void SocketLoad::LookForSlowOpening(std::size_t first, std::int64_t now) {
  next_look_ns_ = now + kLookNs;
  for (std::size_t i = first; i < connections_.size(); ++i) {
    LoadConnection& connection = *connections_[i];
    if (!connection.is_opening() || now < connection.opening_until_ns) continue;
    const std::string limit = absl::FormatDuration(load_.connect_timeout);
    Fail(connection,
         Unreachable{connection.state == State::kFirstAnswer
                         ? absl::StrCat("no answer within ", limit)
                         : absl::StrCat("not open within ", limit)});
  }
}

// ---- Ending

void SocketLoad::Fail(LoadConnection& connection, const DialEnding& ending) {
  if (connection.state == State::kGone) return;
  if (connection.state == State::kClosing) return Hangup(connection);
  counts_.errors.Add(Describe(ending));
  if (connection.is_opening()) ++counts_.connect_failures;
  Hangup(connection);
}

void SocketLoad::Hangup(LoadConnection& connection) {
  if (connection.state == State::kGone) return;
  const bool active = connection.role == Role::kActive;
  if (connection.is_opening()) --opening_;
  if (connection.state == State::kOpen && active) --live_;
  if (connection.state == State::kClosing) --closing_;
  if (active) ledger_.Leave(connection.account);
  connection.state = State::kGone;
  Release(connection);
}

// ---- Messages

std::size_t SocketLoad::TakeAnswers(LoadConnection& connection,
                                    std::size_t answers, std::int64_t now) {
  if (connection.role == Role::kIdle) {
    if (connection.state != State::kFirstAnswer || answers > 1) {
      Fail(connection, Lost{kTooManyAnswers});
    } else {
      OnOpen(connection);
    }
    return 0;
  }
  const auto next = ledger_.OnAnswers(connection.account, answers, now);
  if (!next.has_value()) {
    Fail(connection, Lost{kTooManyAnswers});
    return 0;
  }
  answers_.store(answers_.load(std::memory_order_relaxed) + answers,
                 std::memory_order_relaxed);
  return *next;
}

void SocketLoad::SendWhatIsDue(std::int64_t now) {
  while (const auto due = ledger_.TakeDue(now)) {
    LoadConnection& connection =
        *connections_[first_active_ +
                      (due->connection - share_.index) / share_.threads];
    if (connection.state != State::kOpen) continue;
    const std::size_t messages = ledger_.OnDue(connection.account, due->at_ns);
    if (messages > 0) Send(connection, messages);
  }
}

// Whether no answer has come for too long; the connections that wait for one
// have failed then.
bool SocketLoad::Stalls(std::int64_t now) {
  if (ledger_.outstanding() == 0 ||
      now - ledger_.waiting_since_ns() < kStallNs) {
    return false;
  }
  ForActive([&](LoadConnection& connection) {
    if (connection.account.outstanding.size() == 0) return;
    Fail(connection, Lost{absl::StrCat("no answer for ",
                                       absl::FormatDuration(kStallTimeout))});
  });
  return true;
}

}  // namespace headgate
