#ifndef GATEWAY_NET_PENDING_WRITE_H_
#define GATEWAY_NET_PENDING_WRITE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "gateway/net/byte_stream.h"

namespace headgate {

// The one write that a connection has under way: up to three pieces, one behind
// the other, given to the stream as it takes them.
class PendingWrite {
 public:
  enum class State {
    kNone,
    kUnderWay,  // The stream has not taken all of it.
    kTaken,     // All of it; the owner has not been notified.
    kFailed,    // The stream has failed; likewise.
  };

  State state() const { return state_; }
  bool is_pending() const { return state_ != State::kNone; }

  // Requires: !is_pending().
  void Begin(std::array<std::string, 3> pieces);
  // Gives the stream what it takes now. Returns the state: kUnderWay means that
  // it would block. Requires: is_pending().
  State Continue(ByteStream& stream);
  // Frees the bytes. Returns whether all of them were taken.
  bool Complete();

  // Whether the peer has taken nothing for `patience`; false where nothing is
  // pending. Measured from the first call after Begin. `taken`: see
  // ByteStream::BytesTaken.
  bool IsStalled(absl::Time now, std::uint64_t taken, absl::Duration patience);

  std::size_t held_bytes() const;

 private:
  State state_ = State::kNone;
  std::array<std::string, 3> pieces_;
  std::size_t sent_ = 0;  // Bytes of all pieces.
  std::optional<absl::Time> stalled_since_;
  std::uint64_t taken_ = 0;  // At the last call of IsStalled.
};

}  // namespace headgate

#endif  // GATEWAY_NET_PENDING_WRITE_H_
