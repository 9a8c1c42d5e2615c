#include "gateway/api/hub_api.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <iterator>
#include <mutex>

#include <grpc/grpc_security_constants.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/server_callback.h>

#include "absl/strings/str_cat.h"
#include "gateway/api/api_listener.h"
#include "gateway/api/grants.h"
#include "gateway/base/clock.h"
#include "headgate/v1/hub_service.grpc.pb.h"

namespace headgate {
namespace {

// Of the files of TLS.
constexpr unsigned kRefreshSeconds = 1;
// For calls that are under way when the API stops.
constexpr std::chrono::milliseconds kStopPatience(500);
constexpr std::uint64_t kMostConnections = 128;
constexpr int kMaxConcurrentCalls = 100;  // Of one connection.
// What all connections may take together for messages that are on their way,
// bytes. A message is whole before its caller is known: without this, anybody
// who reaches the port could take all memory. gRPC ends connections to come
// back below: it goes over it some four times.
constexpr std::size_t kMostMessageBytes = 64 << 20;
// What all responses may take together until their clients have taken them,
// bytes.
constexpr std::size_t kMostResponseBytes = 32 << 20;
// For a client that connects and says nothing; for a connection without calls.
constexpr int kHandshakeTimeoutMs = 10'000;
constexpr int kMaxIdleMs = 300'000;
constexpr int kMinPingIntervalMs = 5000;
// A client that has vanished without a word would keep its calls for hours, and
// with them what only so many may do.
constexpr int kPingIntervalMs = 10'000;
constexpr int kPingTimeoutMs = 20'000;

grpc::Status GrpcStatusOf(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()),
          std::string(status.message())};
}

HubApiCaller CallerOf(const grpc::CallbackServerContext& context) {
  HubApiCaller caller;
  if (const auto auth = context.auth_context();
      auth != nullptr && auth->IsPeerAuthenticated()) {
    const auto subjects =
        auth->FindPropertyValues(GRPC_X509_SUBJECT_PROPERTY_NAME);
    if (!subjects.empty()) {
      caller.subject.assign(subjects[0].data(), subjects[0].size());
    }
  }
  const auto& metadata = context.client_metadata();
  if (const auto it = metadata.find("authorization"); it != metadata.end()) {
    caller.authorization.assign(it->second.data(), it->second.size());
  }
  return caller;
}

template <typename Names>
void Add(const Names& names, std::vector<absl::string_view>& to) {
  to.insert(to.end(), names.begin(), names.end());
}

HubApiScope GroupsOf(const v1::Audience& audience) {
  HubApiScope scope;
  Add(audience.groups(), scope.groups);
  return scope;
}

HubApiScope ScopeOf(const v1::PublishRequest& request) {
  HubApiScope scope;
  Add(request.groups(), scope.groups);
  if (!request.group().empty()) scope.groups.push_back(request.group());
  return scope;
}
HubApiScope ScopeOf(const v1::CloseRequest& request) {
  return request.all() ? HubApiScope() : GroupsOf(request.to());
}
HubApiScope ScopeOf(const v1::UpdateRequest& request) {
  return GroupsOf(request.to());
}
HubApiScope ScopeOf(const v1::MembershipRequest& request) {
  HubApiScope scope = GroupsOf(request.to());
  Add(request.groups(), scope.memberships);
  return scope;
}
HubApiScope ScopeOf(const v1::ListSessionsRequest& request) {
  return GroupsOf(request.of());
}
HubApiScope ScopeOf(const v1::CountSessionsRequest& request) {
  return GroupsOf(request.of());
}
HubApiScope ScopeOf(const v1::GetHistoryRequest& request) {
  HubApiScope scope;
  scope.groups.push_back(request.group());
  return scope;
}
HubApiScope ScopeOf(const v1::WatchRequest& request) {
  HubApiScope scope;
  Add(request.groups(), scope.groups);
  if (!request.group().empty()) scope.groups.push_back(request.group());
  return scope;
}
HubApiScope ScopeOf(const v1::SendRequest&) { return {}; }
HubApiScope ScopeOf(const v1::GetSessionRequest&) { return {}; }

// What the calls work with.
struct ApiContext {
  HubGrants grants;
  HubApiHost& host;
  std::atomic<std::size_t> response_bytes = 0;  // Not yet taken.

  template <typename Request>
  absl::Status Check(const grpc::CallbackServerContext& call,
                     absl::string_view method, const Request& request) {
    return grants.Check(CallerOf(call), method, ScopeOf(request), SteadyNow());
  }
};

// What waits for the hubs, of one call: either they end the wait, or the call's
// cancellation does, upon which the call may be gone.
class CallWait {
 public:
  class State {
   public:
    // True for the first that asks, which goes on with the call.
    bool End() { return !ended_.exchange(true); }

   private:
    std::atomic<bool> ended_ = false;
  };

  // Null: the call was cancelled before.
  std::shared_ptr<State> Begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_cancelled_) return nullptr;
    state_ = std::make_shared<State>();
    return state_;
  }
  // The call was cancelled. True: the caller ends it, for it waits.
  bool Cancel() {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_cancelled_ = true;
    return state_ != nullptr && state_->End();
  }

 private:
  std::mutex mutex_;
  bool is_cancelled_ = false;     // Under mutex_.
  std::shared_ptr<State> state_;  // Under mutex_; of the last wait.
};

// A call with one request. Its response counts until the client has taken it.
//
// Lifetime: its own, until OnDone.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  // `method`: see HubApiHost::OnApiRequest.
  UnaryCall(ApiContext& api, absl::string_view method)
      : api_(api), method_(method) {}

  // From now on a cancellation ends the call; one that has come already does so
  // at once: null. All else that ends the call asks the state first.
  std::shared_ptr<CallWait::State> Wait() {
    auto wait = wait_.Begin();
    if (wait == nullptr) Cancel();
    return wait;
  }

  // Once, on any thread: sends `response`, moved to `place`, or the failure.
  template <typename Response>
  void End(absl::StatusOr<Response> response, Response* place) {
    absl::Status status = response.status();
    if (status.ok()) {
      bytes_ = response->ByteSizeLong();
      if (api_.response_bytes.fetch_add(bytes_) + bytes_ > kMostResponseBytes) {
        status = absl::ResourceExhaustedError(
            "too many responses wait for clients that do not read them");
      } else {
        *place = *std::move(response);
      }
    }
    api_.host.OnApiRequest(method_, status);
    Finish(GrpcStatusOf(status));
  }

 private:
  void OnCancel() override {
    if (wait_.Cancel()) Cancel();
  }
  void Cancel() {
    const absl::Status status = absl::CancelledError("the call was cancelled");
    api_.host.OnApiRequest(method_, status);
    Finish(GrpcStatusOf(status));
  }
  void OnDone() override {
    api_.response_bytes.fetch_sub(bytes_);
    delete this;
  }

  ApiContext& api_;
  const absl::string_view method_;
  std::size_t bytes_ = 0;
  CallWait wait_;
};

// A PublishStream: one request after the other.
//
// Lifetime: its own, until OnDone.
class PublishCall final
    : public grpc::ServerBidiReactor<v1::PublishRequest, v1::PublishResponse> {
 public:
  PublishCall(ApiContext& api, grpc::CallbackServerContext& call)
      : api_(api), call_(call) {
    StartRead(&request_);
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    const absl::Status allowed = api_.Check(call_, "Publish", request_);
    if (!allowed.ok()) return Respond(allowed);
    const std::shared_ptr<CallWait::State> wait = wait_.Begin();
    if (wait == nullptr) return Cancel();
    const auto respond =
        [this, wait](const absl::StatusOr<v1::PublishResponse>& response) {
          if (wait->End()) Respond(response);
        };
    const std::size_t bytes = request_.ByteSizeLong();
    // The call may be gone when the hubs have the time.
    api_.host.RunOnHubs(bytes, [request = std::move(request_), respond](
                                   absl::StatusOr<ClusterRequests*> hubs) {
      if (!hubs.ok()) return respond(hubs.status());
      (*hubs)->Publish(request, respond);
    });
  }
  void OnCancel() override {
    if (wait_.Cancel()) Cancel();
  }
  void Cancel() {
    const absl::Status status = absl::CancelledError("the call was cancelled");
    api_.host.OnApiRequest("Publish", status);
    Finish(GrpcStatusOf(status));
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    StartRead(&request_);
  }
  void OnDone() override { delete this; }

  void Respond(const absl::StatusOr<v1::PublishResponse>& response) {
    response_.Clear();
    if (response.ok()) {
      response_ = *response;
    } else {
      response_.mutable_status()->set_code(
          static_cast<int>(response.status().code()));
      response_.mutable_status()->set_message(
          std::string(response.status().message()));
    }
    api_.host.OnApiRequest("Publish", response.status());
    StartWrite(&response_);
  }

  ApiContext& api_;
  grpc::CallbackServerContext& call_;
  v1::PublishRequest request_;
  v1::PublishResponse response_;
  CallWait wait_;
};

// A Watch: the events that the hub thread hands over, one after the other.
//
// Lifetime: its own, until OnDone.
class WatchCall final : public grpc::ServerWriteReactor<v1::WatchEvent> {
 public:
  explicit WatchCall(ApiContext& api)
      : api_(api), feed_(std::make_shared<Feed>(*this)) {}

  void Begin(const v1::WatchRequest& request) {
    // It may be cancelled before the hubs have taken it.
    api_.host.RunOnHubs(
        request.ByteSizeLong(),
        [feed = feed_, request](const absl::StatusOr<ClusterRequests*>& hubs) {
          absl::Status status = hubs.status();
          if (status.ok()) {
            status = (*hubs)->Watch(request, feed);
          }
          if (!status.ok()) feed->End(status);
        });
  }
  void End(const absl::Status& status) { feed_->End(status); }

 private:
  // What both threads know; outlives the call.
  class Feed final : public PresenceWatcher {
   public:
    explicit Feed(WatchCall& call) : call_(&call) {}

    bool is_over() const override {
      const std::lock_guard<std::mutex> lock(mutex_);
      return state_ == State::kEnding || state_ == State::kOver;
    }
    bool is_ready() const override {
      const std::lock_guard<std::mutex> lock(mutex_);
      return state_ == State::kIdle;
    }
    void Take(std::vector<v1::WatchEvent> events) override {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (state_ != State::kIdle || events.empty()) return;
        state_ = State::kWriting;
        events_ = {std::make_move_iterator(events.begin()),
                   std::make_move_iterator(events.end())};
      }
      WriteNext();
    }

    void OnWritten(bool ok) {
      bool is_last = false;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        events_.pop_front();
        if (!ok && state_ == State::kWriting) {
          state_ = State::kEnding;
          status_ = absl::CancelledError("the call was cancelled");
        }
        if (state_ == State::kEnding) {
          state_ = State::kOver;
          is_last = true;
        } else if (events_.empty()) {
          state_ = State::kIdle;
          return;
        }
      }
      if (!is_last) return WriteNext();
      Finish();
    }
    void End(const absl::Status& status) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (state_ == State::kEnding || state_ == State::kOver) return;
        status_ = status;
        const bool is_writing = state_ == State::kWriting;
        state_ = is_writing ? State::kEnding : State::kOver;
        if (is_writing) return;
      }
      Finish();
    }

   private:
    enum class State {
      kIdle,
      kWriting,  // events_ has what is being written.
      kEnding,   // The same, and it is the last.
      kOver,     // The call is finished, and may be gone.
    };

    // What changes the state to kWriting or kOver calls these, without the
    // lock: gRPC may call back from within.
    void WriteNext() { call_->StartWrite(&events_.front()); }
    void Finish() {
      call_->api_.host.OnApiRequest("Watch", status_);
      call_->grpc::ServerWriteReactor<v1::WatchEvent>::Finish(
          GrpcStatusOf(status_));
    }

    WatchCall* const call_;
    mutable std::mutex mutex_;
    State state_ = State::kIdle;  // Under mutex_.
    absl::Status status_;         // Under mutex_ until kOver.
    // Under mutex_; the first one is gRPC's while it is written.
    std::deque<v1::WatchEvent> events_;
  };

  void OnWriteDone(bool ok) override { feed_->OnWritten(ok); }
  void OnCancel() override {
    feed_->End(absl::CancelledError("the call was cancelled"));
  }
  void OnDone() override { delete this; }

  ApiContext& api_;
  const std::shared_ptr<Feed> feed_;
};

class ApiService final : public v1::HubService::CallbackService {
 public:
  explicit ApiService(ApiContext& api) : api_(api) {}

 private:
  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* Publish(Context* call, const v1::PublishRequest* request,
                   v1::PublishResponse* response) override {
    return Serve<&ClusterRequests::Publish>(call, "Publish", request, response);
  }
  grpc::ServerBidiReactor<v1::PublishRequest, v1::PublishResponse>*
  PublishStream(Context* call) override {
    return new PublishCall(api_, *call);
  }
  Reactor* Send(Context* call, const v1::SendRequest* request,
                v1::SendResponse* response) override {
    return Serve<&ClusterRequests::Send>(call, "Send", request, response);
  }
  Reactor* Close(Context* call, const v1::CloseRequest* request,
                 v1::CloseResponse* response) override {
    return Serve<&ClusterRequests::Close>(call, "Close", request, response);
  }
  Reactor* Update(Context* call, const v1::UpdateRequest* request,
                  v1::UpdateResponse* response) override {
    return Serve<&ClusterRequests::Update>(call, "Update", request, response);
  }
  Reactor* Join(Context* call, const v1::MembershipRequest* request,
                v1::MembershipResponse* response) override {
    return Serve<&ClusterRequests::Join>(call, "Join", request, response);
  }
  Reactor* Leave(Context* call, const v1::MembershipRequest* request,
                 v1::MembershipResponse* response) override {
    return Serve<&ClusterRequests::Leave>(call, "Leave", request, response);
  }
  Reactor* GetSession(Context* call, const v1::GetSessionRequest* request,
                      v1::SessionInfo* response) override {
    return Serve<&ClusterRequests::GetSession>(call, "GetSession", request,
                                               response);
  }
  Reactor* ListSessions(Context* call, const v1::ListSessionsRequest* request,
                        v1::ListSessionsResponse* response) override {
    return Serve<&ClusterRequests::ListSessions>(call, "ListSessions", request,
                                                 response);
  }
  Reactor* CountSessions(Context* call, const v1::CountSessionsRequest* request,
                         v1::CountSessionsResponse* response) override {
    return Serve<&ClusterRequests::CountSessions>(call, "CountSessions",
                                                  request, response);
  }
  Reactor* GetHistory(Context* call, const v1::GetHistoryRequest* request,
                      v1::GetHistoryResponse* response) override {
    return Serve<&ClusterRequests::GetHistory>(call, "GetHistory", request,
                                               response);
  }

  grpc::ServerWriteReactor<v1::WatchEvent>* Watch(
      Context* call, const v1::WatchRequest* request) override {
    auto* const reactor = new WatchCall(api_);
    const absl::Status allowed = api_.Check(*call, "Watch", *request);
    if (allowed.ok()) {
      reactor->Begin(*request);
    } else {
      reactor->End(allowed);
    }
    return reactor;
  }

  // Has `kAct` run on the hub thread; request and response live until Finish.
  template <auto kAct, typename Request, typename Response>
  Reactor* Serve(Context* call, absl::string_view method,
                 const Request* request, Response* response) {
    auto* const reactor = new UnaryCall(api_, method);
    const absl::Status allowed = api_.Check(*call, method, *request);
    if (!allowed.ok()) {
      reactor->End(absl::StatusOr<Response>(allowed), response);
      return reactor;
    }
    api_.host.RunOnHubs(
        request->ByteSizeLong(),
        [reactor, request, response](absl::StatusOr<ClusterRequests*> hubs) {
          if (!hubs.ok()) {
            return reactor->End(absl::StatusOr<Response>(hubs.status()),
                                response);
          }
          // The call may be cancelled before it has begun to wait, and its
          // request be gone then.
          const Request own = *request;
          const auto wait = reactor->Wait();
          if (wait == nullptr) return;
          ((*hubs)->*kAct)(own, [reactor, response,
                                 wait](const absl::StatusOr<Response>& result) {
            if (wait->End()) reactor->End(result, response);
          });
        });
    return reactor;
  }

  ApiContext& api_;
};

std::shared_ptr<grpc::ServerCredentials> CredentialsOf(
    const HubApiSettings& settings) {
  namespace tls = grpc::experimental;
  if (!settings.tls) return grpc::InsecureServerCredentials();
  tls::TlsServerCredentialsOptions options(
      std::make_shared<tls::FileWatcherCertificateProvider>(
          settings.tls->key, settings.tls->certificate, settings.tls->client_ca,
          kRefreshSeconds));
  options.watch_identity_key_cert_pairs();
  if (!settings.tls->client_ca.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return tls::TlsServerCredentials(options);
}

class GrpcHubApi final : public HubApi {
 public:
  GrpcHubApi(const HubApiSettings& settings, HubApiHost& host)
      : context_{HubGrants(settings.grants), host, 0}, service_(context_) {}
  ~GrpcHubApi() override {
    if (server_ == nullptr) return;
    listener_->Stop();
    server_->Shutdown(std::chrono::system_clock::now() + kStopPatience);
    server_->Wait();
  }

  absl::Status Listen(const HubApiSettings& settings,
                      std::size_t max_connections) {
    auto listener = ApiListener::Open(settings.address, max_connections);
    if (!listener.ok()) {
      return absl::Status(
          listener.status().code(),
          absl::StrCat(listener.status().message(), " (hub.api.address)"));
    }
    listener_ = *std::move(listener);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        CredentialsOf(settings));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                               kMaxConcurrentCalls);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(
        GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
        kMinPingIntervalMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kPingIntervalMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
    // A call may be silent for as long as it likes.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                               kHandshakeTimeoutMs);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kMaxIdleMs);
    grpc::ResourceQuota quota("hub api");
    builder.SetResourceQuota(quota.Resize(kMostMessageBytes));
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      return absl::UnavailableError("the hub API's server cannot be started");
    }
    listener_->Start([this](int fd) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters
          connection;
      connection.fd = fd;
      acceptor_->HandleNewConnection(&connection);
    });
    return absl::OkStatus();
  }

  const std::string& address() const override { return listener_->address(); }

 private:
  ApiContext context_;
  ApiService service_;
  std::unique_ptr<ApiListener> listener_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HubApi>> HubApi::Start(
    const HubApiSettings& settings, HubApiHost& host,
    std::size_t max_connections) {
  auto api = std::make_unique<GrpcHubApi>(settings, host);
  if (absl::Status status = api->Listen(settings, max_connections);
      !status.ok()) {
    return status;
  }
  return api;
}

std::size_t HubApi::MostConnections(std::uint64_t descriptor_limit) {
  return static_cast<std::size_t>(
      std::clamp<std::uint64_t>(descriptor_limit / 16, 2, kMostConnections));
}

std::vector<absl::string_view> HubApi::Methods() {
  const google::protobuf::ServiceDescriptor& service =
      *v1::PublishRequest::descriptor()->file()->FindServiceByName(
          "HubService");
  std::vector<absl::string_view> names;
  for (int i = 0; i < service.method_count(); ++i) {
    names.push_back(service.method(i)->name());
  }
  return names;
}

}  // namespace headgate
