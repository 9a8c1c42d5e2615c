#include "cmd/headgate/dial/lines.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cmd/headgate/dial/text.h"
#include "gateway/base/message_framing.h"
#include "gateway/base/status.h"
#include "gateway/codec/grpc_websockets.h"

namespace headgate {
namespace {

// Stands for the type of an end packet.
constexpr absl::string_view kEndWord = "end:";
constexpr int kUnknown = 2;  // The gRPC code.

bool ParseU32(absl::string_view text, std::uint32_t& value) {
  if (absl::StartsWithIgnoreCase(text, "0x")) {
    return absl::SimpleHexAtoi(text, &value);
  }
  return absl::SimpleAtoi(text, &value);
}

absl::StatusOr<std::string> FromHex(absl::string_view text) {
  if (text.size() % 2 != 0 ||
      !std::all_of(text.begin(), text.end(), absl::ascii_isxdigit)) {
    return absl::InvalidArgumentError("is not hexadecimal");
  }
  return absl::HexStringToBytes(text);
}

absl::StatusOr<std::string> FromBase64(absl::string_view text) {
  std::string bytes;
  if (!absl::Base64Unescape(text, &bytes)) {
    return absl::InvalidArgumentError("is not base64");
  }
  return bytes;
}

// The address that a line begins with, "7:42" or "end:42", and takes it away
// with the blank behind it.
absl::StatusOr<PacketAddress> TakeAddress(absl::string_view& line) {
  const absl::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  absl::ConsumePrefix(&line, " ");
  absl::string_view who = word;
  if (absl::ConsumePrefix(&who, kEndWord)) {
    PacketAddress end{kEndPacket, 0};
    if (ParseU32(who, end.who) && line.empty()) return end;
  } else if (auto address = ParsePacketAddress(word); address.ok()) {
    return address;
  }
  return absl::InvalidArgumentError(
      "does not begin with TYPE:WHO, and is not end:WHO");
}

absl::StatusOr<LineMessage> PacketOfLine(absl::string_view line,
                                         const LineOptions& options) {
  PacketAddress address;
  if (options.packet.has_value()) {
    address = *options.packet;
  } else {
    auto taken = TakeAddress(line);
    if (!taken.ok()) return taken.status();
    address = *taken;
  }
  absl::StatusOr<std::string> content = std::string(line);
  if (options.content == ContentForm::kBase64) content = FromBase64(line);
  if (options.content == ContentForm::kHex) content = FromHex(line);
  if (!content.ok()) return content.status();
  if (content->size() >
      std::numeric_limits<std::uint32_t>::max() - kPacketHeaderBytes) {
    return absl::InvalidArgumentError("is too long for a packet");
  }
  LineMessage message{{Opcode::kBinary, ""}};
  std::string& bytes = message.wire.payload;
  bytes.reserve(kPacketHeaderBytes + content->size());
  AppendPacketHeader({address.type, address.who, content->size()}, options.wire,
                     bytes);
  bytes.append(*content);
  if (address.type != kEndPacket) message.who = address.who;
  return message;
}

std::string PrintedContent(absl::string_view content, ContentForm form) {
  switch (form) {
    case ContentForm::kBase64:
      return absl::Base64Escape(content);
    case ContentForm::kHex:
      return absl::BytesToHexString(content);
    case ContentForm::kAsCodec:
      break;
  }
  if (IsPrintableLine(content)) return std::string(content);
  return absl::StrCat("base64:", absl::Base64Escape(content));
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
  explicit PacketPrinter(const LineOptions& options)
      : options_(options.wire), form_(options.content) {}

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
      if (header->type == kEndPacket && depth == 1) {
        const CallEnded ended{
            header->who, ParseRpcStatus(content).value_or(
                             RpcStatus{kUnknown, "its status cannot be read"})};
        absl::StrAppend(&lines, kEndWord, ended.who, " ",
                        CodeName(ended.status.code));
        if (!ended.status.message.empty()) {
          absl::StrAppend(&lines, ": ", OneLine(ended.status.message));
        }
        lines += "\n";
        for (const std::string& detail : ended.status.details) {
          out_.notes.push_back(absl::StrCat("< detail: ", detail));
        }
        out_.ends.push_back(ended);
      } else if (IsContainer(header->type, options_) &&
                 depth < options_.max_depth) {
        std::string inner_lines;
        std::size_t inner = 0;
        const absl::Status fault =
            PrintPackets(content, depth + 1, inner_lines, inner);
        absl::StrAppend(&lines, indent, name, " {", inner, "}\n", inner_lines);
        if (!fault.ok()) return Annotate(fault, name);
      } else {
        absl::StrAppend(&lines, indent, name, " ",
                        PrintedContent(content, form_), "\n");
      }
    }
    return absl::OkStatus();
  }

  const PacketOptions& options_;
  const ContentForm form_;
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

absl::StatusOr<std::optional<LineMessage>> MessageOfLine(
    absl::string_view line, const LineOptions& options) {
  if (options.codec == nullptr) {
    if (line.empty()) return std::nullopt;
    return LineMessage{{Opcode::kText, std::string(line)}};
  }
  if (options.codec == &kPacketDialect) return PacketOfLine(line, options);
  if (options.codec == &kProtobufDialect ||
      options.codec == &kGrpcWebSocketsDialect) {
    auto bytes =
        options.content == ContentForm::kHex ? FromHex(line) : FromBase64(line);
    if (!bytes.ok()) return bytes.status();
    if (options.codec == &kGrpcWebSocketsDialect) {
      const MessagePrefix prefix = MakeMessagePrefix(0, bytes->size());
      // A byte 0 says that the stream of messages goes on.
      bytes->insert(0, prefix.data(), prefix.size());
      bytes->insert(0, 1, '\0');
    }
    return LineMessage{{Opcode::kBinary, *std::move(bytes)}};
  }
  if (options.codec == &kJsonDialect) {
    // With its newline, so that errors name the same line as the user does,
    // and an empty line is not an empty message.
    return LineMessage{{Opcode::kText, absl::StrCat(line, "\n")}};
  }
  return LineMessage{{Opcode::kText, std::string(line)}};
}

WireMessage HalfCloseMessage(const LineOptions& options) {
  if (options.codec == &kGrpcWebSocketsDialect) {
    return {Opcode::kBinary, "\x01"};
  }
  return {Opcode::kText, ""};
}

PrintedMessage PrintMessage(const WireMessage& message,
                            const LineOptions& options) {
  if (message.opcode == Opcode::kText) {
    absl::string_view text = message.payload;
    // White space around JSON means nothing, so a line stays one line.
    if (options.codec == &kJsonDialect) absl::ConsumeSuffix(&text, "\n");
    return {absl::StrCat(text, "\n"), {}, absl::OkStatus()};
  }
  if (options.codec == &kPacketDialect) {
    return PacketPrinter(options).Print(message.payload);
  }
  // Without a word before it where every message is so.
  const bool is_bytes = options.codec == &kProtobufDialect ||
                        options.codec == &kGrpcWebSocketsDialect;
  const absl::string_view prefix = is_bytes ? "" : "binary ";
  const ContentForm form = options.content == ContentForm::kHex
                               ? ContentForm::kHex
                               : ContentForm::kBase64;
  return {absl::StrCat(prefix, PrintedContent(message.payload, form), "\n"),
          {},
          absl::OkStatus()};
}

}  // namespace headgate
