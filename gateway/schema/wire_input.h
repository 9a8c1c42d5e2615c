#ifndef GATEWAY_SCHEMA_WIRE_INPUT_H_
#define GATEWAY_SCHEMA_WIRE_INPUT_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "gateway/base/wire_type.h"

namespace headgate {

// Bytes in protobuf's wire format, taken off their front. Each function returns
// false when the bytes are not what it reads; where it stands is unspecified
// then. Safe for any bytes.
class WireInput {
 public:
  explicit WireInput(absl::string_view bytes)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool done() const { return at_ == end_; }
  const char* at() const { return at_; }
  void GoTo(const char* at) { at_ = at; }

  bool Varint(std::uint64_t& value) {
    if (at_ != end_ && static_cast<std::uint8_t>(*at_) < 0x80) {
      value = static_cast<std::uint8_t>(*at_++);
      return true;
    }
    return LongVarint(value);
  }

  // A tag with the number of a field.
  bool Tag(std::uint32_t& tag) {
    std::uint64_t value = 0;
    if (!Varint(value) || value > UINT32_MAX || value >> 3 == 0) return false;
    tag = static_cast<std::uint32_t>(value);
    return true;
  }

  bool Fixed(int size, std::uint64_t& value) {
    if (end_ - at_ < size) return false;
    value = 0;
    for (int i = 0; i < size; ++i) {
      value |= std::uint64_t{static_cast<std::uint8_t>(*at_++)} << 8 * i;
    }
    return true;
  }

  bool Run(absl::string_view& run) {
    std::uint64_t size = 0;
    if (!Varint(size) || size > static_cast<std::uint64_t>(end_ - at_)) {
      return false;
    }
    run = absl::string_view(at_, static_cast<std::size_t>(size));
    at_ += size;
    return true;
  }

  // The value behind `tag`: of a varint or a fixed-size value its bytes, of a
  // run of bytes these, of a group what is in it. Groups may nest `max_groups`
  // deep.
  bool Payload(std::uint32_t tag, int max_groups, absl::string_view& payload) {
    const char* const start = at_;
    std::uint64_t ignored = 0;
    switch (WireTypeOfTag(tag)) {
      case WireType::kVarint:
        if (!Varint(ignored)) return false;
        break;
      case WireType::kFixed64:
        if (end_ - at_ < 8) return false;
        at_ += 8;
        break;
      case WireType::kFixed32:
        if (end_ - at_ < 4) return false;
        at_ += 4;
        break;
      case WireType::kBytes:
        return Run(payload);
      case WireType::kStartGroup:
        return Group(tag, max_groups, payload);
      default:
        return false;
    }
    payload = absl::string_view(start, static_cast<std::size_t>(at_ - start));
    return true;
  }

 private:
  bool LongVarint(std::uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 63 && at_ != end_; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(*at_++);
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return true;
    }
    // The tenth byte has one bit left; parsers drop the others.
    if (at_ == end_ || static_cast<std::uint8_t>(*at_) >= 0x80) return false;
    value |= static_cast<std::uint64_t>(*at_++) << 63;
    return true;
  }

  bool Group(std::uint32_t start_tag, int max_groups,
             absl::string_view& payload) {
    if (max_groups <= 0) return false;
    const char* const start = at_;
    while (!done()) {
      const char* const end = at_;
      std::uint32_t tag = 0;
      if (!Tag(tag)) return false;
      if (WireTypeOfTag(tag) == WireType::kEndGroup) {
        payload =
            absl::string_view(start, static_cast<std::size_t>(end - start));
        return tag >> 3 == start_tag >> 3;
      }
      absl::string_view ignored;
      if (!Payload(tag, max_groups - 1, ignored)) return false;
    }
    return false;
  }

  const char* at_;
  const char* end_;
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_WIRE_INPUT_H_
