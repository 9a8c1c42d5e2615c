#include "gateway/nats/nats_link.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/clock.h"
#include "gateway/hub/stream_ack.h"

namespace headgate {
namespace {

// What an order counts besides its bytes.
constexpr std::size_t kOrderCost = 256;
// NATS is lost when it has not answered two pings.
constexpr int kPingIntervalMs = 2000;
constexpr int kMaxPingsOut = 2;
// For the last records, when the gateway stops.
constexpr int kFarewellMs = 200;

absl::Status StatusOf(natsStatus status) {
  if (status == NATS_OK) return absl::OkStatus();
  const std::string reason = natsStatus_GetText(status);
  if (status == NATS_MAX_PAYLOAD) {
    return absl::InvalidArgumentError(
        "the message is larger than NATS takes (max_payload)");
  }
  return absl::UnavailableError(absl::StrCat("NATS: ", reason));
}

// With what libnats has noted about the last failure of this thread.
absl::Status LastFailure(natsStatus status) {
  natsStatus last = NATS_OK;
  const char* const text = nats_GetLastError(&last);
  const absl::Status plain = StatusOf(status);
  if (text == nullptr || *text == '\0') return plain;
  return absl::UnavailableError(absl::StrCat(plain.message(), ": ", text));
}

}  // namespace

// What libnats calls back with. It may do so after the connection is destroyed,
// so inboxes stay until the process ends: one for each link.
struct NatsLink::Inbox {
  // Reachable, for leak checkers.
  static Inbox& Make() {
    static std::mutex mutex;
    static auto* const all = new std::vector<std::unique_ptr<Inbox>>;
    const std::lock_guard<std::mutex> lock(mutex);
    all->push_back(std::make_unique<Inbox>());
    return *all->back();
  }

  std::mutex mutex;
  NatsLink* link = nullptr;  // Under mutex; null: it is gone.
};

std::size_t NatsLink::Order::bytes() const {
  return kOrderCost + subject.size() + reply_to.size() + record.size();
}

NatsLink::NatsLink(NatsSettings settings, std::string name,
                   std::string instance, std::optional<StreamSettings> stream,
                   NatsObserver& observer, Post post)
    : settings_(std::move(settings)),
      stream_(std::move(stream)),
      inbox_subject_(absl::StrCat(settings_.prefix, ".inbox.",
                                  HubSubjects::Escape(instance))),
      name_(std::move(name)),
      observer_(observer),
      post_(std::move(post)),
      inbox_(Inbox::Make()),
      // Gateways begin with different ones.
      next_server_(std::hash<std::string>()(name_)) {
  inbox_.link = this;
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "nats");
    Run();
    nats_ReleaseThreadMemory();
  });
}

NatsLink::~NatsLink() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wakes_.notify_all();
  thread_.join();
  const std::lock_guard<std::mutex> lock(inbox_.mutex);
  inbox_.link = nullptr;
}

// --- The hub thread's side ---

absl::Status NatsLink::Publish(std::string subject, std::string reply_to,
                               std::string record,
                               HubEngine::PublishedCallback done) {
  if (!up_) return absl::UnavailableError("NATS is away");
  if (record.size() > max_payload_) return StatusOf(NATS_MAX_PAYLOAD);
  Order order{Order::Kind::kPublish, std::move(subject), std::move(reply_to),
              std::move(record),     std::move(done),    SteadyNow()};
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (queued_bytes_ + order.bytes() > kMostQueuedBytes) {
      return absl::ResourceExhaustedError("NATS does not keep up");
    }
    queued_bytes_ += order.bytes();
    orders_.push_back(std::move(order));
  }
  wakes_.notify_all();
  return absl::OkStatus();
}

// Not limited: there are as many as groups and users.
void NatsLink::Give(Order order) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    queued_bytes_ += order.bytes();
    orders_.push_back(std::move(order));
  }
  wakes_.notify_all();
}

void NatsLink::Subscribe(std::string subject) {
  Give({Order::Kind::kSubscribe, std::move(subject)});
}

void NatsLink::Unsubscribe(std::string subject) {
  Give({Order::Kind::kUnsubscribe, std::move(subject)});
}

void NatsLink::SubscribeStored(std::string subject) {
  Give({Order::Kind::kSubscribeStored, std::move(subject)});
}

void NatsLink::Renew() { Give({Order::Kind::kRenew, ""}); }

void NatsLink::Store(std::string subject, std::string record,
                     HubEngine::StoreOptions options,
                     HubEngine::StoredCallback done) {
  if (record.size() > max_payload_) {
    return done(StatusOf(NATS_MAX_PAYLOAD));
  }
  const absl::Time given_at = SteadyNow();
  Ask(std::move(subject), std::move(record), std::move(options),
      [this, given_at,
       done = std::move(done)](const absl::StatusOr<StreamReply>& reply) {
        observer_.OnPublished(SteadyNow() - given_at);
        if (!reply.ok()) return done(reply.status());
        done(ParseStreamAck(reply->data));
      });
}

void NatsLink::Fetch(std::string subject, std::uint64_t from,
                     Histories::Host::FetchedCallback done) {
  Ask(stream_->FetchSubject(), StreamSettings::FetchBody(subject, from), {},
      [done = std::move(done)](const absl::StatusOr<StreamReply>& reply) {
        if (!reply.ok()) return done(reply.status());
        done(RecordFrom(*reply));
      });
}

void NatsLink::Ask(
    std::string subject, std::string body, HubEngine::StoreOptions options,
    std::function<void(const absl::StatusOr<StreamReply>&)> done) {
  if (!up_) return done(absl::UnavailableError("NATS is away"));
  const std::uint64_t number = ++last_request_;
  Order order{Order::Kind::kRequest,
              std::move(subject),
              absl::StrCat(inbox_subject_, ".", number),
              std::move(body),
              nullptr,
              SteadyNow(),
              std::move(options)};
  bool is_full = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_full = queued_bytes_ + order.bytes() > kMostQueuedBytes ||
              requests_.size() >= kMostRequests;
    if (!is_full) {
      requests_.emplace(number, Request{order.given_at, std::move(done)});
      queued_bytes_ += order.bytes();
      orders_.push_back(std::move(order));
    }
  }
  if (is_full) {
    return done(absl::ResourceExhaustedError("NATS does not keep up"));
  }
  wakes_.notify_all();
}

template <typename IsOver>
void NatsLink::EndRequests(const absl::Status& status, IsOver is_over) {
  std::vector<Request> ended;
  // In the order of their times.
  while (!requests_.empty() && is_over(requests_.begin()->second)) {
    ended.push_back(std::move(requests_.begin()->second));
    requests_.erase(requests_.begin());
  }
  for (const Request& request : ended) request.done(status);
}

void NatsLink::OnTick(absl::Time now) {
  EndRequests(absl::UnavailableError("NATS has not confirmed it in time"),
              [now](const Request& request) {
                return now - request.given_at > kRequestTimeout;
              });
}

void NatsLink::ReportDown(const absl::Status& status) {
  const auto report = [this, status] {
    EndRequests(absl::UnavailableError(
                    "the connection to NATS was lost before it confirmed"),
                [](const Request&) { return true; });
    observer_.OnDown(status);
  };
  AddToMailbox(0, report);
}

// --- libnats' threads ---

void NatsLink::OnMessage(natsConnection*, natsSubscription*, natsMsg* message,
                         void* inbox) {
  auto& to = *static_cast<Inbox*>(inbox);
  {
    const std::lock_guard<std::mutex> lock(to.mutex);
    if (to.link != nullptr) to.link->Take(message);
  }
  natsMsg_Destroy(message);
}

void NatsLink::Take(natsMsg* message) {
  const bool is_report = natsMsg_IsNoResponders(message);
  std::string text =
      is_report ? std::string(natsMsg_GetSubject(message))
                : std::string(
                      natsMsg_GetData(message),
                      static_cast<std::size_t>(natsMsg_GetDataLength(message)));
  const std::size_t bytes = text.size();
  PostRecord(bytes, [this, is_report, text = std::move(text)] {
    if (is_report) {
      observer_.OnNobodyThere(text);
    } else {
      observer_.OnRecord(text);
    }
  });
}

void NatsLink::Read() {
  const absl::Time until = SteadyNow() + kReadSlice;
  const auto read = [](const std::function<void()>& task) { task(); };
  if (mailbox_.ReadSlice(read, [until] { return SteadyNow() >= until; })) {
    post_([this] { Read(); });
  }
}

void NatsLink::OnDropped() {
  ++dropped_;
  has_lost_ = true;
}

void NatsLink::PostRecord(std::size_t bytes, std::function<void()> task) {
  const bool has_lost = has_lost_.exchange(false);
  const bool is_taken = AddToMailbox(kOrderCost + bytes,
                                     [this, has_lost, task = std::move(task)] {
                                       if (has_lost) observer_.OnLost();
                                       task();
                                     });
  if (!is_taken) OnDropped();
}

bool NatsLink::AddToMailbox(std::size_t bytes, std::function<void()> task) {
  switch (mailbox_.Add(std::move(task), bytes)) {
    case Mailbox<std::function<void()>>::Put::kFirst:
      post_([this] { Read(); });
      return true;
    case Mailbox<std::function<void()>>::Put::kBehindOthers:
      return true;
    case Mailbox<std::function<void()>>::Put::kFull:
      break;
  }
  return false;
}

void NatsLink::OnStoredMessage(natsConnection*, natsSubscription*,
                               natsMsg* message, void* inbox) {
  auto& to = *static_cast<Inbox*>(inbox);
  {
    const std::lock_guard<std::mutex> lock(to.mutex);
    if (to.link != nullptr) to.link->TakeStored(message);
  }
  natsMsg_Destroy(message);
}

void NatsLink::TakeStored(natsMsg* message) {
  StoredRecord record = RestoredFrom(message);
  const std::size_t bytes = record.bytes.size();
  PostRecord(bytes, [this, subject = std::string(natsMsg_GetSubject(message)),
                     record = std::move(record)] {
    observer_.OnStored(subject, record);
  });
}

void NatsLink::OnReply(natsConnection*, natsSubscription*, natsMsg* message,
                       void* inbox) {
  auto& to = *static_cast<Inbox*>(inbox);
  {
    const std::lock_guard<std::mutex> lock(to.mutex);
    if (to.link != nullptr) to.link->TakeReply(message);
  }
  natsMsg_Destroy(message);
}

void NatsLink::TakeReply(natsMsg* message) {
  const absl::string_view subject = natsMsg_GetSubject(message);
  std::uint64_t number = 0;
  if (!absl::SimpleAtoi(subject.substr(subject.rfind('.') + 1), &number)) {
    return;
  }
  // The stream is gone, or JetStream is.
  if (natsMsg_IsNoResponders(message)) Renew();
  absl::StatusOr<StreamReply> reply = ReplyFrom(message);
  const std::size_t bytes = reply.ok() ? reply->data.size() : 0;
  PostRecord(bytes, [this, number, reply = std::move(reply)] {
    const auto found = requests_.find(number);
    if (found == requests_.end()) return;
    const auto done = std::move(found->second.done);
    requests_.erase(found);
    done(reply);
  });
}

// On another thread than messages, but long before what follows those that
// libnats has dropped: 64 K others wait before it.
void NatsLink::OnError(natsConnection*, natsSubscription*, natsStatus error,
                       void* inbox) {
  if (error != NATS_SLOW_CONSUMER) return;
  auto& to = *static_cast<Inbox*>(inbox);
  const std::lock_guard<std::mutex> lock(to.mutex);
  if (to.link != nullptr) to.link->OnDropped();
}

void NatsLink::OnClosed(natsConnection*, void* inbox) {
  auto& to = *static_cast<Inbox*>(inbox);
  const std::lock_guard<std::mutex> lock(to.mutex);
  if (to.link == nullptr) return;
  to.link->up_ = false;
  {
    const std::lock_guard<std::mutex> own(to.link->mutex_);
    to.link->is_closed_ = true;
  }
  to.link->wakes_.notify_all();
}

// --- The link's thread ---

std::deque<NatsLink::Order> NatsLink::TakeOrders(absl::Duration patience,
                                                 bool is_connected) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto is_over = [this, is_connected] {
    return !orders_.empty() || stopping_ || (is_connected && is_closed_);
  };
  if (patience == absl::InfiniteDuration()) {
    wakes_.wait(lock, is_over);
  } else {
    wakes_.wait_for(lock, absl::ToChronoNanoseconds(patience), is_over);
  }
  queued_bytes_ = 0;
  return std::exchange(orders_, {});
}

void NatsLink::Run() {
  absl::Duration pause = kFirstPause;
  const auto is_stopping = [this] {
    const std::lock_guard<std::mutex> lock(mutex_);
    return stopping_;
  };
  while (!is_stopping()) {
    const absl::Status status = Connect();
    if (status.ok()) {
      const absl::Time since = SteadyNow();
      Serve();
      if (SteadyNow() - since >= kProof) pause = kFirstPause;
    } else {
      ReportDown(status);
    }
    Disconnect();
    const absl::Time until = SteadyNow() + pause;
    pause = std::min(2 * pause, kLongestPause);
    while (!is_stopping() && SteadyNow() < until) {
      // Notes what to subscribe to.
      Carry(TakeOrders(until - SteadyNow(), /*is_connected=*/false));
    }
  }
  Carry(TakeOrders(absl::ZeroDuration(), /*is_connected=*/false));
}

absl::Status NatsLink::Connect() {
  natsOptions* made = nullptr;
  natsStatus status = natsOptions_Create(&made);
  const std::unique_ptr<natsOptions, void (*)(natsOptions*)> options(
      made, &natsOptions_Destroy);
  // One at a time: libnats would try all before it returns, and the gateway may
  // have to stop meanwhile.
  const std::string& server =
      settings_.servers[next_server_++ % settings_.servers.size()];
  const bool is_secure =
      settings_.tls.has_value() || absl::StartsWith(server, "tls://");
  const auto set = [&status](natsStatus next) {
    if (status == NATS_OK) status = next;
  };
  if (status == NATS_OK) {
    const int timeout = static_cast<int>(absl::ToInt64Milliseconds(kTimeout));
    set(natsOptions_SetURL(made, server.c_str()));
    set(natsOptions_SetIgnoreDiscoveredServers(made, true));
    set(natsOptions_SetName(made, name_.c_str()));
    set(natsOptions_UseGlobalMessageDelivery(made, true));
    set(natsOptions_SetNoEcho(made, true));
    set(natsOptions_SetAllowReconnect(made, false));
    set(natsOptions_SetTimeout(made, timeout));
    set(natsOptions_SetWriteDeadline(made, timeout));
    set(natsOptions_SetPingInterval(made, kPingIntervalMs));
    set(natsOptions_SetMaxPingsOut(made, kMaxPingsOut));
    set(natsOptions_SetErrorHandler(made, &NatsLink::OnError, &inbox_));
    // Of libnats' own requests, within the prefix.
    set(natsOptions_SetCustomInboxPrefix(
        made, absl::StrCat(inbox_subject_, ".libnats").c_str()));
    set(natsOptions_SetClosedCB(made, &NatsLink::OnClosed, &inbox_));
  }
  if (!settings_.user.empty()) {
    const absl::StatusOr<std::string> password =
        ReadAdminToken(settings_.password_file);
    if (!password.ok()) {
      return absl::UnavailableError(absl::StrCat(settings_.password_file, " ",
                                                 password.status().message()));
    }
    if (!IsNatsCredential(settings_.user) || !IsNatsCredential(*password)) {
      return absl::UnavailableError(
          "hub.nats: user and password must be without \" and \\");
    }
    set(natsOptions_SetUserInfo(made, settings_.user.c_str(),
                                password->c_str()));
  }
  if (is_secure) set(natsOptions_SetSecure(made, true));
  if (settings_.tls && !settings_.tls->ca.empty()) {
    set(natsOptions_LoadCATrustedCertificates(made, settings_.tls->ca.c_str()));
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_closed_ = false;
  }
  if (status == NATS_OK) status = natsConnection_Connect(&connection_, made);
  if (status != NATS_OK) return LastFailure(status);
  is_renewing_ = false;
  if (stream_) {
    absl::StatusOr<HistoryStore> store = PrepareStream(connection_, *stream_);
    if (!store.ok()) return store.status();
    store_ = *std::move(store);
    if (absl::Status made_it = StatusOf(natsConnection_Subscribe(
            &replies_, connection_, absl::StrCat(inbox_subject_, ".*").c_str(),
            &NatsLink::OnReply, &inbox_));
        !made_it.ok()) {
      return made_it;
    }
  }
  for (const auto& [subject, subscription] : subscriptions_) {
    if (absl::Status made_it = SubscribeNow(subject); !made_it.ok()) {
      return made_it;
    }
  }
  status = natsConnection_FlushTimeout(connection_,
                                       absl::ToInt64Milliseconds(kTimeout));
  return status == NATS_OK ? Denial() : StatusOf(status);
}

absl::Status NatsLink::Denial() const {
  const char* text = nullptr;
  if (natsConnection_GetLastError(connection_, &text) != NATS_NOT_PERMITTED) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(
      absl::StrCat("NATS: ", text == nullptr ? "permissions violation" : text));
}

void NatsLink::Serve() {
  char url[256] = "";
  natsConnection_GetConnectedUrl(connection_, url, sizeof(url));
  std::string server = url;
  if (const std::size_t at = server.find('@'); at != std::string::npos) {
    server.erase(0, at + 1);
  }
  max_payload_ = static_cast<std::size_t>(
      std::max<std::int64_t>(0, natsConnection_GetMaxPayload(connection_)));
  up_ = true;
  AddToMailbox(
      0, [this, server, store = store_] { observer_.OnUp(server, store); });
  while (true) {
    // A denial of what nobody waits for is seen with the next orders: the
    // gateways' signs of life are some.
    Carry(TakeOrders(absl::InfiniteDuration(), /*is_connected=*/true));
    absl::Status denial = Denial();
    if (is_renewing_ && !IsStreamTheSame()) {
      denial = absl::UnavailableError(
          "JetStream: the stream of the history is gone, or is another");
    }
    if (!denial.ok()) {
      up_ = false;
      ReportDown(denial);
      return;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_closed_) break;
    if (stopping_ && orders_.empty()) return;
  }
  const char* text = nullptr;
  natsConnection_GetLastError(connection_, &text);
  const absl::Status status = absl::UnavailableError(
      absl::StrCat("NATS: the connection is lost",
                   text == nullptr || *text == '\0' ? "" : ": ",
                   text == nullptr ? "" : text));
  ReportDown(status);
}

bool NatsLink::IsStreamTheSame() {
  is_renewing_ = false;
  const absl::StatusOr<HistoryStore> store =
      PrepareStream(connection_, *stream_);
  return store.ok() && store->epoch == store_.epoch;
}

void NatsLink::Disconnect() {
  up_ = false;
  for (auto& [subject, subscription] : subscriptions_) {
    natsSubscription_Destroy(std::exchange(subscription.its, nullptr));
  }
  natsSubscription_Destroy(std::exchange(replies_, nullptr));
  if (connection_ == nullptr) return;
  natsConnection_FlushTimeout(connection_, kFarewellMs);
  natsConnection_Close(connection_);
  natsConnection_Destroy(std::exchange(connection_, nullptr));
}

absl::Status NatsLink::SubscribeNow(const std::string& subject) {
  Subscription& subscription = subscriptions_[subject];
  return StatusOf(natsConnection_Subscribe(
      &subscription.its, connection_, subject.c_str(),
      subscription.is_stored ? &NatsLink::OnStoredMessage
                             : &NatsLink::OnMessage,
      &inbox_));
}

absl::Status NatsLink::PublishRequest(const Order& order) {
  natsMsg* made = nullptr;
  natsStatus status = natsMsg_Create(
      &made, order.subject.c_str(), order.reply_to.c_str(), order.record.data(),
      static_cast<int>(order.record.size()));
  const std::unique_ptr<natsMsg, void (*)(natsMsg*)> message(made,
                                                             &natsMsg_Destroy);
  const auto set = [&](const char* name, const std::string& value) {
    if (status == NATS_OK) {
      status = natsMsgHeader_Set(made, name, value.c_str());
    }
  };
  if (!order.options.id.empty()) set("Nats-Msg-Id", order.options.id);
  if (order.options.if_last_offset) {
    set("Nats-Expected-Last-Subject-Sequence",
        absl::StrCat(*order.options.if_last_offset));
  }
  if (status == NATS_OK) status = natsConnection_PublishMsg(connection_, made);
  return StatusOf(status);
}

absl::Status NatsLink::Carry(Order& order) {
  switch (order.kind) {
    case Order::Kind::kRenew:
      is_renewing_ = connection_ != nullptr;
      break;
    case Order::Kind::kRequest:
      // Without a connection its end is reported.
      if (connection_ == nullptr) break;
      return PublishRequest(order);
    case Order::Kind::kSubscribe:
    case Order::Kind::kSubscribeStored:
      subscriptions_[order.subject].is_stored =
          order.kind == Order::Kind::kSubscribeStored;
      if (connection_ == nullptr) break;
      return SubscribeNow(order.subject);
    case Order::Kind::kUnsubscribe: {
      const auto found = subscriptions_.find(order.subject);
      if (found == subscriptions_.end()) break;
      natsSubscription_Unsubscribe(found->second.its);
      natsSubscription_Destroy(found->second.its);
      subscriptions_.erase(found);
      break;
    }
    case Order::Kind::kPublish: {
      if (connection_ == nullptr) return absl::UnavailableError("NATS is away");
      const int size = static_cast<int>(order.record.size());
      return StatusOf(
          order.reply_to.empty()
              ? natsConnection_Publish(connection_, order.subject.c_str(),
                                       order.record.data(), size)
              : natsConnection_PublishRequest(
                    connection_, order.subject.c_str(), order.reply_to.c_str(),
                    order.record.data(), size));
    }
  }
  return absl::OkStatus();
}

void NatsLink::Carry(std::deque<Order> orders) {
  struct Wait {
    HubEngine::PublishedCallback done;
    absl::Status status;
    absl::Time given_at;
  };
  std::vector<Wait> waits;
  for (Order& order : orders) {
    absl::Status status = Carry(order);
    if (order.done == nullptr) continue;
    waits.push_back({std::move(order.done), std::move(status), order.given_at});
  }
  if (waits.empty()) return;
  // NATS answers behind what it has taken; one answer for all that waited.
  absl::Status taken;
  if (connection_ != nullptr) {
    taken = StatusOf(natsConnection_FlushTimeout(
        connection_, absl::ToInt64Milliseconds(kTimeout)));
    if (taken.ok()) taken = Denial();
  }
  post_([this, taken, waits = std::move(waits)] {
    const absl::Time now = SteadyNow();
    for (const Wait& wait : waits) {
      observer_.OnPublished(now - wait.given_at);
      wait.done(wait.status.ok() ? taken : wait.status);
    }
  });
}

}  // namespace headgate
