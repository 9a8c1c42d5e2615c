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

void ApplyMask(char* bytes, std::size_t size, const char* key,
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
                     std::string& out) {
  constexpr int kFin = 0x80, kRsv1 = 0x40;
  out.push_back(static_cast<char>(kFin | (compressed ? kRsv1 : 0) |
                                  static_cast<int>(opcode)));
  if (size <= kMaxControlBytes) {
    out.push_back(static_cast<char>(size));
  } else if (size <= 0xFFFF) {
    out.push_back(126);
    AppendBigEndian(size, 2, out);
  } else {
    out.push_back(127);
    AppendBigEndian(size, 8, out);
  }
}

void AppendControlFrame(FrameOpcode opcode, absl::string_view payload,
                        std::string& out) {
  assert(payload.size() <= kMaxControlBytes);
  AppendFrameHead(opcode, payload.size(), false, out);
  out.append(payload.data(), payload.size());
}

void AppendCloseFrame(CloseCode code, absl::string_view reason,
                      std::string& out) {
  if (code == CloseCode::kNoStatus) {
    return AppendControlFrame(FrameOpcode::kClose, "", out);
  }
  AppendFrameHead(FrameOpcode::kClose, 2 + reason.size(), false, out);
  AppendBigEndian(static_cast<std::uint16_t>(code), 2, out);
  out.append(reason.data(), reason.size());
}

// 1004, 1005, 1006 and 1015 are reserved; of the rest below 3000 IANA's
// registry has those up to 1014.
bool IsSendableCloseCode(int code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

}  // namespace headgate::ws
