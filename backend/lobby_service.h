#ifndef BACKEND_LOBBY_SERVICE_H_
#define BACKEND_LOBBY_SERVICE_H_

#include <memory>

#include <grpcpp/impl/service_type.h>

namespace headgate {

// headgate.demo.v1.LobbyService, as its proto describes it.
std::unique_ptr<grpc::Service> MakeLobbyService();

}  // namespace headgate

#endif  // BACKEND_LOBBY_SERVICE_H_
