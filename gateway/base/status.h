#ifndef GATEWAY_BASE_STATUS_H_
#define GATEWAY_BASE_STATUS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/base/metadata.h"

namespace headgate {

// WebSocket close codes: those of RFC 6455 section 7.4.1 and the IANA registry
// that the gateway sends itself. Besides these it sends 4000 + code for a
// status other than OK (RFC 6455 section 7.4.2 leaves 4000-4999 to
// applications); CloseCodeFor makes them.
enum class CloseCode : std::uint16_t {
  kNormal = 1000,
  kGoingAway = 1001,
  kProtocolError = 1002,
  kUnsupportedData = 1003,
  kNoStatus = 1005,  // Never on the wire: the client's Close had no code.
  kAbnormal = 1006,  // Never on the wire: there was no Close frame.
  kInvalidPayload = 1007,
  kPolicyViolation = 1008,
  kMessageTooBig = 1009,
  kInternalError = 1011,
  kTryAgainLater = 1013,
};

// The table code <-> close code <-> HTTP status, in one place.
// Safe for any thread.

// OK -> 1000, any other code -> 4000 + code.
CloseCode CloseCodeFor(absl::StatusCode code);

// The HTTP status of google/rpc/code.proto; OK -> 200.
int HttpStatusFor(absl::StatusCode code);

// A gRPC code as the wire has it; a number gRPC does not define is UNKNOWN
// (grpc/grpc doc/statuscodes.md).
absl::StatusCode StatusCodeFromWire(int code);

// The longest reason of a Close frame, in bytes: a control frame carries 125,
// two of them are the code (RFC 6455 section 5.5).
inline constexpr std::size_t kMaxCloseReasonBytes = 123;

// `message` as the reason of a Close frame: cut to kMaxCloseReasonBytes at a
// UTF-8 boundary, bytes that are not UTF-8 replaced by '?'.
std::string CloseReason(absl::string_view message);

// How a call ended: its status and, when the backend sent them, its details.
struct CallEnd {
  absl::Status status;
  // A serialized google.rpc.Status (metadata "grpc-status-details-bin"), as
  // the backend sent it; empty when it sent none.
  std::string details;
  // The backend's trailing metadata, when the call was started with
  // MetadataDelivery::kDelivered. "grpc-..." keys are not among it.
  Metadata trailers = {};
};

// How a session ends: the status told in-band, where the codec has a place for
// it, and the Close frame's code.
struct Ending {
  CloseCode close = CloseCode::kNormal;
  CallEnd end;
};

// The ending of a session whose only call ended so: the close code by the
// table.
Ending EndingOf(CallEnd end);
Ending EndingOf(absl::Status status);

// `end` as a serialized google.rpc.Status: the backend's own details when they
// tell the same code, else made from the status.
std::string SerializeRpcStatus(const CallEnd& end);

// Returns `status` with "`context`: " before its message; OK stays OK. What
// only the log should show stays with it.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// Returns `status` with something that only the log should show, such as an
// address behind the gateway. Requires: not OK.
absl::Status WithDetailForLog(absl::Status status, absl::string_view detail);

// Returns `status` with what the log should show in place of its message, which
// repeats values that a client has sent. Requires: not OK.
absl::Status WithMessageForLog(absl::Status status, absl::string_view message);

// The message for the log: that one, and the detail, where there are such.
std::string MessageForLog(const absl::Status& status);

}  // namespace headgate

#endif  // GATEWAY_BASE_STATUS_H_
