#ifndef CMD_HEADGATE_BENCH_REPEATED_H_
#define CMD_HEADGATE_BENCH_REPEATED_H_

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace headgate {

// How far a connection is in sending the same message over and over.
class RepeatedPosition {
 public:
  void Add(std::size_t messages) { messages_ += messages; }
  bool empty() const { return messages_ == 0; }
  // A message has been sent in part.
  bool is_within() const { return offset_ > 0; }
  // Forgets all messages but that.
  void DropWhole() { messages_ = is_within() ? 1 : 0; }

 private:
  friend class RepeatedMessage;

  std::size_t messages_ = 0;  // Not sent whole,
  std::size_t offset_ = 0;    // and how much of the first one is sent.
};

// The bytes of one message, repeated so that many of them are one write.
class RepeatedMessage {
 public:
  // `at_most`: messages to be sent at once.
  RepeatedMessage(const std::string& message, std::size_t at_most)
      : message_bytes_(message.size()) {
    const std::size_t copies =
        std::clamp(kWriteBytes / std::max(message.size(), std::size_t{1}),
                   std::size_t{1}, std::max(at_most, std::size_t{1}));
    bytes_.reserve(copies * message.size());
    for (std::size_t i = 0; i < copies; ++i) bytes_.append(message);
  }

  std::size_t message_bytes() const { return message_bytes_; }

  // How many bytes are to be sent in all.
  std::size_t Left(const RepeatedPosition& position) const {
    return position.messages_ * message_bytes_ - position.offset_;
  }
  // The next of them, and the rest of the first message alone.
  absl::string_view Front(const RepeatedPosition& position) const {
    return Next(position, Left(position));
  }
  absl::string_view FrontMessage(const RepeatedPosition& position) const {
    return Next(position, message_bytes_ - position.offset_);
  }
  void Advance(RepeatedPosition& position, std::size_t bytes) const {
    position.offset_ += bytes;
    position.messages_ -= position.offset_ / message_bytes_;
    position.offset_ %= message_bytes_;
  }

 private:
  // So much of the load is in one write at most, unless a message is longer.
  static constexpr std::size_t kWriteBytes = 256 * 1024;

  absl::string_view Next(const RepeatedPosition& position,
                         std::size_t max) const {
    return absl::string_view(bytes_).substr(position.offset_, max);
  }

  std::size_t message_bytes_;
  std::string bytes_;  // Copies of the message, end to end.
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_REPEATED_H_
