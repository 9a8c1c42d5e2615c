#ifndef GATEWAY_UPSTREAM_H2_HEALTH_H_
#define GATEWAY_UPSTREAM_H2_HEALTH_H_

#include <cstddef>
#include <optional>
#include <random>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/base/message_framing.h"
#include "gateway/upstream/h2/backoff.h"
#include "gateway/upstream/h2/call.h"
#include "gateway/upstream/h2/connection.h"

namespace headgate {

// Whether calls may go over one connection, by what its server says of itself
// (grpc/grpc doc/health-checking.md, grpc.health.v1.Health/Watch): a stream of
// the connection, open for as long as that is.
//
// SERVING is the only answer by which calls may go; what cannot be understood
// ends the stream, and a stream that has ended is asked for anew after a pause.
// A server without the service, UNIMPLEMENTED, counts as healthy for good.
//
// Thread: the worker's. It is no work of the loop's, and is told nothing: who
//         wants to know looks after each of the loop's events.
// Memory: some hundred bytes, and the answer that is coming in, 4 KiB at most.
class H2HealthWatch final : private H2Stream {
 public:
  enum class Health {
    kUnknown,  // No answer yet.
    kServing,
    kNotServing,
  };

  // `options` must outlive it; the connection need not. `service` as in the
  // request, "" for the server as a whole.
  H2HealthWatch(const H2CallHost::Options& options, absl::string_view service);
  // Ends the stream.
  ~H2HealthWatch();
  H2HealthWatch(const H2HealthWatch&) = delete;
  H2HealthWatch& operator=(const H2HealthWatch&) = delete;

  // Asks. Requires: !asking(), `connection` has room.
  void Ask(H2Connection& connection);
  // Asks again where that is due: with the first tick after a stream that had
  // an answer, else after a pause.
  void OnTick(H2Connection& connection, Backoff::Clock::time_point now,
              const Backoff::Limits& limits, std::minstd_rand& random);

  // It has a stream.
  bool asking() const { return connection() != nullptr; }
  Health health() const { return health_; }
  // For the log. Requires: not kServing.
  const std::string& why() const { return why_; }

 private:
  bool is_call() const override { return false; }
  void OnHeaderBlock(HeaderBlock block, bool end_stream) override;
  void OnData(absl::string_view bytes) override;
  void OnEndStream() override;
  void OnRefused() override;
  void OnClosed(absl::Status why) override;
  Outgoing PeekOutgoing(std::size_t max) override;
  void MoveOutgoing(std::size_t bytes, std::string& to) override;
  MetadataDelivery metadata_delivery() const override {
    return MetadataDelivery::kDropped;
  }

  absl::Status TakeAnswer();
  // The server's answer makes no sense: it is told so.
  void Break(absl::Status why);
  // The stream is gone.
  void End(const absl::Status& status);

  const H2CallHost::Options& options_;
  const std::string request_;            // As it goes over the wire.
  std::size_t sent_ = 0;                 // Of it.
  std::optional<MessageReader> reader_;  // While it asks.
  bool head_came_ = false;
  bool answered_ = false;       // On this stream.
  bool ended_ = false;          // And the next tick is to hear of it.
  bool unimplemented_ = false;  // There is nothing to ask.
  Backoff backoff_;
  Health health_ = Health::kUnknown;
  std::string why_ = "health check: no answer in time";
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_HEALTH_H_
