#include "gateway/codec/codec.h"

#include <array>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

struct Entry {
  CodecKind kind;
  absl::string_view name;
  absl::string_view subprotocol;
};

constexpr std::array<Entry, 4> kCodecs = {{
    {CodecKind::kPacket, "packet", "headgate.packet.v1"},
    {CodecKind::kJson, "json", "headgate.json.v1"},
    {CodecKind::kProtobuf, "protobuf", "headgate.protobuf.v1"},
    {CodecKind::kRaw, "raw", "headgate.raw.v1"},
}};

}  // namespace

absl::string_view CodecName(CodecKind kind) {
  for (const Entry& entry : kCodecs) {
    if (entry.kind == kind) return entry.name;
  }
  return "";
}

absl::string_view SubprotocolOf(CodecKind kind) {
  for (const Entry& entry : kCodecs) {
    if (entry.kind == kind) return entry.subprotocol;
  }
  return "";
}

std::optional<CodecKind> CodecFromName(absl::string_view name) {
  for (const Entry& entry : kCodecs) {
    if (entry.name == name) return entry.kind;
  }
  return std::nullopt;
}

std::optional<CodecKind> CodecFromSubprotocol(absl::string_view subprotocol) {
  for (const Entry& entry : kCodecs) {
    if (entry.subprotocol == subprotocol) return entry.kind;
  }
  return std::nullopt;
}

Decoded DecodeTextOfBinaryCodec(CodecKind kind, absl::string_view payload) {
  if (payload.empty()) return HalfClose{};
  return Ending{CloseCode::kUnsupportedData,
                {absl::InvalidArgumentError(absl::StrCat(
                     "text message: the ", CodecName(kind),
                     " codec expects binary messages, or the empty text "
                     "message for half-close")),
                 ""}};
}

}  // namespace headgate
