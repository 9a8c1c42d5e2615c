#ifndef GATEWAY_ADMIN_GATEWAY_H_
#define GATEWAY_ADMIN_GATEWAY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gateway/admin/stats.h"
#include "gateway/config/settings.h"

namespace headgate {

// A session, for who runs the gateway.
struct SessionInfo {
  std::string id;
  std::string peer;  // The client's address.
  std::string route;
  std::string upstream;
  std::string method;
  std::string codec;  // "none" as long as it is not known.
  absl::Time opened_at;
  std::uint64_t messages_in = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t messages_out = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t buffered_in = 0;   // Bytes that wait for the backend,
  std::uint64_t buffered_out = 0;  // and for the client.
};

// Which sessions are asked for; what is empty is any.
struct SessionFilter {
  std::string id;
  std::string peer;
  std::string route;
  std::string upstream;
  std::string method;
  std::string codec;

  bool Matches(const SessionInfo& session) const;
};

struct SessionList {
  std::vector<SessionInfo> sessions;  // The oldest first.
  std::size_t matching = 0;           // All that fit, also beyond the limit.
};

// Leaves the `limit` oldest, the oldest first.
void KeepOldest(std::size_t limit, std::vector<SessionInfo>& sessions);

struct Readiness {
  bool ready = false;
  std::string reason;  // Why not.
};

// The gateway as the admin listener sees it.
//
// Thread: the control thread's, for calls and callbacks; a callback comes
// later, never from within.
class Gateway {
 public:
  virtual Readiness GetReadiness() = 0;
  virtual void GetStats(std::function<void(const Stats&)> callback) = 0;
  virtual void ListSessions(
      SessionFilter filter, std::size_t limit,
      std::function<void(const SessionList&)> callback) = 0;
  // Ends the session with Close 1008. `found`: whether there was one.
  virtual void CloseSession(std::string id,
                            std::function<void(bool found)> callback) = 0;
  virtual const Settings& settings() const = 0;  // Those in use.
  // Whether it is draining, for the metrics.
  virtual bool draining() const = 0;

 protected:
  ~Gateway() = default;
};

}  // namespace headgate

#endif  // GATEWAY_ADMIN_GATEWAY_H_
