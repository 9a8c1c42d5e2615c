#include "gateway/base/message_framing.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

// What is set aside for a message before its bytes are there.
constexpr std::size_t kReserveBytes = 64 * 1024;

}  // namespace

MessagePrefix MakeMessagePrefix(std::uint8_t flags, std::size_t length) {
  assert(length <= UINT32_MAX);
  return {static_cast<char>(flags), static_cast<char>(length >> 24 & 0xFF),
          static_cast<char>(length >> 16 & 0xFF),
          static_cast<char>(length >> 8 & 0xFF),
          static_cast<char>(length & 0xFF)};
}

absl::StatusOr<std::size_t> MessageReader::Feed(absl::string_view bytes) {
  assert(!complete_);
  std::size_t taken = 0;
  if (prefix_size_ < kMessagePrefixBytes) {
    taken = std::min(bytes.size(), kMessagePrefixBytes - prefix_size_);
    std::copy_n(bytes.data(), taken, prefix_.data() + prefix_size_);
    prefix_size_ = static_cast<std::uint8_t>(prefix_size_ + taken);
    if (prefix_size_ < kMessagePrefixBytes) return taken;
    const absl::Status status = BeginMessage();
    if (!status.ok()) return status;
  }
  const std::size_t size =
      std::min<std::size_t>(bytes.size() - taken, length_ - message_.size());
  message_.append(bytes.data() + taken, size);
  complete_ = message_.size() == length_;
  return taken + size;
}

std::string MessageReader::Take() {
  assert(complete_);
  complete_ = false;
  prefix_size_ = 0;
  return std::exchange(message_, std::string());
}

absl::Status MessageReader::BeginMessage() {
  if ((flags() & ~allowed_flags_) != 0) {
    return absl::InternalError("message with unknown flags");
  }
  length_ = 0;
  for (std::size_t i = 1; i < kMessagePrefixBytes; ++i) {
    length_ = length_ << 8 | static_cast<unsigned char>(prefix_[i]);
  }
  if (length_ > max_message_bytes_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("Received message larger than max (", length_, " vs. ",
                     max_message_bytes_, ")"));
  }
  message_.reserve(std::min<std::size_t>(length_, kReserveBytes));
  return absl::OkStatus();
}

}  // namespace headgate
