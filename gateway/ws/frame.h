#ifndef GATEWAY_WS_FRAME_H_
#define GATEWAY_WS_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "gateway/base/status.h"

namespace headgate::ws {

// The frames of RFC 6455 section 5.2. Pure; safe for any thread.

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

// Undoes the mask of `size` bytes, or does it (section 5.3). `key`: the four
// bytes as they are on the wire; `position`: of the first byte in its frame.
void ApplyMask(char* bytes, std::size_t size, const char* key,
               std::uint64_t position);

// Appends the head of a server's frame, whole and unmasked, to `out`; `size`
// bytes of payload have to follow. `compressed`: RSV1 (RFC 7692 section 6).
void AppendFrameHead(FrameOpcode opcode, std::size_t size, bool compressed,
                     std::string& out);

// Appends a control frame. Requires: at most kMaxControlBytes.
void AppendControlFrame(FrameOpcode opcode, absl::string_view payload,
                        std::string& out);

// Appends a Close frame; kNoStatus: without a code. `reason` is UTF-8, at most
// 123 bytes.
void AppendCloseFrame(CloseCode code, absl::string_view reason,
                      std::string& out);

// Whether an endpoint may send the code in a Close frame (section 7.4).
bool IsSendableCloseCode(int code);

}  // namespace headgate::ws

#endif  // GATEWAY_WS_FRAME_H_
