#ifndef CMD_HEADGATE_DIAL_LINES_H_
#define CMD_HEADGATE_DIAL_LINES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cmd/headgate/dial/ending.h"
#include "gateway/codec/dialect.h"
#include "gateway/codec/packet.h"

namespace headgate {

// How lines and WebSocket messages correspond; pure, safe for any thread.

struct PacketAddress {
  std::uint32_t type = 0;
  std::uint32_t who = 0;
};

// "TYPE:WHO", each decimal or 0x and hexadecimal.
absl::StatusOr<PacketAddress> ParsePacketAddress(absl::string_view text);

// How bytes stand in lines: the content of packets, and protobuf's messages.
enum class ContentForm {
  kAsCodec,  // Packets as they are, where they are text; protobuf in base64.
  kBase64,
  kHex,
};

struct LineOptions {
  const Dialect* codec = nullptr;  // None: lines are texts.
  // Of the packets that lines become; none: each line begins with its own.
  std::optional<PacketAddress> packet = PacketAddress{};
  ContentForm content = ContentForm::kAsCodec;
  PacketOptions wire = {};
};

struct LineMessage {
  WireMessage wire;
  // Of a packet that is not an end packet: its `who`, which is the number of a
  // call on a route with several.
  std::optional<std::uint32_t> who = std::nullopt;
};

// The message that a line becomes; `line` is without its newline. nullopt: it
// is not sent, because an empty text would end the client's side.
// INVALID_ARGUMENT when the codec cannot take it.
absl::StatusOr<std::optional<LineMessage>> MessageOfLine(
    absl::string_view line, const LineOptions& options);

// What ends the client's side. Requires: the codec is not raw.
WireMessage HalfCloseMessage(const LineOptions& options);

// What a WebSocket message looks like.
struct PrintedMessage {
  std::string text;  // Whole lines.
  // The end packets that were among them.
  std::vector<CallEnded> ends;
  // Why the rest of the message could not be read.
  absl::Status fault = absl::OkStatus();
  // What is told of the call besides its responses, "< name: value".
  std::vector<std::string> notes = {};
};

PrintedMessage PrintMessage(const WireMessage& message,
                            const LineOptions& options);

}  // namespace headgate

#endif  // CMD_HEADGATE_DIAL_LINES_H_
