#ifndef GATEWAY_HUB_BATCH_H_
#define GATEWAY_HUB_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/base/metadata.h"
#include "gateway/base/status.h"
#include "gateway/codec/dialect.h"
#include "gateway/codec/wire_message.h"
#include "gateway/route/hub_target.h"
#include "gateway/schema/schema.h"
#include "headgate/v1/hub_client.pb.h"

namespace headgate {

// What workers and the hub hand over to each other, once per event loop
// iteration. Plain data.

// A session's number: n * workers + worker + 1, so that it names the worker.
using Who = std::uint32_t;

// How a client's messages look on the wire.
enum class HubCodec : std::uint8_t {
  kPacket,
  kJson,
  kProtobuf,
  kRaw,
  kHubJson,  // Frames of headgate/v1/hub_client.proto.
  kHubProtobuf,
};
inline constexpr std::size_t kHubCodecs = 6;
// Whether its clients know of groups.
inline bool IsHubClient(HubCodec codec) {
  return codec == HubCodec::kHubJson || codec == HubCodec::kHubProtobuf;
}
// Whether their messages are JSON.
inline bool HasJson(HubCodec codec) {
  return codec == HubCodec::kJson || codec == HubCodec::kHubJson;
}

// That of a dialect for WebSockets.
HubCodec HubCodecOf(const Dialect& dialect);

// One message as clients of one codec get it, shared by all of them.
using HubFrame = std::shared_ptr<const WireMessage>;

// --- From a worker ---

// A session joins.
struct HubArrival {
  std::string session;  // Its id.
  std::string peer;
  HubCodec codec = HubCodec::kRaw;
  absl::Time opened_at;
  Metadata metadata = {};
  std::vector<Parameter> variables = {};  // Of the route's template.
  bool asks = false;                      // It waits for admission.
};

// An event of a session, the serialized `kind` of a headgate.v1.Event.
struct HubEventBody {
  std::string bytes;
  // HubReport::stream of a headgate.v1.Sent; 0: another event.
  std::uint64_t report_of = 0;
};

// HubReport::stream where it is HubService that waits for it.
inline constexpr std::uint64_t kApiReports = ~std::uint64_t{0};

// What a Send wants to hear of: numbers that mean something on one stream.
struct HubReport {
  std::uint64_t command = 0;  // 0: nothing.
  std::uint64_t stream = 0;   // Counts the hub's streams from 1.
};

// What a client asks of the hub itself: to join, to leave, to publish, to hand
// on a token.
struct HubRequest {
  std::unique_ptr<v1::HubClientFrame> frame;
  std::size_t bytes = 0;  // Of it on the wire.
};

// Its last event.
struct HubDeparture {
  enum class Cause : std::uint8_t {  // As in headgate.v1.SessionEnd.
    kUnknown = 0,
    kClient = 1,
    kLost = 2,
    kTimeout = 3,
    kCommand = 4,
    kViolation = 5,
    kSlow = 6,
    kToken = 7,
    kReplaced = 8,
    kGateway = 9,
  };
  CloseCode code = CloseCode::kAbnormal;
  std::string reason = {};
  Cause cause = Cause::kLost;
  std::uint64_t messages_unsent = 0;
  absl::Duration lasted;
};

// Whether the stream waits for a session to which it sends under
// SlowClientSettings::Policy::kBlock.
enum class HubWait : std::uint8_t {
  kBegins,  // More waits for its client than may.
  kTaken,   // The client has taken enough.
  kEnded,   // The session is over, or about to.
};

struct HubEvent {
  Who who;
  std::variant<std::unique_ptr<HubArrival>, HubEventBody, HubRequest,
               HubDeparture>
      what;
};

struct HubEvents {
  std::vector<HubEvent> events;
  std::vector<std::pair<Who, HubWait>> waits;  // In their order.
  // Of HubCommands::cost, what the worker is done with.
  std::size_t cost_done = 0;
  // Since the last batch: messages that slow-client policies have dropped, and
  // times that messages were handed to a client's connection.
  std::uint64_t dropped = 0;
  std::uint64_t sends = 0;
  // How long publications took, from the hub to the connections.
  std::vector<absl::Duration> fanouts;

  bool empty() const {
    return events.empty() && waits.empty() && cost_done == 0 && dropped == 0 &&
           fanouts.empty();
  }
};

// --- To a worker ---

struct HubAdmit {
  Who who;
  HubFrame greeting = nullptr;  // Null: none.
  absl::Time expires_at = absl::InfiniteFuture();
};

struct HubExpire {
  Who who;
  absl::Time at;
};

struct HubRefuse {
  Who who;
  absl::Status status;
  HubDeparture::Cause cause = HubDeparture::Cause::kGateway;
};

struct HubDeliver {
  std::vector<Who> whos;
  HubFrame frame;
  // See SlowClientSettings::Policy::kKeepLatest; with the group that it is for.
  std::string key = {};
  HubReport report = {};
  // The response to a client's request, or what it would not know that it has
  // missed: no policy drops it.
  bool is_answer = false;
  // Where more waits for a receiver than it may have.
  SlowClientSettings::Policy policy = SlowClientSettings::Policy::kDisconnect;
};

struct HubClose {
  std::vector<Who> whos;
  Ending ending;
  HubDeparture::Cause cause = HubDeparture::Cause::kCommand;
  HubFrame farewell = nullptr;  // Null: none.
  // Without what waits for the client.
  bool now = false;
};

// So many bytes of a session's events are done with, as the stream has taken
// them or otherwise.
struct HubCredit {
  Who who;
  std::size_t bytes;         // Of what the session may have in the hub,
  std::size_t shared_bytes;  // and of what all of its worker may.
};

struct HubCommands {
  std::vector<
      std::variant<HubAdmit, HubRefuse, HubDeliver, HubClose, HubExpire>>
      commands;
  std::vector<HubCredit> credit;
  // What the commands hold, bytes; comes back as HubEvents::cost_done.
  std::size_t cost = 0;
  // The steady time of the first publication among them.
  absl::Time published_at = absl::InfiniteFuture();

  bool empty() const { return commands.empty() && credit.empty(); }
};

// What an event counts besides its bytes.
inline constexpr std::size_t kHubEventCost = 64;

}  // namespace headgate

#endif  // GATEWAY_HUB_BATCH_H_
