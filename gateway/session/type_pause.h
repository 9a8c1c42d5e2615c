#ifndef GATEWAY_SESSION_TYPE_PAUSE_H_
#define GATEWAY_SESSION_TYPE_PAUSE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {

// One direction of a call waits while the server is asked for the type of an
// Any. Destroying it cancels.
class TypePause {
 public:
  bool is_active() const { return pause_ != nullptr; }

  // Has `then` called once the server has answered, or has taken too long.
  // False, and it is not called: the server is not being asked.
  // Requires: not active.
  bool Begin(SchemaSource& schemas, const std::string& full_name,
             std::function<void()> then);
  void OnTick(absl::Time now);
  void Cancel() { pause_.reset(); }

 private:
  struct Pause {
    std::unique_ptr<SchemaSource::Ticket> ticket;
    std::function<void()> then;
    std::optional<absl::Time> ends;  // Known from the first tick on.
  };

  void End();

  std::unique_ptr<Pause> pause_;  // Few calls ever have one.
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_TYPE_PAUSE_H_
