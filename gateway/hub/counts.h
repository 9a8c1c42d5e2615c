#ifndef GATEWAY_HUB_COUNTS_H_
#define GATEWAY_HUB_COUNTS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/base/histogram.h"

namespace headgate {

// Where a publication comes from.
enum class HubSource { kStream, kApi, kClient, kElsewhere };

// What happened in a hub, for the metrics.
struct HubCounts {
  // By the number of the field in headgate.v1.Command; 0: a command that is not
  // known. Empty: there is no such command.
  static constexpr std::array<absl::string_view, 13> kCommands = {
      "unknown",  "",     "accept", "reject", "send",   "broadcast", "close",
      "set_data", "join", "leave",  "refuse", "expire", "ack"};
  static constexpr std::array<absl::string_view, 3> kOutcomes = {
      "ok", "not_found", "failed"};

  HubCounts();

  // `command`: an index of kCommands.
  void CountCommand(std::size_t command, const absl::Status& status);
  // Adds what another hub has counted.
  void Add(const HubCounts& other);

  // Events.
  std::uint64_t joined = 0;
  std::uint64_t messages = 0;
  std::uint64_t left = 0;
  std::array<std::array<std::uint64_t, kOutcomes.size()>, kCommands.size()>
      commands = {};
  // Broadcasts of the backend, and requests of the API that have found
  // receivers.
  std::uint64_t published_by_stream = 0;
  std::uint64_t published_by_api = 0;
  std::uint64_t published_by_clients = 0;
  // Other gateways' that have found receivers here.
  std::uint64_t published_elsewhere = 0;
  // Joins of clients with a position: nothing is missing, or it may be, or they
  // have failed.
  std::uint64_t recoveries = 0;
  std::uint64_t recoveries_lost = 0;
  std::uint64_t recoveries_failed = 0;
  std::uint64_t gaps = 0;  // That clients were told of.
  // Clients that have come back with a token: it was good, or not.
  std::uint64_t resumes = 0;
  std::uint64_t resumes_refused = 0;
  std::uint64_t deliveries = 0;
  std::uint64_t encodings = 0;
  // Times that one message or several were given to a client's connection.
  std::uint64_t sends = 0;
  // From a publication until a worker has given it to its connections, s.
  Histogram fanout;
  std::uint64_t streams_opened = 0;
  std::uint64_t streams_lost = 0;
  std::uint64_t abandoned = 0;  // Sessions.
  std::uint64_t dropped = 0;    // Messages, by the slow-client policy.
  std::uint64_t slow = 0;       // Sessions that it has disconnected.
};

}  // namespace headgate

#endif  // GATEWAY_HUB_COUNTS_H_
