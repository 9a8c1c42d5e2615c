#include "backend/packet_service.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "backend/stream_reactor.h"
#include "headgate/v1/packet.grpc.pb.h"

namespace headgate {
namespace {

using v1::Packet;
using PacketStream = StreamReactor<Packet, Packet>;

constexpr std::uint32_t kJoin = 200;
constexpr std::uint32_t kLeave = 201;
constexpr std::uint32_t kSay = 202;
constexpr std::uint32_t kError = 203;

constexpr std::uint32_t kMemberBit = 0x80000000;
constexpr std::size_t kMaxRoomsPerMember = 256;

bool IsMember(std::uint32_t who) { return (who & kMemberBit) != 0; }

// Who is connected, and who is in which room. Safe for any thread.
class Hub {
 public:
  // Takes `stream` in and returns its id.
  std::uint32_t Enter(std::shared_ptr<PacketStream> stream) {
    absl::MutexLock lock(&mu_);
    std::uint32_t id;
    do {
      id = kMemberBit | next_number_++;
    } while (members_.contains(id));
    members_[id].stream = std::move(stream);
    return id;
  }

  // Nothing reaches the member afterwards, and it can join nothing any more.
  void Exit(std::uint32_t member) {
    absl::MutexLock lock(&mu_);
    const auto found = members_.find(member);
    if (found == members_.end()) return;
    for (const std::uint32_t room : found->second.rooms) {
      RemoveLocked(room, member);
    }
    members_.erase(found);
  }

  // Joining a room twice is no error.
  absl::Status Join(std::uint32_t room, std::uint32_t member) {
    if (IsMember(room)) {
      return absl::InvalidArgumentError(absl::StrCat(
          room, " is no room: the ids of rooms are below ", kMemberBit));
    }
    absl::MutexLock lock(&mu_);
    const auto found = members_.find(member);
    if (found == members_.end()) return absl::CancelledError("gone");
    if (!found->second.rooms.contains(room) &&
        found->second.rooms.size() >= kMaxRoomsPerMember) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "a member is in at most ", kMaxRoomsPerMember, " rooms"));
    }
    found->second.rooms.insert(room);
    rooms_[room].insert(member);
    return absl::OkStatus();
  }

  absl::Status Leave(std::uint32_t room, std::uint32_t member) {
    absl::MutexLock lock(&mu_);
    const auto found = members_.find(member);
    if (found == members_.end() || found->second.rooms.erase(room) == 0) {
      return NotIn(room);
    }
    RemoveLocked(room, member);
    return absl::OkStatus();
  }

  // Puts `packet` into the queues of those whom `address` names, and returns
  // them: the caller flushes them. The queues are filled under the lock, so
  // that everyone in a room gets what is said there in one order.
  absl::StatusOr<std::vector<std::shared_ptr<PacketStream>>> Say(
      std::uint32_t address, std::uint32_t from,
      std::shared_ptr<const Packet> packet) {
    std::vector<std::shared_ptr<PacketStream>> streams;
    absl::MutexLock lock(&mu_);
    if (IsMember(address)) {
      const auto found = members_.find(address);
      if (found == members_.end()) {
        return absl::NotFoundError(absl::StrCat("no member ", address));
      }
      streams.push_back(found->second.stream);
    } else {
      const auto found = rooms_.find(address);
      if (found == rooms_.end() || !found->second.contains(from)) {
        return NotIn(address);
      }
      for (const std::uint32_t member : found->second) {
        streams.push_back(members_.at(member).stream);
      }
    }
    for (const auto& stream : streams) stream->Enqueue(packet);
    return streams;
  }

 private:
  struct MemberState {
    std::shared_ptr<PacketStream> stream;
    absl::flat_hash_set<std::uint32_t> rooms;
  };

  static absl::Status NotIn(std::uint32_t room) {
    return absl::NotFoundError(absl::StrCat("not in room ", room));
  }

  void RemoveLocked(std::uint32_t room, std::uint32_t member)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto found = rooms_.find(room);
    found->second.erase(member);
    if (found->second.empty()) rooms_.erase(found);
  }

  absl::Mutex mu_;
  std::uint32_t next_number_ ABSL_GUARDED_BY(mu_) = 1;
  // A member is in a room's set exactly when the room is in the member's.
  absl::flat_hash_map<std::uint32_t, MemberState> members_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::uint32_t, absl::flat_hash_set<std::uint32_t>> rooms_
      ABSL_GUARDED_BY(mu_);
};

class PacketMember final : public PacketStream {
 public:
  explicit PacketMember(Hub& hub) : hub_(hub) {}

  static PacketStream* Start(Hub& hub) {
    auto member = std::make_shared<PacketMember>(hub);
    member->id_ = hub.Enter(member);
    return PacketStream::Start(std::move(member));
  }

 private:
  void OnMessage(Packet& packet) override {
    const std::uint32_t who = packet.who();
    absl::Status status;
    switch (packet.type()) {
      case kJoin:
        status = hub_.Join(who, id_);
        if (status.ok()) Answer(kJoin, id_, absl::StrCat(who));
        break;
      case kLeave:
        status = hub_.Leave(who, id_);
        if (status.ok()) Answer(kLeave, id_, absl::StrCat(who));
        break;
      case kSay:
        status = Say(std::move(packet));
        break;
      default:
        Send(std::move(packet));
    }
    if (!status.ok()) Answer(kError, who, std::string(status.message()));
  }

  void OnEnding() override { hub_.Exit(id_); }

  absl::Status Say(Packet packet) {
    // A client that speaks packets on the wire would be ended by a 202 that
    // holds packets, for 202 is no container there.
    if (packet.packets_size() > 0) {
      return absl::InvalidArgumentError("what is said is content, no packets");
    }
    const std::uint32_t address = packet.who();
    packet.set_who(id_);
    auto streams = hub_.Say(address, id_,
                            std::make_shared<const Packet>(std::move(packet)));
    if (!streams.ok()) return streams.status();
    for (const auto& stream : *streams) stream->Flush();
    return absl::OkStatus();
  }

  void Answer(std::uint32_t type, std::uint32_t who, std::string content) {
    Packet answer;
    answer.set_type(type);
    answer.set_who(who);
    answer.set_content(std::move(content));
    Send(std::move(answer));
  }

  Hub& hub_;
  // Set before the stream starts to read; others that flush it meanwhile can
  // bring it to an end only after that, for want of anything queued.
  std::uint32_t id_ = 0;
};

class PacketService final : public v1::PacketService::CallbackService {
  grpc::ServerBidiReactor<Packet, Packet>* Connect(
      grpc::CallbackServerContext*) override {
    return PacketMember::Start(hub_);
  }

  Hub hub_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakePacketService() {
  return std::make_unique<PacketService>();
}

}  // namespace headgate
