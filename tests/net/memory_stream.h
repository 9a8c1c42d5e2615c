#ifndef TESTS_NET_MEMORY_STREAM_H_
#define TESTS_NET_MEMORY_STREAM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gateway/net/byte_stream.h"
#include "tests/testing/fake_upstream.h"

namespace headgate {

// A stream in memory, whose peer is the test. It logs how it ends.
class MemoryStream final : public ByteStream {
 public:
  MemoryStream(boost::asio::io_context& io, testing::Log& log)
      : io_(io), log_(log) {}

  void SetUser(User* user) override { user_ = user; }
  void AwaitReadable() override { readable_awaited_ = true; }
  void AwaitWritable() override { writable_awaited_ = true; }
  Result Read(absl::Span<char> buffer) override {
    const std::size_t bytes = std::min(buffer.size(), incoming_.size());
    if (bytes == 0 && ended_) {
      return {Result::Kind::kEnd, 0, absl::UnavailableError("End of file")};
    }
    if (bytes == 0) return {Result::Kind::kWouldBlock, 0, {}};
    std::copy_n(incoming_.begin(), bytes, buffer.begin());
    incoming_.erase(0, bytes);
    return {Result::Kind::kDone, bytes, {}};
  }
  Result Write(absl::Span<const absl::string_view> pieces) override {
    if (broken_)
      return {Result::Kind::kFailed, 0, absl::UnavailableError("broken")};
    std::size_t bytes = 0;
    for (absl::string_view piece : pieces) {
      piece = piece.substr(0, room_ - bytes);
      absl::StrAppend(&outgoing_, piece);
      bytes += piece.size();
    }
    room_ -= bytes;
    if (bytes == 0) return {Result::Kind::kWouldBlock, 0, {}};
    ++writes_;
    return {Result::Kind::kDone, bytes, {}};
  }
  void EndWrite() override { log_.push_back("end"); }
  void Close() override { log_.push_back("close"); }
  std::uint64_t BytesTaken() override { return 7; }
  std::uint64_t BytesWritten() const override { return 9; }
  std::size_t held_bytes() const override { return 0; }
  StreamSocket::executor_type executor() override { return io_.get_executor(); }

  // What the peer does.
  void Deliver(const std::string& bytes) {
    incoming_ += bytes;
    if (std::exchange(readable_awaited_, false)) user_->OnReadable();
  }
  void End() {
    ended_ = true;
    Deliver("");
  }
  void MakeRoom(std::size_t room) {
    room_ = room;
    if (std::exchange(writable_awaited_, false)) user_->OnWritable();
  }
  std::string TakeOutgoing() { return std::exchange(outgoing_, {}); }

  bool readable_awaited_ = false;
  bool writable_awaited_ = false;
  bool broken_ = false;
  int writes_ = 0;
  std::string incoming_;

 private:
  boost::asio::io_context& io_;
  testing::Log& log_;
  User* user_ = nullptr;
  bool ended_ = false;
  std::size_t room_ = SIZE_MAX;
  std::string outgoing_;
};

}  // namespace headgate

#endif  // TESTS_NET_MEMORY_STREAM_H_
