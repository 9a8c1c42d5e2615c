#ifndef GATEWAY_UPSTREAM_SCHEMA_SOURCE_H_
#define GATEWAY_UPSTREAM_SCHEMA_SOURCE_H_

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gateway/route/http_rules.h"
#include "gateway/schema/schema.h"
#include "gateway/upstream/upstream.h"

namespace headgate {

// What is known of a method when a session opens.
struct ResolvedMethod {
  // Null when no descriptor is known; `why_unknown` then says why. The method
  // belongs to `schema`.
  const Schema::Method* method = nullptr;
  std::shared_ptr<const Schema> schema;
  // OK when `method` is set. UNIMPLEMENTED: neither the descriptor sets nor the
  // server know the method, or the server has no reflection. UNAVAILABLE (or
  // another code of the upstream's): it could not be asked, or a descriptor set
  // never be read.
  absl::Status why_unknown;
};

// All that is known of an upstream at one time.
struct SchemaSnapshot {
  std::shared_ptr<const Schema> schema;
  std::shared_ptr<const HttpRules> http_rules;  // Of the same descriptors.
};

struct SchemaSourceOptions {
  // Server reflection is asked.
  bool reflection = true;
  // Descriptor sets (google.protobuf.FileDescriptorSet), read when the source
  // is made and again when a file has changed. What they define comes first:
  // of a method that they know, reflection is never waited for.
  std::vector<std::string> files;
  // Service configurations, whose HTTP rules replace annotations; read as
  // `files` are.
  std::vector<std::string> http_rules_files = {};
  // The whole conversation with the server; then UNAVAILABLE, as
  // DEADLINE_EXCEEDED would be taken for the client's deadline.
  absl::Duration fetch_timeout = absl::Seconds(5);
  // A schema older than this is fetched anew, in the background, when a method
  // is asked for.
  absl::Duration refresh_after = absl::Minutes(1);
  // A method that the schema does not know makes it be fetched anew, but not
  // more often than this: clients can ask for any name. A fetch that has taught
  // nothing new doubles the pause before the next, up to refresh_after; one
  // that has failed up to 10 s.
  absl::Duration min_fetch_interval = absl::Seconds(1);
};

class SchemaStore;

// The descriptors of one upstream as one worker has them, from descriptor sets
// and by server reflection: v1 when the server has it, else v1alpha (grpc/grpc
// doc/server-reflection.md). The files are looked at once a second at most,
// when something is asked; one that cannot be used any more leaves what it last
// defined. What is read, fetched and built is shared by all workers
// (SchemaStore).
//
// Thread:   the worker that owns it. Lifetime: `upstream` must outlive it.
class SchemaSource {
 public:
  // A question whose answer comes later. Destroying it withdraws the question.
  class Ticket {
   public:
    virtual ~Ticket() = default;
  };
  // What is known now; or a ticket, and the callback gets it once the server
  // has answered, never before the ticket is returned. The callback may destroy
  // it.
  template <typename T>
  using NowOrTicket = std::variant<T, std::unique_ptr<Ticket>>;
  using Resolution = NowOrTicket<ResolvedMethod>;
  using SnapshotOr = NowOrTicket<absl::StatusOr<SchemaSnapshot>>;
  using Callback = std::function<void(const ResolvedMethod&)>;
  using SnapshotCallback =
      std::function<void(const absl::StatusOr<SchemaSnapshot>&)>;

  virtual ~SchemaSource() = default;

  // Looks `path` up. `now` is the time of the worker's clock.
  virtual Resolution Resolve(absl::string_view path, absl::Time now,
                             Callback callback) = 0;

  // Everything that is known, for finding the rule of a request. It waits until
  // the server has answered for the first time, which may know rules that the
  // files do not. UNAVAILABLE (or another code of the upstream's) when it could
  // not be asked and nothing is known, UNIMPLEMENTED when nothing will be.
  virtual SnapshotOr Get(absl::Time now, SnapshotCallback callback) = 0;

  // Waits for the type of an Any that a conversion has met and no descriptor
  // defines: calls back once the server has answered, whatever it has. Null,
  // and it does not call back, when the server is not being asked for it. The
  // callback may destroy its ticket.
  virtual std::unique_ptr<Ticket> AwaitType(absl::string_view full_name,
                                            std::function<void()> callback) = 0;

  // Asks reflection, unless that is under way: the upstream is back, and may
  // have changed.
  virtual void Refresh(absl::Time now) = 0;
};

// Hears how each fetch went: OK and the schema, or why there is none. With
// `reflection` the status is the server's: when a file has changed, that of the
// last fetch is told again, and nothing before the first. Without, it is told
// when the source is made, and when a file has changed; UNAVAILABLE as long as
// none could be read.
// `warnings` are all that there are now: descriptor sets that cannot be used,
// what could not be built, rules that are left out (from the first Get on).
using SchemaFetched =
    std::function<void(const absl::Status& status, const Schema* schema,
                       const std::vector<std::string>& warnings)>;

// `worker` runs tasks on the thread that owns the source.
std::unique_ptr<SchemaSource> MakeSchemaSource(
    Upstream& upstream, std::shared_ptr<SchemaStore> store,
    std::function<void(std::function<void()>)> worker,
    SchemaFetched on_fetched);

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_SCHEMA_SOURCE_H_
