#ifndef BACKEND_ECHO_SERVICE_H_
#define BACKEND_ECHO_SERVICE_H_

#include <memory>

#include <grpcpp/impl/service_type.h>

namespace headgate {

// headgate.demo.v1.EchoService, as its proto describes it.
std::unique_ptr<grpc::Service> MakeEchoService();

}  // namespace headgate

#endif  // BACKEND_ECHO_SERVICE_H_
