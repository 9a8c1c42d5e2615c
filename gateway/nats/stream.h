#ifndef GATEWAY_NATS_STREAM_H_
#define GATEWAY_NATS_STREAM_H_

#include <cstdint>
#include <optional>
#include <string>

#include <nats/nats.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/config/settings.h"
#include "gateway/hub/histories.h"

namespace headgate {

// The stream of JetStream that has the histories of groups: it stores what is
// published below PREFIX.in, and publishes it below PREFIX.out with the offset.
struct StreamSettings {
  static StreamSettings From(const HubSettings& settings);
  // Of requests for a record ("direct get").
  std::string FetchSubject() const;
  // See Histories::Host::Fetch.
  static std::string FetchBody(absl::string_view subject, std::uint64_t from);

  std::string name;
  std::string prefix;
  std::int64_t records = 0;  // Of each group.
  absl::Duration age;
  NatsSettings nats;
};

// Creates or changes the stream, or checks it. Blocks for seconds where NATS
// does not answer. UNAVAILABLE, with the reason.
absl::StatusOr<HistoryStore> PrepareStream(natsConnection* connection,
                                           const StreamSettings& settings);

// A response of JetStream.
struct StreamReply {
  bool is_not_found = false;
  std::uint64_t offset = 0;  // Of a stored record.
  std::string data;
};

// UNAVAILABLE if it is NATS' report that there is no stream, or an error.
absl::StatusOr<StreamReply> ReplyFrom(natsMsg* message);
absl::StatusOr<std::optional<StoredRecord>> RecordFrom(
    const StreamReply& reply);
// What the stream publishes; without an offset if it is not the stream's.
StoredRecord RestoredFrom(natsMsg* message);

}  // namespace headgate

#endif  // GATEWAY_NATS_STREAM_H_
