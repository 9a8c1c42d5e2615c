#include "cmd/headgate/dial/lines.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cmd/headgate/dial/text.h"
#include "gateway/base/status.h"

namespace headgate {
namespace {

bool ParseU32(absl::string_view text, std::uint32_t& value) {
  if (absl::StartsWithIgnoreCase(text, "0x")) {
    return absl::SimpleHexAtoi(text, &value);
  }
  return absl::SimpleAtoi(text, &value);
}

std::string PacketOfLine(absl::string_view line, const LineOptions& options) {
  std::string bytes;
  bytes.reserve(kPacketHeaderBytes + line.size());
  AppendPacketHeader({options.packet.type, options.packet.who, line.size()},
                     options.wire, bytes);
  bytes.append(line.data(), line.size());
  return bytes;
}

bool IsContainer(std::uint32_t type, const PacketOptions& options) {
  return type == kContainerPacket ||
         std::find(options.container_types.begin(),
                   options.container_types.end(),
                   type) != options.container_types.end();
}

// Prints packets, one inside the other no deeper than the options say.
class PacketPrinter {
 public:
  explicit PacketPrinter(const PacketOptions& options) : options_(options) {}

  PrintedMessage Print(absl::string_view bytes) {
    std::size_t count = 0;
    out_.fault = PrintPackets(bytes, 1, out_.text, count);
    return std::move(out_);
  }

 private:
  // Appends the lines of the packets in `bytes` to `lines`.
  absl::Status PrintPackets(absl::string_view bytes, int depth,
                            std::string& lines, std::size_t& count) {
    const std::string indent(2 * (depth - 1), ' ');
    while (!bytes.empty()) {
      const auto header = ParsePacketHeader(bytes, options_);
      if (!header.ok()) return header.status();
      bytes.remove_prefix(kPacketHeaderBytes);
      if (header->content_bytes > bytes.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("a packet of ", header->content_bytes,
                         " bytes is cut short after ", bytes.size()));
      }
      const absl::string_view content = bytes.substr(0, header->content_bytes);
      bytes.remove_prefix(content.size());
      ++count;
      const std::string name = absl::StrCat(header->type, ":", header->who);
      if (header->type == kEndPacket) {
        out_.status = ParseRpcStatus(content);
      } else if (IsContainer(header->type, options_) &&
                 depth < options_.max_depth) {
        std::string inner_lines;
        std::size_t inner = 0;
        const absl::Status fault =
            PrintPackets(content, depth + 1, inner_lines, inner);
        absl::StrAppend(&lines, indent, name, " {", inner, "}\n", inner_lines);
        if (!fault.ok()) return Annotate(fault, name);
      } else if (IsPrintableLine(content)) {
        absl::StrAppend(&lines, indent, name, " ", content, "\n");
      } else {
        absl::StrAppend(&lines, indent, name,
                        " base64:", absl::Base64Escape(content), "\n");
      }
    }
    return absl::OkStatus();
  }

  const PacketOptions& options_;
  PrintedMessage out_;
};

}  // namespace

absl::StatusOr<PacketAddress> ParsePacketAddress(absl::string_view text) {
  const std::size_t colon = text.find(':');
  PacketAddress address;
  if (colon == absl::string_view::npos ||
      !ParseU32(text.substr(0, colon), address.type) ||
      !ParseU32(text.substr(colon + 1), address.who)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "': must be TYPE:WHO, two numbers of 32 bits"));
  }
  return address;
}

absl::StatusOr<std::optional<WireMessage>> MessageOfLine(
    absl::string_view line, const LineOptions& options) {
  if (!options.codec.has_value()) {
    if (line.empty()) return std::nullopt;
    return WireMessage{Opcode::kText, std::string(line)};
  }
  switch (*options.codec) {
    case CodecKind::kJson:
      // With its newline, so that errors name the same line as the user does,
      // and an empty line is not an empty message.
      return WireMessage{Opcode::kText, absl::StrCat(line, "\n")};
    case CodecKind::kRaw:
      return WireMessage{Opcode::kText, std::string(line)};
    case CodecKind::kProtobuf: {
      std::string bytes;
      if (!absl::Base64Unescape(line, &bytes)) {
        return absl::InvalidArgumentError("is not base64");
      }
      return WireMessage{Opcode::kBinary, std::move(bytes)};
    }
    case CodecKind::kPacket:
      if (line.size() >
          std::numeric_limits<std::uint32_t>::max() - kPacketHeaderBytes) {
        return absl::InvalidArgumentError("is too long for a packet");
      }
      return WireMessage{Opcode::kBinary, PacketOfLine(line, options)};
  }
  return absl::InternalError("unknown codec");
}

PrintedMessage PrintMessage(const WireMessage& message,
                            const LineOptions& options) {
  if (message.opcode == Opcode::kText) {
    absl::string_view text = message.payload;
    // White space around JSON means nothing, so a line stays one line.
    if (options.codec == CodecKind::kJson) absl::ConsumeSuffix(&text, "\n");
    return {absl::StrCat(text, "\n"), std::nullopt, absl::OkStatus()};
  }
  if (options.codec == CodecKind::kPacket) {
    return PacketPrinter(options.wire).Print(message.payload);
  }
  // Base64 alone where every answer is so.
  const absl::string_view prefix =
      options.codec == CodecKind::kProtobuf ? "" : "binary ";
  return {absl::StrCat(prefix, absl::Base64Escape(message.payload), "\n"),
          std::nullopt, absl::OkStatus()};
}

}  // namespace headgate
