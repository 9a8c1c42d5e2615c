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

// The JetStream stream that stores the histories of groups: what is published
// below PREFIX.in, which it republishes below PREFIX.out with its offset.
struct StreamSettings {
  // Requires: `settings.nats` is set.
  static StreamSettings From(const HubSettings& settings);
  // The subject of requests for a record ("direct get", ADR-31 of
  // nats-architecture-and-design), and the body of one: the first record of
  // `subject` at offset `from` or behind it; 0: the last one.
  std::string FetchSubject() const;
  static std::string FetchBody(absl::string_view subject, std::uint64_t from);

  std::string name;
  std::string prefix;
  std::int64_t records = 0;  // Of each group.
  absl::Duration age;
  NatsSettings nats;
};

// Creates or changes the stream, or only checks it (`manage_stream: false`),
// and returns its state. Blocks, for seconds where NATS does not respond.
// UNAVAILABLE: it cannot be used; the message has the reason.
absl::StatusOr<HistoryStore> PrepareStream(natsConnection* connection,
                                           const StreamSettings& settings);

// A response of JetStream to a publication that it is to store, or to a request
// for a record.
struct StreamReply {
  bool is_not_found = false;  // There is no such record.
  std::uint64_t offset = 0;   // Of a stored record.
  absl::Time stored_at;       // Of the same.
  std::string data;
};

// UNAVAILABLE: `message` is an error, or NATS' report that there is no stream.
absl::StatusOr<StreamReply> ReplyFrom(natsMsg* message);
// Absent: there is no such record. UNAVAILABLE: `reply` is not a record.
absl::StatusOr<std::optional<StoredRecord>> RecordFrom(
    const StreamReply& reply);
// A record that the stream has republished; offset 0: `message` is not one.
StoredRecord RestoredFrom(natsMsg* message);

}  // namespace headgate

#endif  // GATEWAY_NATS_STREAM_H_
