#include "gateway/codec/message_frames.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/gzip.h"
#include "gateway/base/utf8.h"

namespace headgate {
namespace {

// Below this, gzip saves less than it costs.
constexpr std::size_t kLeastCompressedBytes = 1024;
// Some 5 ms of the worker, in which others wait.
constexpr std::size_t kMostCompressedBytes = 256 * 1024;

}  // namespace

Compression CompressionOf(absl::string_view encoding) {
  if (encoding.empty() || absl::EqualsIgnoreCase(encoding, "identity")) {
    return Compression::kNone;
  }
  return absl::EqualsIgnoreCase(encoding, "gzip") ? Compression::kGzip
                                                  : Compression::kUnknown;
}

Ending UnknownCompression(absl::string_view encoding) {
  return EndingOf(absl::UnimplementedError(
      absl::StrCat("the request is compressed with ", ToUtf8(encoding),
                   "; gzip and identity are supported")));
}

Ending MessageTooBig(std::size_t max_message_bytes) {
  return {CloseCode::kMessageTooBig,
          CallEnd{absl::ResourceExhaustedError(absl::StrCat(
                      "a message is longer than max_message_bytes (",
                      max_message_bytes, ")")),
                  ""}};
}

MessageFrames::MessageFrames(std::size_t max_message_bytes,
                             Compression compression)
    : max_message_bytes_(max_message_bytes),
      compression_(compression),
      reader_(max_message_bytes) {}

void MessageFrames::Feed(std::string bytes) {
  bytes_ = std::move(bytes);
  taken_ = 0;
}

Decoded MessageFrames::Next() {
  const absl::string_view left = absl::string_view(bytes_).substr(taken_);
  if (left.empty()) {
    bytes_.clear();
    taken_ = 0;
    return NeedInput{};
  }
  const absl::StatusOr<std::size_t> taken = reader_.Feed(left);
  if (!taken.ok()) {
    if (absl::IsResourceExhausted(taken.status())) {
      return MessageTooBig(max_message_bytes_);
    }
    return EndingOf(absl::InvalidArgumentError(
        absl::StrCat("a message has unknown flags (0x",
                     absl::Hex(reader_.flags(), absl::kZeroPad2), ")")));
  }
  taken_ += *taken;
  if (!reader_.complete()) return Next();  // All is taken.
  const bool compressed = reader_.compressed();
  return Message(compressed, reader_.Take());
}

Decoded MessageFrames::Message(bool compressed, std::string payload) const {
  if (!compressed) return RequestMessage{std::move(payload)};
  if (compression_ != Compression::kGzip) {
    return EndingOf(
        absl::InternalError("a message is compressed, and no header says how"));
  }
  absl::StatusOr<std::string> plain =
      GzipDecompress(payload, max_message_bytes_);
  if (plain.ok()) return RequestMessage{*std::move(plain)};
  if (absl::IsResourceExhausted(plain.status())) {
    return MessageTooBig(max_message_bytes_);
  }
  return EndingOf(absl::InvalidArgumentError("a message is not valid gzip"));
}

bool CompressIfItPays(std::string& message) {
  if (message.size() < kLeastCompressedBytes ||
      message.size() > kMostCompressedBytes) {
    return false;
  }
  std::string compressed = GzipCompress(message);
  if (compressed.empty() || compressed.size() >= message.size()) return false;
  message = std::move(compressed);
  return true;
}

std::string FrameMessage(std::string message, Compression compression) {
  const bool is_compressed =
      compression == Compression::kGzip && CompressIfItPays(message);
  const std::uint8_t flags = is_compressed ? kCompressedFlag : 0;
  const MessagePrefix prefix = MakeMessagePrefix(flags, message.size());
  message.insert(0, prefix.data(), prefix.size());
  return message;
}

}  // namespace headgate
