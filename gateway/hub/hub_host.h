#ifndef GATEWAY_HUB_HUB_HOST_H_
#define GATEWAY_HUB_HUB_HOST_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/base/clock.h"
#include "gateway/hub/batch.h"
#include "gateway/hub/encoder.h"
#include "gateway/hub/engine.h"
#include "gateway/hub/presence.h"
#include "gateway/hub/resume_token.h"
#include "gateway/route/group_patterns.h"
#include "gateway/route/hub_target.h"

namespace headgate {

struct HubOptions {
  HubTarget target;
  HubForm form;
  std::string route;        // Its name.
  std::string gateway;      // This process, for SessionInfo.
  std::string incarnation;  // Unique; followed by a number.
  std::size_t workers = 1;
  GroupPatterns patterns = {};
  // For how long resume tokens are good.
  absl::Duration resume_ttl = absl::Minutes(2);

  // How many streams there are.
  std::size_t streams() const {
    return target.streams == HubTarget::Streams::kPerWorker ? workers : 1;
  }
};

// What a hub needs of its surroundings.
class HubHost {
 public:
  // clock().steady.
  virtual absl::Time now() = 0;
  virtual Moment clock() = 0;
  // Has Hub::Flush called at the end of this event loop iteration.
  virtual void FlushSoon() = 0;
  // Has Hub::GoOn called after the event loop has looked at sockets.
  virtual void GoOnNext() = 0;
  virtual void HandOver(std::size_t worker, HubCommands commands) = 0;
  // Of the type HubForm::message; null: unknown so far.
  virtual const Schema* schema() = 0;
  // What the hub's sessions on other gateways are reached by; must outlive the
  // hub. Null: there are no other gateways.
  virtual HubEngine* engine() { return nullptr; }
  // Null: clients get no resume tokens. May be others with each call.
  virtual const ResumeKeys* resume_keys() { return nullptr; }
  // Has the session ended by Hub::EndReplaced, wherever it is.
  virtual void EndResumed(const std::string& /*session*/) {}
  // Null: nobody follows who is in groups.
  virtual Presence* presence() { return nullptr; }

  // For the log. `stream`: its index; `sessions`: that it has.
  virtual void OnStreamUp(std::size_t stream, bool resumes,
                          std::size_t sessions) = 0;
  virtual void OnStreamDown(std::size_t stream, const absl::Status& status,
                            std::size_t sessions) = 0;
  // They waited for the stream in vain and are closed.
  virtual void OnAbandoned(std::size_t stream, const absl::Status& status,
                           std::size_t sessions) = 0;

 protected:
  ~HubHost() = default;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_HUB_HOST_H_
