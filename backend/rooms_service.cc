#include "backend/rooms_service.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "backend/stream_reactor.h"
#include "headgate/v1/hub_backend.grpc.pb.h"

namespace headgate {
namespace {

using v1::FromGateway;
using v1::ToGateway;

// The sessions of one gateway. What it knows of them it is told again after a
// reconnect, so that it needs no memory beyond the stream.
class RoomsStream final : public StreamReactor<FromGateway, ToGateway> {
 private:
  void OnMessage(FromGateway& batch) override {
    ToGateway reply;
    for (v1::Event& event : *batch.mutable_events()) React(event, reply);
    if (reply.commands_size() > 0) Send(std::move(reply));
  }

  void React(v1::Event& event, ToGateway& reply) {
    switch (event.kind_case()) {
      case v1::Event::kJoined:
        return OnJoined(event.who(), event.joined(), reply);
      case v1::Event::kMessage: {
        v1::Broadcast& broadcast = *reply.add_commands()->mutable_broadcast();
        broadcast.mutable_to()->add_groups(GroupOf(rooms_[event.who()]));
        *broadcast.mutable_payload() =
            std::move(*event.mutable_message()->mutable_payload());
        return;
      }
      case v1::Event::kLeft:
        if (--members_[rooms_[event.who()]] == 0) {
          members_.erase(rooms_[event.who()]);
        }
        rooms_.erase(event.who());
        return;
      default:
        return;
    }
  }

  void OnJoined(std::uint32_t who, const v1::Joined& joined, ToGateway& reply) {
    const auto room = joined.path_variables().find("room");
    if (room == joined.path_variables().end()) {
      v1::Reject& reject = *reply.add_commands()->mutable_reject();
      reject.set_who(who);
      reject.mutable_status()->set_code(grpc::StatusCode::NOT_FOUND);
      reject.mutable_status()->set_message("the path names no room");
      rooms_[who] = "";
      ++members_[""];
      return;
    }
    rooms_[who] = room->second;
    const int members = ++members_[room->second];
    if (!joined.asks()) return;
    v1::Accept& accept = *reply.add_commands()->mutable_accept();
    accept.set_who(who);
    accept.mutable_greeting()->set_text(
        absl::StrCat("{\"members\":", members, "}"));
  }

  static std::string GroupOf(const std::string& room) {
    return absl::StrCat("room:", room);
  }

  absl::flat_hash_map<std::uint32_t, std::string> rooms_;  // By session.
  absl::flat_hash_map<std::string, int> members_;          // By room.
};

class RoomsService final : public v1::HubBackend::CallbackService {
 public:
  grpc::ServerBidiReactor<FromGateway, ToGateway>* Attach(
      grpc::CallbackServerContext*) override {
    return RoomsStream::Start(std::make_shared<RoomsStream>());
  }
};

}  // namespace

std::unique_ptr<grpc::Service> MakeRoomsService() {
  return std::make_unique<RoomsService>();
}

}  // namespace headgate
