#ifndef CMD_HEADGATE_DIAL_ENDING_H_
#define CMD_HEADGATE_DIAL_ENDING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/failure.h"

namespace headgate {

// A google.rpc.Status.
struct RpcStatus {
  int code = 0;
  std::string message;
  // Each as "type.googleapis.com/package.Message BASE64".
  std::vector<std::string> details = {};
};

// What an end packet says.
struct CallEnded {
  std::uint32_t who = 0;  // The call's number; 0 where there is only one call.
  RpcStatus status;
};

// nullopt when `bytes` is no serialized google.rpc.Status.
std::optional<RpcStatus> ParseRpcStatus(absl::string_view bytes);

// How a session of `headgate dial` ended.
struct Closed {  // By the other side's Close frame.
  std::uint16_t code = 0;
  std::string reason;
  std::optional<RpcStatus> status;  // From the end packet, when one came.
};
// Our Close frame came first. What became of the call then is for us to say:
// OK, or that it was cancelled.
struct ClosedByUs {
  RpcStatus status;
};
// We gave up before there was a session.
struct GivenUp {
  RpcStatus status;
};
struct BadInput {
  std::string why;
};
using DialEnding = std::variant<Closed, ClosedByUs, GivenUp, Refused,
                                Unreachable, Lost, BadInput>;

DialEnding ToDialEnding(ClientFailure failure);

// Exit statuses besides 0 (OK) and 1 to 16, the gRPC code of a close code 4001
// to 4016, or of what we did to the call: 1 (CANCELLED), 4 (DEADLINE_EXCEEDED).
inline constexpr int kExitRefused = 20;
inline constexpr int kExitUnreachable = 21;
inline constexpr int kExitLost = 22;
inline constexpr int kExitClosedOtherwise = 23;
inline constexpr int kExitUsage = 64;  // sysexits.h

// A gRPC code's name; any int is allowed.
std::string CodeName(int code);

int ExitStatus(const DialEnding& ending);

// One line for a person, without its end: "closed 4005 (NOT_FOUND): no room".
// Control characters in what the other side said are escaped.
std::string Describe(const DialEnding& ending);

// One line for a program, without its end: a JSON object with "close" or
// "http", and "code", "status" and "message"; null for what there is not.
std::string StatusJson(const DialEnding& ending);

// How long the other side asks us to stay away: the "retry-after=3s" that ends
// a Close frame's reason, or the Retry-After header of a refusal, in seconds.
// Not longer than 5 min.
std::optional<absl::Duration> RetryAfter(const DialEnding& ending);

// Whether connecting again may help: the connection broke or could not be
// made, or the other side goes away, restarts or is overloaded.
bool IsPassing(const DialEnding& ending);

}  // namespace headgate

#endif  // CMD_HEADGATE_DIAL_ENDING_H_
