#ifndef BACKEND_MESSAGE_SERVICE_H_
#define BACKEND_MESSAGE_SERVICE_H_

#include <memory>

#include <grpcpp/impl/service_type.h>

namespace headgate {

// headgate.v1.MessageService: an echo that keeps text text and binary binary.
std::unique_ptr<grpc::Service> MakeMessageService();

}  // namespace headgate

#endif  // BACKEND_MESSAGE_SERVICE_H_
