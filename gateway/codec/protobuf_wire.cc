#include "gateway/codec/protobuf_wire.h"

#include <limits>

namespace headgate {
namespace {

// How long a varint may be: of a value, and of a tag or length, as protobuf's
// own parsers have it.
constexpr std::size_t kMaxValueBytes = 10;
constexpr std::size_t kMaxTagBytes = 5;

}  // namespace

std::size_t VarintSize(std::uint64_t value) {
  std::size_t size = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++size;
  }
  return size;
}

bool WireReader::Next(WireField& field) {
  if (!ok_ || rest_.empty()) return false;
  ok_ = ReadField(field);
  return ok_;
}

bool WireReader::ReadVarint(std::size_t max_bytes, std::uint64_t& value) {
  value = 0;
  for (std::size_t i = 0; i < max_bytes && i < rest_.size(); ++i) {
    const auto byte = static_cast<unsigned char>(rest_[i]);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << (7 * i);
    if (byte < 0x80) {
      rest_.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

bool WireReader::ReadField(WireField& field) {
  std::uint64_t tag = 0;
  if (!ReadVarint(kMaxTagBytes, tag)) return false;
  if (tag >> 3 == 0 || tag > std::numeric_limits<std::uint32_t>::max()) {
    return false;
  }
  field.tag = static_cast<std::uint32_t>(tag);
  field.bytes = {};

  std::size_t skip = 0;
  switch (WireTypeOfTag(field.tag)) {
    case WireType::kVarint:
      return ReadVarint(kMaxValueBytes, field.value);
    case WireType::kBytes: {
      std::uint64_t size = 0;
      if (!ReadVarint(kMaxTagBytes, size) || size > rest_.size()) return false;
      field.bytes = rest_.substr(0, size);
      skip = size;
      break;
    }
    case WireType::kFixed64:
      skip = 8;
      break;
    case WireType::kFixed32:
      skip = 4;
      break;
    default:
      return false;
  }
  if (skip > rest_.size()) return false;
  rest_.remove_prefix(skip);
  return true;
}

}  // namespace headgate
