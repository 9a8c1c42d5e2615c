#include "backend/message_service.h"

#include <utility>

#include "backend/stream_reactor.h"
#include "headgate/v1/message.grpc.pb.h"

namespace headgate {
namespace {

class MessageReactor final : public StreamReactor<v1::Message, v1::Message> {
 private:
  void OnMessage(v1::Message& message) override { Send(std::move(message)); }
};

class MessageService final : public v1::MessageService::CallbackService {
  grpc::ServerBidiReactor<v1::Message, v1::Message>* Connect(
      grpc::CallbackServerContext*) override {
    return MessageReactor::Start(std::make_shared<MessageReactor>());
  }
};

}  // namespace

std::unique_ptr<grpc::Service> MakeMessageService() {
  return std::make_unique<MessageService>();
}

}  // namespace headgate
