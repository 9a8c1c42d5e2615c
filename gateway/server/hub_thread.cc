#include "gateway/server/hub_thread.h"

#include <pthread.h>

#include <chrono>
#include <optional>
#include <utility>
#include <variant>

#include <boost/asio/post.hpp>

#include "absl/algorithm/container.h"
#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/upstream/pooled_upstream.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {
namespace {

constexpr auto kHubTick = std::chrono::milliseconds(50);
// The gateway waits for backends to take the last events, and looks so often.
constexpr absl::Duration kFinishPatience = absl::Milliseconds(500);
constexpr auto kFinishTick = std::chrono::milliseconds(5);
// A hub that has lost its route takes what workers that have not heard of that
// still send.
constexpr absl::Duration kRetirement = absl::Seconds(10);
// Of requests of the API that wait, and what each counts besides its bytes.
constexpr std::size_t kMostRequestBytes = 4 * 1024 * 1024;
constexpr std::size_t kRequestCost = 512;
// Of other gateways' records that wait.
constexpr std::size_t kMostEngineBytes = 8 * 1024 * 1024;
// A worker carries commands out for so long at a time.
constexpr absl::Duration kCommandSlice = absl::Milliseconds(2);
// They run for so long at a time; streams use the thread too.
constexpr absl::Duration kRequestSlice = absl::Milliseconds(2);

std::string RandomName() {
  absl::BitGen random;
  return absl::StrFormat("%016x", absl::Uniform<std::uint64_t>(random));
}

absl::string_view StateName(Hub::StreamState state) {
  switch (state) {
    case Hub::StreamState::kNone:
      return "none";
    case Hub::StreamState::kGreeting:
      return "opening";
    case Hub::StreamState::kReplaying:
      return "replaying";
    case Hub::StreamState::kLive:
      return "live";
    case Hub::StreamState::kLost:
      return "lost";
  }
  return "";
}

std::string FormKey(const HubForm& form) {
  const PacketOptions& packet = form.packet;
  const JsonOptions& json = form.json;
  std::string key = absl::StrCat(
      static_cast<int>(packet.order), ",", static_cast<int>(packet.endian), ",",
      static_cast<int>(packet.length_counts), ",", packet.max_packet_bytes, ",",
      packet.max_depth, ",", static_cast<int>(json.field_names), ",",
      static_cast<int>(json.unpopulated), ",", static_cast<int>(json.enums),
      ",", static_cast<int>(json.unknown_fields), ",", json.max_depth, ",",
      form.max_message_bytes);
  for (const std::uint32_t type : packet.container_types) {
    absl::StrAppend(&key, ",", type);
  }
  return key;
}

GroupPatterns PatternsOf(const std::vector<HubGroupSettings>& groups) {
  std::vector<GroupPatterns::Pattern> patterns;
  for (const HubGroupSettings& group : groups) {
    patterns.push_back({group.pattern, group.slow});
  }
  return GroupPatterns(std::move(patterns));
}

}  // namespace

bool HubSpec::IsSameHub(const HubSpec& other) const {
  return route == other.route && target == other.target &&
         FormKey(form) == FormKey(other.form) && upstream == other.upstream &&
         max_answer_bytes == other.max_answer_bytes &&
         read_ahead_bytes == other.read_ahead_bytes;
}

// --- A worker's end ---

WorkerHub::WorkerHub(std::uint64_t id, const HubSpec& spec, std::size_t worker,
                     std::size_t workers, HubThread& hubs,
                     boost::asio::io_context& io_context, Turn& turn,
                     std::shared_ptr<PinnedFrames> pinned)
    : id_(id),
      worker_(worker),
      hubs_(hubs),
      io_context_(io_context),
      turn_(turn),
      slices_(turn, [] { return SteadyNow(); }),
      port_(
          spec.target, spec.form, worker, workers,
          [this] { turn_.AtEnd(*this); }, &slices_, std::move(pinned)) {}

std::unique_ptr<HubMember> WorkerHub::Join(HubArrival arrival,
                                           HubMember::Verdict verdict) {
  return HubPort::Join(std::shared_ptr<HubPort>(shared_from_this(), &port_),
                       std::move(arrival), std::move(verdict));
}

void WorkerHub::OnTurn() {
  hubs_.Deliver(id_, shared_from_this(), port_.TakeEvents());
}

void WorkerHub::Post(HubCommands commands) {
  boost::asio::post(io_context_, [self = shared_from_this(),
                                  commands = std::move(commands)]() mutable {
    self->port_.Take(std::move(commands));
    if (!self->is_applying_) self->ApplySlices();
    self->turn_.Run();
  });
}

void WorkerHub::ApplySlices() {
  const absl::Time until = SteadyNow() + kCommandSlice;
  is_applying_ = port_.ApplySlice([until] { return SteadyNow() > until; });
  if (!is_applying_) return;
  boost::asio::post(io_context_, [self = shared_from_this()] {
    self->ApplySlices();
    self->turn_.Run();
  });
}

// --- The hub's end ---

class HubThread::HostedHub final : private HubHost, private TurnTask {
 public:
  HostedHub(std::uint64_t id, HubSpec spec, HubThread& thread)
      : spec_(std::move(spec)),
        thread_(thread),
        workers_(thread.workers_),
        upstream_(MakePooledUpstream(
            UpstreamOptions{spec_.upstream, spec_.max_answer_bytes,
                            spec_.read_ahead_bytes},
            thread.io_context_, thread.turn_)),
        hub_(
            Hub::Options{spec_.target, spec_.form, spec_.route, thread.name_,
                         absl::StrCat(thread.instance_, "-", id),
                         thread.workers_, thread.patterns_, thread.resume_ttl_},
            *upstream_, Host()) {
    if (spec_.target.message.empty()) return;
    schemas_ = MakeSchemaSource(
        *upstream_, spec_.shared->schemas(),
        [&io_context = thread.io_context_](std::function<void()> task) {
          boost::asio::post(io_context, std::move(task));
        },
        [](const absl::Status&, const Schema*,
           const std::vector<std::string>&) {});
    FindSchema();
  }

  void OnEvents(std::shared_ptr<WorkerHub> worker, HubEvents events) {
    const std::size_t index = worker->worker();
    workers_[index] = std::move(worker);
    hub_.OnEvents(index, std::move(events));
  }

  void OnTick(absl::Time now) {
    upstream_->OnTick(now);
    hub_.OnTick();
    if (schemas_ != nullptr) FindSchema();
  }

  Hub& hub() { return hub_; }

  void Retire() {
    if (!retired_at_) retired_at_ = SteadyNow();
  }
  bool is_retired() const { return retired_at_.has_value(); }
  void Finish() { hub_.Finish(); }
  bool is_finished() const { return hub_.is_finished(); }
  const std::string& route() const { return spec_.route; }
  Stats::PerHub GetStats() const {
    Stats::PerHub stats;
    stats.sessions = hub_.sessions();
    stats.groups = hub_.roster().groups();
    stats.is_up = hub_.stream_state() == Hub::StreamState::kLive;
    for (std::size_t i = 0; i < hub_.streams(); ++i) {
      ++stats.streams[StateName(hub_.stream(i).state())];
    }
    stats.queued_bytes = hub_.queued_bytes();
    stats.counts = hub_.counts();
    return stats;
  }
  HubInfo GetInfo() const {
    HubInfo info;
    info.route = spec_.route;
    info.upstream = spec_.upstream.name;
    info.method = spec_.target.method;
    info.stream = std::string(StateName(hub_.stream_state()));
    info.incarnation = hub_.stream(0).incarnation();
    for (std::size_t i = 0; hub_.streams() > 1 && i < hub_.streams(); ++i) {
      const HubStream& stream = hub_.stream(i);
      info.streams.push_back({std::string(StateName(stream.state())),
                              stream.incarnation(), hub_.sessions(stream),
                              stream.queued_bytes()});
    }
    info.sessions = hub_.sessions();
    info.groups = hub_.roster().groups();
    info.queued_bytes = hub_.queued_bytes();
    return info;
  }
  bool is_over(absl::Time now) const {
    return retired_at_ && now - *retired_at_ > kRetirement && hub_.is_idle();
  }

 private:
  HubHost& Host() { return *this; }

  absl::Time now() override { return SteadyNow(); }
  Moment clock() override { return Now(); }
  void FlushSoon() override { thread_.turn_.AtEnd(*this); }
  void GoOnNext() override { thread_.turn_.Next(more_); }
  void OnTurn() override { hub_.Flush(); }
  void HandOver(std::size_t worker, HubCommands commands) override {
    if (workers_[worker] != nullptr)
      workers_[worker]->Post(std::move(commands));
  }
  const Schema* schema() override { return schema_.get(); }
  HubEngine* engine() override {
    return thread_.nats_ == nullptr ? nullptr : &thread_.nats_->engine();
  }
  const ResumeKeys* resume_keys() override {
    return thread_.resume_keys_ ? thread_.resume_keys_->keys() : nullptr;
  }
  void EndResumed(const std::string& session) override {
    thread_.service_.EndResumed(session);
  }
  Presence* presence() override { return &thread_.presence_; }

  // Asks for the descriptors as they are now; they are cached.
  void FindSchema() {
    if (ticket_ != nullptr) return;
    SchemaSource::SnapshotOr found = schemas_->Get(
        SteadyNow(), [this](const absl::StatusOr<SchemaSnapshot>& snapshot) {
          OnSchema(snapshot);
          thread_.turn_.Bury(std::move(ticket_));
        });
    if (const auto* snapshot =
            std::get_if<absl::StatusOr<SchemaSnapshot>>(&found)) {
      return OnSchema(*snapshot);
    }
    ticket_ = std::get<std::unique_ptr<SchemaSource::Ticket>>(std::move(found));
  }

  void OnSchema(const absl::StatusOr<SchemaSnapshot>& snapshot) {
    if (snapshot.ok()) schema_ = snapshot->schema;
  }

  void OnStreamUp(std::size_t stream, bool resumes,
                  std::size_t sessions) override {
    Log(LogLevel::kInfo, resumes ? "hub stream resumed" : "hub stream opened",
        {{"route", spec_.route},
         {"upstream", spec_.upstream.name},
         {"stream", absl::StrCat(stream)},
         {"sessions", absl::StrCat(sessions)}});
  }
  void OnStreamDown(std::size_t stream, const absl::Status& status,
                    std::size_t sessions) override {
    LogRepeated(LogLevel::kWarning, "hub stream lost",
                {{"route", spec_.route},
                 {"upstream", spec_.upstream.name},
                 {"stream", absl::StrCat(stream)},
                 {"sessions", absl::StrCat(sessions)},
                 {"reason", MessageForLog(status)}});
  }
  void OnAbandoned(std::size_t stream, const absl::Status& status,
                   std::size_t sessions) override {
    Log(LogLevel::kWarning, "hub sessions are closed, the backend is lost",
        {{"route", spec_.route},
         {"upstream", spec_.upstream.name},
         {"stream", absl::StrCat(stream)},
         {"sessions", absl::StrCat(sessions)},
         {"reason", MessageForLog(status)}});
  }

  // The hub's GoOn.
  struct More final : TurnTask {
    explicit More(Hub& to) : hub(to) {}
    void OnTurn() override { hub.GoOn(); }
    Hub& hub;
  };

  const HubSpec spec_;
  HubThread& thread_;
  std::vector<std::shared_ptr<WorkerHub>> workers_;  // Null: not heard of.
  std::unique_ptr<PooledUpstream> upstream_;
  std::unique_ptr<SchemaSource> schemas_;
  std::unique_ptr<SchemaSource::Ticket> ticket_;
  std::shared_ptr<const Schema> schema_;
  Hub hub_;
  More more_{hub_};
  std::optional<absl::Time> retired_at_;
};

HubThread::HubThread(std::size_t workers, const HubSettings& settings)
    : workers_(workers),
      instance_(RandomName()),
      name_(settings.gateway.empty() ? instance_ : settings.gateway),
      patterns_(PatternsOf(settings.groups)),
      work_(io_context_.get_executor()),
      timer_(io_context_),
      nats_(settings.nats == std::nullopt
                ? nullptr
                : std::make_unique<NatsEngine>(
                      settings, name_, instance_,
                      [this](std::function<void()> task) {
                        Post(std::move(task));
                      },
                      [this](std::size_t bytes,
                             std::function<void(ClusterRequests&)> work) {
                        return RunForEngine(bytes, std::move(work));
                      },
                      presence_)),
      service_(HubRequests([this] {
                 std::vector<Hub*> hubs;
                 for (const auto& [id, hub] : hubs_)
                   hubs.push_back(&hub->hub());
                 return hubs;
               }),
               Engine(), presence_) {
  if (nats_ != nullptr) engine_stats_ = nats_->GetStats();
  if (!settings.resume) return;
  resume_keys_.emplace(settings.resume->key_files);
  resume_ttl_ = settings.resume->ttl;
}

HubEngine& HubThread::Engine() {
  if (nats_ != nullptr) return nats_->engine();
  return alone_;
}

std::size_t HubThread::MembersOf(const std::string& group) {
  std::size_t members = 0;
  for (const auto& [id, hub] : hubs_) {
    members += hub->hub().roster().MembersOf(group);
  }
  return members;
}

HubThread::~HubThread() { Stop(); }

void HubThread::Post(std::function<void()> task) {
  boost::asio::post(io_context_, [this, task = std::move(task)] {
    if (!stopping_) task();
    turn_.Run();
  });
}

void HubThread::Start() {
  if (thread_.joinable()) return;
  boost::asio::post(io_context_, [this] { StartTicking(); });
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "hub");
    io_context_.run();
  });
}

void HubThread::Add(std::uint64_t id, HubSpec spec) {
  Start();
  {
    // Metrics show the hub from now on.
    const std::lock_guard<std::mutex> lock(counts_mutex_);
    stats_.try_emplace(spec.route);
  }
  Post([this, id, spec = std::move(spec)] {
    hubs_.emplace(id, std::make_unique<HostedHub>(id, spec, *this));
    PublishStats();
  });
}

void HubThread::Retire(std::uint64_t id) {
  Post([this, id] {
    const auto found = hubs_.find(id);
    if (found != hubs_.end()) found->second->Retire();
  });
}

void HubThread::Drain(absl::Time deadline) {
  Post([this, deadline] {
    for (const auto& [id, hub] : hubs_) hub->hub().Drain(deadline);
  });
}

void HubThread::Deliver(std::uint64_t id, std::shared_ptr<WorkerHub> worker,
                        HubEvents events) {
  boost::asio::post(io_context_, [this, id, worker = std::move(worker),
                                  events = std::move(events)]() mutable {
    const auto found = hubs_.find(id);
    if (found != hubs_.end()) {
      found->second->OnEvents(std::move(worker), std::move(events));
    }
    RunRequestsSoon();
    turn_.Run();
  });
}

// --- Requests of the API ---

void HubThread::RunOnHubs(std::size_t bytes, Work work) {
  bytes += kRequestCost;
  if (request_bytes_.fetch_add(bytes) > kMostRequestBytes) {
    request_bytes_.fetch_sub(bytes);
    return work(absl::ResourceExhaustedError(
        "too many requests wait for the gateway's hubs"));
  }
  Post([this, bytes, work = std::move(work)] {
    requests_.Push(kApiLane,
                   {bytes, &request_bytes_,
                    [work](ClusterRequests& requests) { work(&requests); }});
    RunRequestsSoon();
  });
}

bool HubThread::RunForEngine(std::size_t bytes,
                             std::function<void(ClusterRequests&)> work) {
  bytes += kRequestCost;
  if (engine_bytes_ + bytes > kMostEngineBytes) return false;
  engine_bytes_ += bytes;
  requests_.Push(kEngineLane, {bytes, &engine_bytes_, std::move(work)});
  RunRequestsSoon();
  return true;
}

void HubThread::RunRequestsSoon() {
  if (requests_.empty() || std::exchange(is_running_requests_, true)) return;
  Post([this] {
    is_running_requests_ = false;
    RunRequests();
  });
}

void HubThread::RunRequests() {
  if (requests_.empty()) return;
  std::vector<Hub*> hubs;
  for (const auto& [id, hub] : hubs_) hubs.push_back(&hub->hub());
  const auto has_room = [](const Hub* hub) { return hub->has_room(); };
  const absl::Time until = SteadyNow() + kRequestSlice;
  while (!requests_.empty() && absl::c_all_of(hubs, has_room)) {
    if (SteadyNow() > until) return RunRequestsSoon();
    const std::optional<Request> request = requests_.Pop();
    request->waiting->fetch_sub(request->bytes);
    request->work(service_);
  }
}

void HubThread::ServeApi(absl::Span<const absl::string_view> methods) {
  const std::lock_guard<std::mutex> lock(counts_mutex_);
  for (const absl::string_view method : methods) {
    api_counts_[{method, absl::StatusCode::kOk}];
  }
}

void HubThread::OnApiRequest(absl::string_view method,
                             const absl::Status& status) {
  if (absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status)) {
    LogRepeated(LogLevel::kWarning, "hub API request denied",
                {{"method", std::string(method)},
                 {"status", absl::StatusCodeToString(status.code())},
                 {"reason", MessageForLog(status)}});
  }
  const std::lock_guard<std::mutex> lock(counts_mutex_);
  ++api_counts_[{method, status.code()}];
}

HubThread::ApiCounts HubThread::api_counts() const {
  const std::lock_guard<std::mutex> lock(counts_mutex_);
  return api_counts_;
}

void HubThread::Stop() {
  if (!thread_.joinable()) return;
  boost::asio::post(io_context_, [this] {
    stopping_ = true;
    for (const auto& [id, hub] : hubs_) hub->Finish();
    turn_.Run();
    Finish(SteadyNow() + kFinishPatience);
  });
  thread_.join();
}

void HubThread::Finish(absl::Time deadline) {
  const bool is_finished = absl::c_all_of(
      hubs_, [](const auto& hub) { return hub.second->is_finished(); });
  if (is_finished || SteadyNow() >= deadline) return End();
  timer_.expires_after(kFinishTick);
  timer_.async_wait([this, deadline](boost::system::error_code) {
    Finish(deadline);
    turn_.Run();
  });
}

void HubThread::End() {
  timer_.cancel();
  hubs_.clear();  // Cancels their streams.
  requests_.Clear();
  nats_.reset();  // Tells the other gateways.
  work_.reset();  // run() returns when every call has been released.
  turn_.Run();
}

std::optional<Stats::PerEngine> HubThread::GetEngineStats() const {
  const std::lock_guard<std::mutex> lock(counts_mutex_);
  return engine_stats_;
}

absl::btree_map<std::string, Stats::PerHub> HubThread::GetStats() const {
  const std::lock_guard<std::mutex> lock(counts_mutex_);
  return stats_;
}

void HubThread::List(std::function<void(std::vector<HubInfo>)> done) {
  Post([this, done = std::move(done)] {
    std::vector<HubInfo> hubs;
    for (const auto& [id, hub] : hubs_) {
      if (!hub->is_retired()) hubs.push_back(hub->GetInfo());
    }
    absl::c_sort(hubs, [](const HubInfo& a, const HubInfo& b) {
      return a.route < b.route;
    });
    done(std::move(hubs));
  });
}

void HubThread::ListGroups(HubGroupPage page,
                           std::function<void(HubGroupList)> done) {
  Post([this, page = std::move(page), done = std::move(done)] {
    HubGroupList list;
    for (const auto& [id, hub] : hubs_) {
      if (hub->is_retired() || hub->route() != page.route) continue;
      list.found = true;
      list.groups = hub->hub().roster().ListGroups(page.after, page.limit);
    }
    done(std::move(list));
  });
}

void HubThread::StartTicking() {
  timer_.expires_after(kHubTick);
  timer_.async_wait([this](boost::system::error_code error) {
    if (error || stopping_) return;
    OnTick();
    StartTicking();
    turn_.Run();
  });
}

void HubThread::PublishStats() {
  absl::btree_map<std::string, Stats::PerHub> stats;
  for (const auto& [id, hub] : hubs_) {
    Stats::PerHub& all = stats[hub->route()];
    const bool is_up = all.is_up;
    all.Add(hub->GetStats());
    // Of the hub that takes new sessions.
    if (hub->is_retired()) all.is_up = is_up;
  }
  for (auto ended = ended_.begin(); ended != ended_.end();) {
    const auto route = stats.find(ended->first);
    if (route == stats.end()) {
      ended = ended_.erase(ended);
    } else {
      route->second.Add((ended++)->second);
    }
  }
  const std::lock_guard<std::mutex> lock(counts_mutex_);
  stats_ = std::move(stats);
  if (nats_ != nullptr) engine_stats_ = nats_->GetStats();
}

void HubThread::OnTick() {
  const absl::Time now = SteadyNow();
  if (nats_ != nullptr) nats_->OnTick(now);
  PublishStats();
  presence_.OnTick();
  if (resume_keys_) resume_keys_->OnTick(now);
  for (auto hub = hubs_.begin(); hub != hubs_.end();) {
    hub->second->OnTick(now);
    if (hub->second->is_over(now)) {
      ended_[hub->second->route()].Add(hub->second->GetStats());
      hubs_.erase(hub++);
    } else {
      ++hub;
    }
  }
}

}  // namespace headgate
