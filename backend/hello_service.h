#ifndef BACKEND_HELLO_SERVICE_H_
#define BACKEND_HELLO_SERVICE_H_

#include <memory>

#include <grpcpp/impl/service_type.h>

namespace headgate {

// headgate.demo.v1.HelloService, as its proto describes it.
std::unique_ptr<grpc::Service> MakeHelloService();

}  // namespace headgate

#endif  // BACKEND_HELLO_SERVICE_H_
