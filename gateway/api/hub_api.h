#ifndef GATEWAY_API_HUB_API_H_
#define GATEWAY_API_HUB_API_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/config/settings.h"
#include "gateway/hub/cluster_requests.h"

namespace headgate {

// The hubs, as the API reaches them from threads that are not theirs.
class HubApiHost {
 public:
  // Calls `work` once, on the hub thread, when the hubs have room for what it
  // sends; `bytes` is what it holds until then. It gets RESOURCE_EXHAUSTED
  // where too much waits already, on any thread.
  using Work = std::function<void(absl::StatusOr<ClusterRequests*>)>;
  virtual void RunOnHubs(std::size_t bytes, Work work) = 0;
  // A request has ended; safe for any thread. `method`: of HubService, its name
  // alone.
  virtual void OnApiRequest(absl::string_view method,
                            const absl::Status& status) = 0;

 protected:
  ~HubApiHost() = default;
};

// headgate.v1.HubService and server reflection, on gRPC's own threads: these
// check grants and hand requests over to the hub thread, one after the other
// for each caller.
//
// Thread: any. Lifetime: `host` must outlive it; destroying it waits until
// `host` has run what it was given, but for streams that were cancelled.
class HubApi {
 public:
  // Fails as OpenListener does when the address cannot be listened on.
  // `max_connections`: see ApiListener.
  static absl::StatusOr<std::unique_ptr<HubApi>> Start(
      const HubApiSettings& settings, HubApiHost& host,
      std::size_t max_connections);
  virtual ~HubApi() = default;
  // The connections that it serves at a time where the process may have so many
  // descriptors; each takes two.
  static std::size_t MostConnections(std::uint64_t descriptor_limit);
  // The names of HubService's methods.
  static std::vector<absl::string_view> Methods();

  // With the port that was taken for 0.
  virtual const std::string& address() const = 0;
};

}  // namespace headgate

#endif  // GATEWAY_API_HUB_API_H_
