#ifndef GATEWAY_NET_TLS_STREAM_H_
#define GATEWAY_NET_TLS_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/net/byte_stream.h"
#include "gateway/tls/context.h"
#include "gateway/tls/engine.h"

namespace headgate {

// What the TLS streams of a worker share: buffers, whose content has no meaning
// outside of a call, and a count.
struct TlsBuffers {
  std::vector<char> incoming = std::vector<char>(66 * 1024);
  std::string outgoing;   // Records.
  std::string plaintext;  // Pieces that go into one record.
  // Streams that have failed because the client wanted too much of TLS itself:
  // new keys, renegotiation, or responses that it did not take.
  std::uint64_t floods = 0;
};

// The server's side of TLS over another stream.
//
// At rest it holds nothing but OpenSSL's state, and not even that before the
// client has sent something. While the client takes nothing it holds one
// record; while the user does not read, the records of the last Read that did
// not fit.
class TlsStream final : public ByteStream,
                        private ByteStream::User,
                        public std::enable_shared_from_this<TlsStream> {
 public:
  // `buffers` must outlive it.
  TlsStream(std::shared_ptr<ByteStream> carrier,
            std::shared_ptr<const TlsContext> context, TlsBuffers& buffers);

  // A step of the handshake, for OnReadable: whether it is complete. Until then
  // the stream can only be awaited and closed.
  absl::StatusOr<bool> Handshake();
  // Requires: the handshake is complete.
  const TlsEngine& engine() const { return *engine_; }

  void SetUser(ByteStream::User* user) override;
  void AwaitReadable() override;
  void AwaitWritable() override;
  Result Read(absl::Span<char> buffer) override;
  Result Write(absl::Span<const absl::string_view> pieces) override;
  // Sends close_notify.
  void EndWrite() override;
  void Close() override;
  std::uint64_t BytesTaken() override { return carrier_->BytesTaken(); }
  std::uint64_t BytesWritten() const override {
    return carrier_->BytesWritten() + unsent_.size();
  }
  std::size_t held_bytes() const override;
  StreamSocket::executor_type executor() override {
    return carrier_->executor();
  }

 private:
  enum class Sending {
    kOpen,
    kEnding,  // EndWrite was called; close_notify is in `unsent_` at most.
    kEnded,
  };

  void OnReadable() override;
  void OnWritable() override;

  // Reads from the carrier, and feeds the engine; absent when it has something.
  std::optional<Result> Fetch(std::size_t max);
  // Whether Read has something to return without the carrier.
  bool HasBytes() const;
  Result ReadFailed() const;
  // Keeps what the engine has not taken, which is in the worker's buffer.
  void KeepUnread();
  // Runs `call`, which may have the engine append to its output, and sends
  // that.
  template <typename Call>
  absl::Status Exchange(Call call);
  void SendRecords(absl::string_view records);
  void EndIfSent();

  const std::shared_ptr<ByteStream> carrier_;
  std::shared_ptr<const TlsContext> context_;  // Until the engine is made.
  TlsBuffers& buffers_;
  std::optional<TlsEngine> engine_;
  ByteStream::User* user_ = nullptr;

  std::string unread_;  // Records that the engine has not taken.
  bool readable_awaited_ = false;
  absl::Status read_failure_;  // Behind what was read; the peer's end as well.

  Sending sending_ = Sending::kOpen;
  std::string unsent_;  // Records that the carrier has not taken.
  bool writable_awaited_ = false;
  absl::Status send_failure_;
};

}  // namespace headgate

#endif  // GATEWAY_NET_TLS_STREAM_H_
