#include "backend/chat_service.h"

#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "backend/stream_reactor.h"
#include "headgate/demo/v1/chat.grpc.pb.h"

namespace headgate {
namespace {

using demo::v1::ChatMessage;
using Stream = StreamReactor<ChatMessage, ChatMessage>;

// Everyone who is connected. Safe for any thread.
class Room {
 public:
  void Join(std::shared_ptr<Stream> member) {
    absl::MutexLock lock(&mu_);
    members_.insert(std::move(member));
  }

  void Leave(Stream* member) {
    absl::MutexLock lock(&mu_);
    members_.erase(member);
  }

  // The queues are filled under the lock, so that all get the messages in one
  // order; sending waits until it is released.
  void Say(std::shared_ptr<const ChatMessage> message) {
    std::vector<std::shared_ptr<Stream>> members;
    {
      absl::MutexLock lock(&mu_);
      members.assign(members_.begin(), members_.end());
      for (const auto& member : members) member->Enqueue(message);
    }
    for (const auto& member : members) member->Flush();
  }

 private:
  absl::Mutex mu_;
  // Hashes a shared_ptr as the pointer in it, and finds it by that.
  absl::flat_hash_set<std::shared_ptr<Stream>> members_ ABSL_GUARDED_BY(mu_);
};

class Member final : public Stream {
 public:
  explicit Member(Room& room) : room_(room) {}

 private:
  void OnMessage(ChatMessage& message) override {
    room_.Say(std::make_shared<const ChatMessage>(std::move(message)));
  }
  void OnEnding() override { room_.Leave(this); }

  Room& room_;
};

class ChatService final : public demo::v1::ChatService::CallbackService {
  grpc::ServerBidiReactor<ChatMessage, ChatMessage>* Join(
      grpc::CallbackServerContext*) override {
    auto member = std::make_shared<Member>(room_);
    room_.Join(member);
    return Stream::Start(std::move(member));
  }

  Room room_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeChatService() {
  return std::make_unique<ChatService>();
}

}  // namespace headgate
