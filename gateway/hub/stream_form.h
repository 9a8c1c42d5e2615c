#ifndef GATEWAY_HUB_STREAM_FORM_H_
#define GATEWAY_HUB_STREAM_FORM_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/hub/batch.h"
#include "gateway/hub/roster.h"
#include "gateway/route/hub_target.h"
#include "headgate/v1/hub_backend.pb.h"

namespace headgate {

// The form of the messages of a hub's stream. Pure.
class StreamForm {
 public:
  virtual ~StreamForm() = default;

  // --- Towards the backend ---

  // Appends an event to a message, which is empty or was made by this function
  // alone. `body`: the serialized `kind` of a headgate.v1.Event. False: it
  // needs a message of its own. An event that has no place in the form appends
  // nothing.
  virtual bool Append(std::uint64_t seq, Who who, absl::string_view body,
                      std::string& message) = 0;

  // --- From the backend ---

  // Requires: Next has returned no command since the last Feed.
  virtual void Feed(std::string message) = 0;
  // The next command of the message; none: it has no more. INTERNAL for a
  // message that is not one of the form; nothing is read of it afterwards.
  virtual absl::StatusOr<std::optional<v1::Command>> Next() = 0;
  // Forgets the message.
  virtual void Clear() = 0;
};

// headgate.v1.FromGateway and ToGateway.
std::unique_ptr<StreamForm> MakeBatchForm();

// headgate.v1.Packet both ways: the packet's `who` is the session, its type one
// of these. The content of a container is packets; of the others what is said
// here.
inline constexpr std::uint32_t kJoinedPacket = 0xFFFFFFF0;  // v1.Joined
inline constexpr std::uint32_t kLeftPacket = 0xFFFFFFF1;    // v1.Left
inline constexpr std::uint32_t kHelloPacket = 0xFFFFFFF6;   // v1.Hello
// A container, both ways: what the client has sent, or gets.
inline constexpr std::uint32_t kContentsPacket = 0xFFFFFFFE;
inline constexpr std::uint32_t kAcceptPacket = 0xFFFFFFF0;  // v1.Accept
inline constexpr std::uint32_t kClosePacket = 0xFFFFFFF1;   // google.rpc.Status
// A container, to all sessions but `who`.
inline constexpr std::uint32_t kOthersPacket = 0xFFFFFFF2;
inline constexpr std::uint32_t kJoinPacket = 0xFFFFFFF3;   // A group's name.
inline constexpr std::uint32_t kLeavePacket = 0xFFFFFFF4;  // A group's name.
// A container: the content of the first packet is the name of a group; the
// others are for its members but `who`.
inline constexpr std::uint32_t kGroupPacket = 0xFFFFFFF5;

// `packet_type`: of packets that carry what is not one. `roster`: it must
// outlive the form.
std::unique_ptr<StreamForm> MakePacketForm(std::uint32_t packet_type,
                                           HubRoster& roster);

// That of the target's method.
std::unique_ptr<StreamForm> MakeStreamForm(const HubTarget& target,
                                           HubRoster& roster);

}  // namespace headgate

#endif  // GATEWAY_HUB_STREAM_FORM_H_
