#ifndef BACKEND_CHAT_SERVICE_H_
#define BACKEND_CHAT_SERVICE_H_

#include <memory>

#include <grpcpp/impl/service_type.h>

namespace headgate {

// headgate.demo.v1.ChatService: one room, every message goes to everyone who is
// connected, the sender included, and to all in the same order. A member that
// does not take its messages in time is ended with RESOURCE_EXHAUSTED; the
// others do not notice.
std::unique_ptr<grpc::Service> MakeChatService();

}  // namespace headgate

#endif  // BACKEND_CHAT_SERVICE_H_
