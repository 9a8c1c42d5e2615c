#ifndef CMD_HEADGATE_BENCH_DIALECTS_FRAMED_H_
#define CMD_HEADGATE_BENCH_DIALECTS_FRAMED_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/base/message_framing.h"
#include "gateway/codec/wire_message.h"

namespace headgate {

// A message behind its prefix (message_framing.h).
std::string Framed(absl::string_view content);
WireMessage FramedMessage(absl::string_view content);

// Length-prefixed messages in a body, the last of which may be a block that
// tells how the call has ended. Messages are counted and dropped.
//
// Thread: one at a time.
class FramedBody {
 public:
  // `block_flag`: of the block; 0: there is none.
  explicit FramedBody(std::uint8_t block_flag)
      : reader_(kMaxMessageBytes, block_flag) {}

  // How many messages end with this piece.
  absl::StatusOr<std::size_t> Take(absl::string_view piece);

  // The block; nullopt: it has not come.
  const std::optional<std::string>& block() const { return block_; }
  // Another body follows.
  void Reset() { block_.reset(); }

 private:
  static constexpr std::size_t kMaxMessageBytes = 64 * 1024 * 1024;

  MessageReader reader_;
  std::optional<std::string> block_;
};

// The failure in lines "name: value" (a gRPC-Web block of trailers) with a
// status that is not OK.
absl::Status CheckGrpcStatusLines(absl::string_view lines);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_DIALECTS_FRAMED_H_
