#include "backend/backend.h"

#include <utility>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "backend/chat_service.h"
#include "backend/echo_service.h"
#include "backend/hello_service.h"
#include "backend/library_service.h"
#include "backend/lobby_service.h"
#include "backend/message_service.h"
#include "backend/packet_service.h"
#include "backend/rooms_service.h"

namespace headgate {
namespace {

// The services by the names that the health service knows them by.
constexpr const char* kServiceNames[] = {
    "headgate.demo.v1.ChatService",  "headgate.demo.v1.EchoService",
    "headgate.demo.v1.HelloService", "headgate.demo.v1.LibraryService",
    "headgate.demo.v1.LobbyService", "headgate.v1.HubBackend",
    "headgate.v1.MessageService",    "headgate.v1.PacketService",
};

// Clients may ping this often; gRPC's default of five minutes would turn away
// a gateway that looks after its connections.
constexpr int kMinPingIntervalMs = 5000;

void SwitchOnReflectionAndHealth() {
  static const bool done = [] {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::EnableDefaultHealthCheckService(true);
    return true;
  }();
  static_cast<void>(done);
}

bool HasPort(absl::string_view address) {
  return !absl::StartsWith(address, "unix");
}

// gRPC itself would take "host:99999" for some other port.
absl::Status CheckPort(absl::string_view address) {
  const std::size_t colon = address.rfind(':');
  int port = -1;
  if (colon == absl::string_view::npos ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 ||
      port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on '", address,
                     "': must be HOST:PORT, the port 0 to 65535"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> Backend::Start(
    const BackendOptions& options) {
  if (HasPort(options.address)) {
    const absl::Status valid = CheckPort(options.address);
    if (!valid.ok()) return valid;
  }
  SwitchOnReflectionAndHealth();
  auto backend = std::unique_ptr<Backend>(new Backend());
  backend->services_.push_back(MakeChatService());
  backend->services_.push_back(MakeEchoService());
  backend->services_.push_back(MakeHelloService());
  backend->services_.push_back(MakeLibraryService());
  backend->services_.push_back(MakeLobbyService());
  backend->services_.push_back(MakeMessageService());
  backend->services_.push_back(MakePacketService());
  backend->services_.push_back(MakeRoomsService());

  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(options.address, grpc::InsecureServerCredentials(),
                           &port);
  // Else a second backend on the same port would silently get half the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // What may come in is the gateway's to say (max_message_bytes).
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      kMinPingIntervalMs);
  for (const auto& service : backend->services_) {
    builder.RegisterService(service.get());
  }
  backend->server_ = builder.BuildAndStart();
  if (backend->server_ == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat(
        "cannot listen on ", options.address,
        ": the port is in use, or the address is not one of this machine"));
  }
  for (const char* name : kServiceNames) {
    backend->server_->GetHealthCheckService()->SetServingStatus(name, true);
  }
  backend->address_ = options.address;
  if (HasPort(options.address)) {
    backend->port_ = port;
    const std::size_t colon = options.address.rfind(':');
    backend->address_ =
        absl::StrCat(options.address.substr(0, colon), ":", port);
  }
  return backend;
}

Backend::~Backend() { Shutdown(absl::ZeroDuration()); }

void Backend::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
}

}  // namespace headgate
