#ifndef GATEWAY_WS_SHARED_FRAME_H_
#define GATEWAY_WS_SHARED_FRAME_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "gateway/codec/wire_message.h"
#include "gateway/ws/deflate.h"

namespace headgate::ws {

// A reference to immutable bytes that are sent as they are, mostly a server's
// frame: head and payload. Many connections can hold the same bytes; the last
// reference frees them.
//
// Thread: all references to the same bytes belong to one thread, because the
// count is not atomic.
class FrameRef {
 public:
  FrameRef() = default;
  // `total`, if not null, counts the bytes as long as they exist.
  explicit FrameRef(std::string bytes,
                    std::shared_ptr<std::size_t> total = nullptr)
      : block_(new Block{1, std::move(total), std::move(bytes)}) {
    if (block_->total != nullptr) *block_->total += block_->bytes.size();
  }
  FrameRef(const FrameRef& other) : block_(other.block_) {
    if (block_ != nullptr) ++block_->references;
  }
  FrameRef(FrameRef&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)) {}
  FrameRef& operator=(FrameRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~FrameRef() {
    if (block_ != nullptr && --block_->references == 0) Free(block_);
  }

  explicit operator bool() const { return block_ != nullptr; }
  // Requires: not null.
  absl::string_view bytes() const { return block_->bytes; }
  std::size_t size() const { return block_->bytes.size(); }
  friend bool operator==(const FrameRef& a, const FrameRef& b) {
    return a.block_ == b.block_;
  }

 private:
  struct Block {
    std::size_t references;
    const std::shared_ptr<std::size_t> total;
    const std::string bytes;
  };
  static void Free(Block* block);

  Block* block_ = nullptr;
};

// In which form a receiver gets shared frames.
struct FrameForm {
  // Of permessage-deflate; 0: not compressed.
  int window_bits = 0;
  int level = 6;              // The level of the first receiver counts.
  std::size_t min_bytes = 0;  // Shorter messages are not compressed.
};

// What the shared frames of one worker have in common: the compressors, one for
// each window size, and how many bytes the frames take.
//
// Thread: not thread-safe. Lifetime: outlives its SharedFrames; frames may
// outlive it.
class FrameStore {
 public:
  FrameStore() : FrameStore(std::make_shared<std::size_t>(0)) {}
  // `held_bytes`: a count that other stores of the thread may share.
  explicit FrameStore(std::shared_ptr<std::size_t> held_bytes)
      : held_bytes_(std::move(held_bytes)) {}
  FrameStore(const FrameStore&) = delete;
  FrameStore& operator=(const FrameStore&) = delete;

  // Of all frames that exist, each counted once, and of those of stores with
  // the same count.
  std::size_t held_bytes() const { return *held_bytes_; }
  // Messages that were encoded, and those that were compressed, in total.
  std::uint64_t encoded() const { return encoded_; }
  std::uint64_t compressed() const { return compressed_; }

 private:
  friend class SharedFrame;

  std::optional<std::string> Compress(absl::string_view payload,
                                      const FrameForm& form);

  // By window size. Each takes 50 to 190 KiB once it has been used.
  std::array<std::unique_ptr<Deflater>, 16> deflaters_;
  const std::shared_ptr<std::size_t> held_bytes_;
  std::uint64_t encoded_ = 0;
  std::uint64_t compressed_ = 0;
};

// One message for many clients, encoded at most once for each form in which
// they get it. Frames outlive the SharedFrame that has made them.
//
//   SharedFrame frame(store, Opcode::kText, payload);
//   for (Session* session : members) {
//     session->Queue(frame.For(session->frame_form()));
//   }
//
// Thread: not thread-safe.
class SharedFrame {
 public:
  static constexpr std::size_t kMostForms = 2;

  SharedFrame(FrameStore& store, Opcode opcode, absl::string_view payload);

  // The uncompressed frame.
  const FrameRef& plain() const { return plain_; }
  // The frame for receivers with this form: compressed only where that makes
  // it shorter, and for the first kMostForms window sizes, which clients
  // choose.
  const FrameRef& For(const FrameForm& form) {
    if (form.window_bits == 0 || payload().size() < form.min_bytes) {
      return plain_;
    }
    FrameRef& variant = compressed_[form.window_bits];
    if (!variant) variant = forms_++ < kMostForms ? Compress(form) : plain_;
    return variant;
  }
  Opcode opcode() const { return opcode_; }
  absl::string_view payload() const {
    return plain_.bytes().substr(head_bytes_);
  }

 private:
  FrameRef Compress(const FrameForm& form);

  FrameStore& store_;
  const Opcode opcode_;
  FrameRef plain_;
  std::size_t head_bytes_;
  std::array<FrameRef, 16> compressed_;  // By window size.
  std::size_t forms_ = 0;                // That were made.
};

}  // namespace headgate::ws

#endif  // GATEWAY_WS_SHARED_FRAME_H_
