#ifndef GATEWAY_UPSTREAM_SCHEMA_SOURCE_H_
#define GATEWAY_UPSTREAM_SCHEMA_SOURCE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/schema/schema.h"
#include "gateway/upstream/upstream.h"

namespace headgate {

// What is known of a method when a session opens.
struct ResolvedMethod {
  // Null when no descriptor is known; `why_unknown` then says why. The method
  // belongs to `schema`.
  const Schema::Method* method = nullptr;
  std::shared_ptr<const Schema> schema;
  // OK when `method` is set. UNIMPLEMENTED: the server has reflection and does
  // not know the method, or it has no reflection. UNAVAILABLE (or another code
  // of the upstream's): it could not be asked.
  absl::Status why_unknown;
};

struct SchemaSourceOptions {
  // The whole conversation with the server; then UNAVAILABLE... as
  // DEADLINE_EXCEEDED is not the client's deadline.
  absl::Duration fetch_timeout = absl::Seconds(5);
  // A schema older than this is fetched anew, in the background, when a method
  // is asked for.
  absl::Duration refresh_after = absl::Minutes(1);
  // A method that the schema does not know makes it be fetched anew, but not
  // more often than this: clients can ask for any name.
  absl::Duration min_fetch_interval = absl::Seconds(1);
};

// The descriptors of one upstream, by server reflection: v1 when the server
// has it, else v1alpha (grpc/grpc doc/server-reflection.md).
//
// Thread:   the worker that owns it. Lifetime: `upstream` must outlive it.
class SchemaSource {
 public:
  // Cancels a Resolve that has not answered when destroyed.
  class Ticket {
   public:
    virtual ~Ticket() = default;
  };
  using Callback = std::function<void(const ResolvedMethod&)>;

  virtual ~SchemaSource() = default;

  // Looks `path` up. Calls back at once (before it returns, returning null)
  // when the answer is known, else once the server has answered. The callback
  // may destroy its ticket. `now` is the time of the worker's clock.
  virtual std::unique_ptr<Ticket> Resolve(absl::string_view path,
                                          absl::Time now,
                                          Callback callback) = 0;
};

// Hears how each fetch went: OK and the schema, or why there is none.
using SchemaFetched =
    std::function<void(const absl::Status& status, const Schema* schema,
                       const std::vector<std::string>& warnings)>;

std::unique_ptr<SchemaSource> MakeReflectionSource(Upstream& upstream,
                                                   SchemaSourceOptions options,
                                                   SchemaFetched on_fetched);

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_SCHEMA_SOURCE_H_
