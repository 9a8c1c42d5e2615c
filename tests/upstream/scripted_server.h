#ifndef TESTS_UPSTREAM_SCRIPTED_SERVER_H_
#define TESTS_UPSTREAM_SCRIPTED_SERVER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "absl/strings/str_cat.h"
#include "tests/upstream/scripted_service.h"

namespace headgate {

// A backend with the scripted service and gRPC's own health service.
struct ScriptedServer {
  explicit ScriptedServer(
      const std::string& address = "127.0.0.1:0",
      const std::function<void(grpc::ServerBuilder&)>& configure = {}) {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
    builder.RegisterCallbackGenericService(&service);
    if (configure) configure(builder);
    server = builder.BuildAndStart();
  }
  // Calls that are still open are cut off.
  ~ScriptedServer() { server->Shutdown(std::chrono::system_clock::now()); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port); }

  ScriptedService service;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
};

}  // namespace headgate

#endif  // TESTS_UPSTREAM_SCRIPTED_SERVER_H_
