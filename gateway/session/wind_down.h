#ifndef GATEWAY_SESSION_WIND_DOWN_H_
#define GATEWAY_SESSION_WIND_DOWN_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "gateway/base/status.h"
#include "gateway/session/transport.h"

namespace headgate {

// How sessions are told that the gateway stops.
struct DrainOrder {
  absl::Time now;
  // Until then a call may end by itself, if it is about to.
  absl::Time deadline;
  std::string reason;  // Of the Close frame.
};

// A backend that has sent nothing for this long has sent all that it had to,
// when the gateway stops or its client has broken a rule.
constexpr absl::Duration kDrainSilence = absl::Milliseconds(100);
// A backend that goes on sending has this long when the gateway stops.
constexpr absl::Duration kDrainPatience = absl::Seconds(2);

// What the calls of a session may still send to the client.
struct Outlook {
  // There is no call to wait for.
  bool has_ended = false;
  // A backend may respond to what the client has sent so far.
  bool may_respond = false;
  // It has not begun to respond to the last of that.
  bool response_is_due = false;
  // All that is missing is the one response to a complete request.
  bool only_response_is_due = false;
  // The client is slow, and more may be behind what it has not taken: nothing
  // is known of the backend's silence.
  bool reads_are_withheld = false;
};

// Decides when a session may end that has to, after the responses to what its
// client sent before: on a drain of the gateway, or on a fault of the client's
// after which nothing more is read (parting). A fault takes precedence.
//
// Pure. Thread: the session's worker.
class WindDown {
 public:
  void Drain(const DrainOrder& order);
  // `ending`: of the fault.
  void Part(Ending ending, const AnswerWait& wait);

  bool is_active() const { return drain_ != nullptr || fault_ != nullptr; }
  bool is_draining() const { return drain_ != nullptr; }
  // Null unless the session is parting.
  const Ending* fault() const {
    return fault_ == nullptr ? nullptr : &fault_->ending;
  }

  // A backend has sent something.
  void OnResponse() { responded_ = true; }

  // How the session ends, if it is time.
  std::optional<Ending> Check(absl::Time now, const Outlook& outlook);

 private:
  struct Fault {
    Ending ending;
    absl::Time deadline;
  };

  bool HasParted(absl::Time now, const Outlook& outlook);
  bool HasDrained(absl::Time now, const Outlook& outlook);
  bool IsSilent(absl::Time now, const Outlook& outlook);

  std::unique_ptr<const DrainOrder> drain_;
  std::unique_ptr<const Fault> fault_;
  absl::Time silent_since_;
  bool responded_ = false;  // Since the last look.
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_WIND_DOWN_H_
