#ifndef GATEWAY_WS_OUTBOX_H_
#define GATEWAY_WS_OUTBOX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace headgate::ws {

// What waits to be sent on one connection, so that what one turn of the loop
// has for it leaves with one call of the kernel.
//
// What is short is copied, a long piece goes out from where it is, where it
// can. Pure; thread: not thread-safe.
class Outbox {
 public:
  // Where there is more, who writes has to wait.
  static constexpr std::size_t kMostGathered = 16 * 1024;
  static constexpr std::size_t kMostCopied = 4 * 1024;

  // Whether it holds less than kMostGathered.
  bool has_room() const { return size() < kMostGathered; }
  bool empty() const { return size() == 0; }
  std::size_t size() const { return static_cast<std::size_t>(put_ - sent_); }
  // Bytes, since the beginning.
  std::uint64_t put() const { return put_; }
  std::uint64_t sent() const { return sent_; }

  // Adds `head` and behind it `piece`.
  void Put(absl::string_view head, std::string piece);
  void Put(absl::string_view bytes) { Put(bytes, {}); }

  // What is to be sent next; both stay where they are until Sent. Requires: not
  // empty.
  std::array<absl::string_view, 2> Front();
  // So many bytes of the front are sent.
  void Sent(std::size_t bytes);
  // Drops everything.
  void Clear();

 private:
  bool has_front() const {
    return front_sent_ < front_.size() || piece_sent_ < piece_.size();
  }

  // In this order; what is sent of it stays in the first two until they are.
  std::string front_;
  std::size_t front_sent_ = 0;
  std::string piece_;
  std::size_t piece_sent_ = 0;
  std::string gathered_;
  std::uint64_t put_ = 0;
  std::uint64_t sent_ = 0;
};

}  // namespace headgate::ws

#endif  // GATEWAY_WS_OUTBOX_H_
