#ifndef GATEWAY_ADMIN_TAP_STREAM_H_
#define GATEWAY_ADMIN_TAP_STREAM_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "gateway/admin/gateway.h"
#include "gateway/admin/tap_json.h"
#include "gateway/admin/tap_queue.h"

namespace headgate {

// What the reader of a tap asks for.
struct TapRequest {
  TapFilter filter;
  TapContent content = TapContent::kRedacted;
  TapLimits limits;
};

// The lines of one tap, from the workers' events. The first one says that every
// worker has it: {"event":"tapping"}. Dropped events are told where they are
// missing: {"event":"dropped","count":7}, with all that were dropped so far.
//
// Thread:   the gateway's.
// Lifetime: destroying it ends the tap; `gateway` must outlive it.
class TapStream {
 public:
  // Runs a task on the gateway's thread, later; called by workers.
  using Executor = std::function<void(std::function<void()>)>;

  // `ready`: Take has something to return, after one that has returned nothing.
  TapStream(const TapRequest& request, Gateway& gateway, Executor executor,
            std::function<void()> ready);
  ~TapStream();
  TapStream(const TapStream&) = delete;

  // The next lines, some 256 at most; empty: none are there.
  std::string Take(absl::Time now);

 private:
  // Null: nothing is known.
  const Schema* SchemaFor(const TapEvent& event, absl::Time now);

  struct Known {
    std::shared_ptr<const Schema> schema;
    absl::Time at;
  };

  const TapContent content_;
  Gateway& gateway_;
  std::shared_ptr<TapQueue> queue_;
  std::map<std::string, Known> known_;  // By upstream.
  std::string greeting_;
  std::uint64_t dropped_ = 0;  // Of those that were told.
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace headgate

#endif  // GATEWAY_ADMIN_TAP_STREAM_H_
