#ifndef GATEWAY_SCHEMA_WIRE_OUTPUT_H_
#define GATEWAY_SCHEMA_WIRE_OUTPUT_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace headgate {

// Appends to bytes in protobuf's wire format. A base of JsonReader.
class WireOutput {
 protected:
  explicit WireOutput(std::string& out) : out_(out) {}

  static std::uint64_t ZigZag(std::uint64_t value) {
    return value << 1 ^ (0 - (value >> 63));
  }

  void AppendFixed(std::uint64_t value, int bits) {
    for (; bits > 0; bits -= 8) {
      out_.push_back(static_cast<char>(value));
      value >>= 8;
    }
  }

  void AppendVarint(std::uint64_t value) {
    if (value < 0x80) {
      out_.push_back(static_cast<char>(value));
      return;
    }
    AppendLongVarint(value);
  }

  void AppendLongVarint(std::uint64_t value) {
    char varint[10];
    out_.append(varint, WriteVarint(value, varint));
  }

  // Returns how many bytes it takes.
  static std::size_t WriteVarint(std::uint64_t value, char* varint) {
    std::size_t length = 0;
    for (; value >= 0x80; value >>= 7) {
      varint[length++] = static_cast<char>(value | 0x80);
    }
    varint[length++] = static_cast<char>(value);
    return length;
  }

  // A run of bytes with its size in front, which is known at its end; returns
  // where it begins. Most have a size of one byte.
  std::size_t BeginSized() {
    out_.push_back('\0');
    return out_.size();
  }

  // What is written is moved once for each long run around it.
  void EndSized(std::size_t start) {
    const std::size_t size = out_.size() - start;
    if (size < 0x80) {
      out_[start - 1] = static_cast<char>(size);
      return;
    }
    char varint[10];
    const std::size_t length = WriteVarint(size, varint);
    out_[start - 1] = varint[0];
    out_.insert(start, varint + 1, length - 1);
  }

  std::string& out_;
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_WIRE_OUTPUT_H_
