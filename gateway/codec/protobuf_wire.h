#ifndef GATEWAY_CODEC_PROTOBUF_WIRE_H_
#define GATEWAY_CODEC_PROTOBUF_WIRE_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "gateway/base/varint.h"
#include "gateway/base/wire_type.h"

namespace headgate {

// Just enough of protobuf's wire format to read and write a message without a
// generated class (protobuf.dev/programming-guides/encoding).
// Safe for any thread.

inline constexpr std::uint32_t WireTag(std::uint32_t number, WireType type) {
  return number << 3 | static_cast<std::uint32_t>(type);
}

std::size_t VarintSize(std::uint64_t value);

struct WireField {
  std::uint32_t tag = 0;    // WireTag of its number and type.
  std::uint64_t value = 0;  // Of kVarint.
  absl::string_view bytes;  // Of kBytes; part of the message that was read.
};

// Reads the fields of a serialized message in the order of their bytes.
// Lifetime: no longer than the message.
class WireReader {
 public:
  explicit WireReader(absl::string_view message) : rest_(message) {}

  // The next field; false at the end of the message, and when what follows is
  // not a field: ok() tells the two apart. Groups, which proto3 does not have,
  // are not read.
  bool Next(WireField& field);

  bool ok() const { return ok_; }

 private:
  bool ReadVarint(std::size_t max_bytes, std::uint64_t& value);
  bool ReadField(WireField& field);

  absl::string_view rest_;
  bool ok_ = true;
};

}  // namespace headgate

#endif  // GATEWAY_CODEC_PROTOBUF_WIRE_H_
