#include "cmd/headgate/bench/dialects/framed.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace headgate {

std::string Framed(absl::string_view content) {
  const MessagePrefix prefix = MakeMessagePrefix(0, content.size());
  return absl::StrCat(absl::string_view(prefix.data(), prefix.size()), content);
}

WireMessage FramedMessage(absl::string_view content) {
  return {Opcode::kBinary, Framed(content)};
}

absl::StatusOr<std::size_t> FramedBody::Take(absl::string_view piece) {
  std::size_t messages = 0;
  while (!piece.empty()) {
    if (block_.has_value()) {
      return absl::InvalidArgumentError("bytes behind the end of the call");
    }
    const auto taken = reader_.Feed(piece);
    if (!taken.ok()) return taken.status();
    piece.remove_prefix(*taken);
    if (!reader_.complete()) break;
    const bool is_block = reader_.flags() != 0;
    std::string message = reader_.Take();
    if (is_block) {
      block_ = std::move(message);
    } else {
      ++messages;
    }
  }
  return messages;
}

absl::Status CheckGrpcStatusLines(absl::string_view lines) {
  absl::string_view status;
  absl::string_view message;
  for (const absl::string_view line : absl::StrSplit(lines, "\r\n")) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    const absl::string_view value = absl::StripAsciiWhitespace(field.second);
    if (absl::EqualsIgnoreCase(field.first, "grpc-status")) status = value;
    if (absl::EqualsIgnoreCase(field.first, "grpc-message")) message = value;
  }
  if (status == "0") return absl::OkStatus();
  if (status.empty()) {
    return absl::UnknownError("the call has ended without a grpc-status");
  }
  return absl::UnknownError(absl::StrCat("grpc-status ", status,
                                         message.empty() ? "" : ": ", message));
}

}  // namespace headgate
