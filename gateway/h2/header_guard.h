#ifndef GATEWAY_H2_HEADER_GUARD_H_
#define GATEWAY_H2_HEADER_GUARD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace headgate::h2 {

// Shortens one header block (RFC 7541) such that the decoder's dynamic table
// is afterwards what it would be with all of it. Beyond `max_bytes` fields that
// are not for the table are left out, and long strings are replaced by short
// ones, or, where they are for the table, by some that empty it as they do
// (section 4.4). Nothing is decoded.
class HeaderBlockShortener {
 public:
  // `max_bytes`: of the block, as it is on the wire.
  explicit HeaderBlockShortener(std::size_t max_bytes)
      : max_bytes_(max_bytes) {}

  // Appends to `out` what the next piece of the block is to be replaced by;
  // false when the block is malformed.
  bool Feed(absl::string_view piece, std::string& out);
  // Whether the block may end here.
  bool at_field() const { return state_ == State::kField; }
  // How many bytes of it were left out.
  std::size_t dropped_bytes() const { return dropped_; }

 private:
  enum class State {
    kField,       // The first byte of a field.
    kIndex,       // The rest of its index.
    kLength,      // The first byte of a string's length,
    kMoreLength,  // the rest of it,
    kString,      // and the string.
  };

  void Take(absl::string_view bytes, bool is_dropped, std::string& out);
  bool BeginInteger(std::uint8_t byte, std::uint8_t mask);
  bool AddToInteger(std::uint8_t byte);
  void BeginField(std::uint8_t byte);
  void OnIndex();
  void OnLength(std::string& out);
  void OnStringEnd();

  std::size_t max_bytes_;
  State state_ = State::kField;
  std::size_t passed_ = 0;
  std::size_t dropped_ = 0;
  // The integer that is coming in (section 5.1).
  std::uint64_t integer_ = 0;
  int shift_ = 0;
  // The field that is coming in.
  bool has_strings_ = false;
  bool in_name_ = false;
  bool is_for_table_ = false;
  bool is_dropped_ = false;
  // Its string that is coming in.
  std::string length_bytes_;
  std::uint64_t string_rest_ = 0;
  bool string_dropped_ = false;
};

// Stands between the bytes of a server and nghttp2, which gives a connection up
// over a string of more than 64 KiB in a header block. Blocks that are longer
// than one frame reach it shortened, in frames that are full, all else as it
// is, without a copy.
class HeaderGuard {
 public:
  // `max_block_bytes`: what of a block is always passed on.
  explicit HeaderGuard(std::size_t max_block_bytes)
      : max_block_bytes_(max_block_bytes), shortener_(max_block_bytes) {}

  // Takes from the front of `bytes`, and returns what nghttp2 is to get for
  // it: perhaps nothing. Valid until the next call and as long as `bytes` are.
  // Requires: `bytes` is not empty, ok().
  absl::string_view Next(absl::string_view& bytes);
  // What is wrong with the server's frames.
  const absl::Status& status() const { return status_; }

  // How much was left out of the header block that the last Next has given the
  // end of; 0 when it has given another.
  std::size_t dropped_bytes() const { return dropped_; }
  // The bytes of all such blocks, left out or not, since this was called last.
  std::size_t TakeBlockBytes() { return std::exchange(block_bytes_, 0); }

 private:
  static constexpr std::size_t kHeadBytes = 9;

  bool IsGuarded(const char* head) const;
  void BeginFrame();
  void TakePayload(absl::string_view& bytes);
  void EndFrame();
  void PutFrame(std::size_t size, bool last);
  void Fail(absl::string_view why);
  absl::string_view GiveFrames();

  const std::size_t max_block_bytes_;
  absl::Status status_;
  std::array<char, kHeadBytes> head_ = {};
  std::size_t head_size_ = 0;  // Of a head that has come in part.
  std::size_t rest_ = 0;       // Of the payload of the frame that comes in.

  // The block that is coming in, in_block_, and the frame of it, in_frame_.
  bool in_block_ = false;
  bool in_frame_ = false;
  std::array<char, 4> stream_ = {};  // Its number, as it is on the wire.
  int end_stream_ = 0;               // The flag.
  bool ends_block_ = false;
  bool awaits_pad_length_ = false;
  std::size_t to_skip_ = 0;  // In front of the frame's fragment,
  std::size_t padding_ = 0;  // and behind it.
  HeaderBlockShortener shortener_;
  std::string block_;      // Of it, not in a frame yet.
  bool head_put_ = false;  // Its first frame is out.

  std::string out_;    // Frames for nghttp2,
  std::string given_;  // and those of the last Next.
  std::size_t dropped_ = 0;
  std::size_t block_bytes_ = 0;
};

}  // namespace headgate::h2

#endif  // GATEWAY_H2_HEADER_GUARD_H_
