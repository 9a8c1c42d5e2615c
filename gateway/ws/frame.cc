#include "gateway/ws/frame.h"

#include <array>
#include <cassert>
#include <cstring>

namespace headgate::ws {
namespace {

void AppendBigEndian(std::uint64_t value, int bytes, std::string& out) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift));
  }
}

}  // namespace

void ApplyMask(char* bytes, std::size_t size, const MaskKey& key,
               std::uint64_t position) {
  std::array<char, 8> keys;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    keys[i] = key[(position + i) % 4];
  }
  std::uint64_t mask = 0;
  std::memcpy(&mask, keys.data(), sizeof mask);
  std::size_t done = 0;
  for (std::uint64_t word = 0; done + sizeof word <= size;
       done += sizeof word) {
    std::memcpy(&word, bytes + done, sizeof word);
    word ^= mask;
    std::memcpy(bytes + done, &word, sizeof word);
  }
  for (std::size_t i = 0; done < size; ++done, ++i) {
    bytes[done] = static_cast<char>(bytes[done] ^ keys[i]);
  }
}

void AppendFrameHead(FrameOpcode opcode, std::size_t size, bool compressed,
                     const MaskKey* mask, std::string& out) {
  constexpr int kFin = 0x80, kRsv1 = 0x40, kMask = 0x80;
  const int mask_bit = mask == nullptr ? 0 : kMask;
  out.push_back(static_cast<char>(kFin | (compressed ? kRsv1 : 0) |
                                  static_cast<int>(opcode)));
  if (size <= kMaxControlBytes) {
    out.push_back(static_cast<char>(mask_bit | static_cast<int>(size)));
  } else if (size <= 0xFFFF) {
    out.push_back(static_cast<char>(mask_bit | 126));
    AppendBigEndian(size, 2, out);
  } else {
    out.push_back(static_cast<char>(mask_bit | 127));
    AppendBigEndian(size, 8, out);
  }
  if (mask != nullptr) out.append(mask->data(), mask->size());
}

void AppendFrame(FrameOpcode opcode, absl::string_view payload,
                 const MaskKey* mask, std::string& out) {
  assert(opcode < FrameOpcode::kClose || payload.size() <= kMaxControlBytes);
  AppendFrameHead(opcode, payload.size(), false, mask, out);
  const std::size_t begin = out.size();
  out.append(payload.data(), payload.size());
  if (mask != nullptr) ApplyMask(out.data() + begin, payload.size(), *mask, 0);
}

void AppendCloseFrame(CloseCode code, absl::string_view reason,
                      const MaskKey* mask, std::string& out) {
  std::string payload;
  if (code != CloseCode::kNoStatus) {
    AppendBigEndian(static_cast<std::uint16_t>(code), 2, payload);
    payload.append(reason.data(), reason.size());
  }
  AppendFrame(FrameOpcode::kClose, payload, mask, out);
}

// 1004, 1005, 1006 and 1015 are reserved; of the rest below 3000 IANA's
// registry has those up to 1014.
bool IsSendableCloseCode(int code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

}  // namespace headgate::ws
