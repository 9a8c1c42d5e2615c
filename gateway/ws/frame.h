#ifndef GATEWAY_WS_FRAME_H_
#define GATEWAY_WS_FRAME_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "gateway/base/status.h"

namespace headgate::ws {

// The frames of RFC 6455 section 5.2. Pure; safe for any thread.

enum class Role : std::uint8_t { kServer, kClient };

enum class FrameOpcode : std::uint8_t {
  kContinuation = 0x0,
  kText = 0x1,
  kBinary = 0x2,
  kClose = 0x8,
  kPing = 0x9,
  kPong = 0xA,
};

// Section 5.5: "All control frames MUST have a payload length of 125 bytes or
// less".
constexpr std::size_t kMaxControlBytes = 125;
// "the most significant bit MUST be 0"
constexpr std::uint64_t kMaxFrameBytes = ~std::uint64_t{0} >> 1;

// Of the head of a frame without a mask.
constexpr std::size_t kMaxServerHeadBytes = 10;

// The masking key of a client's frame, in the order of the wire (section 5.3).
using MaskKey = std::array<char, 4>;

// Masks `size` bytes, or removes their mask. `position`: of the first byte in
// the payload of its frame.
void ApplyMask(char* bytes, std::size_t size, const MaskKey& key,
               std::uint64_t position);

// The functions below append to `out`. `mask`: of a client's frame; null for a
// server's, which has none.

// The head of a frame with FIN; `size` bytes of payload must follow, masked if
// `mask` is not null. `compressed`: sets RSV1 (RFC 7692 section 6).
void AppendFrameHead(FrameOpcode opcode, std::size_t size, bool compressed,
                     const MaskKey* mask, std::string& out);

// A whole frame, not compressed. Control frames require at most
// kMaxControlBytes.
void AppendFrame(FrameOpcode opcode, absl::string_view payload,
                 const MaskKey* mask, std::string& out);

// A Close frame; kNoStatus: without a code. `reason` is UTF-8, at most 123
// bytes.
void AppendCloseFrame(CloseCode code, absl::string_view reason,
                      const MaskKey* mask, std::string& out);

// Whether an endpoint may send the code in a Close frame (section 7.4).
bool IsSendableCloseCode(int code);

}  // namespace headgate::ws

#endif  // GATEWAY_WS_FRAME_H_
