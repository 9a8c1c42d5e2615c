#ifndef BACKEND_ROOMS_SERVICE_H_
#define BACKEND_ROOMS_SERVICE_H_

#include <memory>

#include <grpcpp/impl/service_type.h>

namespace headgate {

// headgate.v1.HubBackend: rooms, for routes with a variable "room" and the
// group "room:{room}". Every message goes to everyone in the sender's room; who
// comes in is told how many are there.
std::unique_ptr<grpc::Service> MakeRoomsService();

}  // namespace headgate

#endif  // BACKEND_ROOMS_SERVICE_H_
