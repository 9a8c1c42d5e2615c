#ifndef GATEWAY_ADMIN_GATEWAY_H_
#define GATEWAY_ADMIN_GATEWAY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/admin/stats.h"
#include "gateway/config/settings.h"
#include "gateway/http/handshake.h"
#include "gateway/route/http_rules.h"
#include "gateway/schema/schema.h"
#include "gateway/session/tap.h"

namespace headgate {

// A session, for who runs the gateway.
struct SessionInfo {
  // Its connection's, in the order of arrival; where a page of a list ends.
  std::uint64_t number = 0;
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

// What a session is chosen by.
struct SessionKeys {
  absl::string_view id;
  absl::string_view peer;
  absl::string_view upstream;
  absl::string_view method;
  absl::string_view codec;
  absl::FunctionRef<std::string()> route;  // Its name, made when it is needed.
};

// Which sessions are asked for; what is empty is any.
struct SessionFilter {
  std::string id;
  std::string peer;
  std::string route;
  std::string upstream;
  std::string method;
  std::string codec;

  bool Matches(const SessionKeys& session) const;
};

// Which part of a list of sessions is asked for.
struct SessionPage {
  std::uint64_t after = 0;  // SessionInfo::number of the last one before it.
  std::size_t limit = 0;
};

struct SessionList {
  std::vector<SessionInfo> sessions;  // The oldest first.
  std::size_t matching = 0;           // All that fit, also beyond the page.
  bool has_more = false;              // Behind the page.
  bool complete = true;  // Whether each worker has answered in time.

  // Takes over those of another worker.
  void Merge(SessionList other);
  // Leaves the `limit` oldest, the oldest first.
  void Cut(std::size_t limit);
};

// What is known of an upstream's descriptors.
struct KnownSchema {
  std::shared_ptr<const Schema> schema;         // Null: nothing.
  std::shared_ptr<const HttpRules> http_rules;  // Of `schema`.
  // Reflection may know more.
  bool may_grow = false;
};

// A request that nobody has sent: what would it lead to?
struct ExplainQuery {
  // "ws://HOST[:PORT]/PATH", wss: for a WebSocket, http: or https: for plain
  // HTTP; "/PATH" is a WebSocket to the listener's own address.
  std::string url;
  std::string verb = "GET";
  // Names and values, besides those that every such request has.
  std::vector<std::pair<std::string, std::string>> headers;
  bool http2 = false;
  std::string peer = "127.0.0.1";  // The client's address.
  // As the configuration has it; empty: the one with the URL's port, or the
  // only one.
  std::string listener;
};

// A hub, for operators.
struct HubInfo {
  struct Stream {
    std::string state;
    std::string incarnation;
    std::uint64_t sessions = 0;
    std::uint64_t queued_bytes = 0;
  };

  std::string route;
  std::string upstream;
  std::string method;
  // Its state: none, opening, replaying, live, lost; of several streams that of
  // the one that is furthest from live.
  std::string stream;
  std::string incarnation;  // Of several streams the first one's.
  std::uint64_t sessions = 0;
  std::uint64_t groups = 0;
  std::uint64_t queued_bytes = 0;    // Events that wait for the stream.
  std::vector<Stream> streams = {};  // If there are several.
};

// Groups of a hub, with the number of their members.
struct HubGroupPage {
  std::string route;
  std::string after;  // The name of the last group before it.
  std::size_t limit = 0;
};
struct HubGroupList {
  bool found = false;  // Whether the route is a hub.
  std::vector<std::pair<std::string, std::size_t>> groups;  // By name.
};

enum class SessionClosed { kYes, kNotFound, kUnknown };

// The event loop of a worker.
struct WorkerHealth {
  absl::Duration silence;  // Since it was last seen to run.
  bool stalled = false;
};

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
  // Of each worker; asks none of them.
  virtual std::vector<WorkerHealth> GetHealth() = 0;
  // A worker that does not answer within two seconds or so counts as it did
  // when it last answered.
  virtual void GetStats(std::function<void(const Stats&)> callback) = 0;
  virtual void ListSessions(
      SessionFilter filter, SessionPage page,
      std::function<void(const SessionList&)> callback) = 0;
  virtual void ListHubs(
      std::function<void(const std::vector<HubInfo>&)> callback) = 0;
  virtual void ListHubGroups(
      HubGroupPage page, std::function<void(const HubGroupList&)> callback) = 0;
  // Ends the session with Close 1008. kUnknown: a worker has not answered.
  virtual void CloseSession(std::string id,
                            std::function<void(SessionClosed)> callback) = 0;
  // From `done` on all sessions show `sink` what happens, until RemoveTap.
  virtual void AddTap(std::shared_ptr<TapSink> sink,
                      std::function<void()> done) = 0;
  virtual void RemoveTap(std::shared_ptr<const TapSink> sink) = 0;
  // Asks nobody.
  virtual KnownSchema GetKnownSchema(const std::string& upstream) = 0;
  // Of each of settings().listeners, until the next reload.
  virtual std::vector<const HandshakePolicy*> policies() const = 0;
  virtual const Settings& settings() const = 0;  // Those in use.
  // Whether it is draining, for the metrics.
  virtual bool draining() const = 0;

 protected:
  ~Gateway() = default;
};

}  // namespace headgate

#endif  // GATEWAY_ADMIN_GATEWAY_H_
