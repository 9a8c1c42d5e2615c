#ifndef GATEWAY_NET_HTTP2_STREAM_H_
#define GATEWAY_NET_HTTP2_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/base/turn.h"
#include "gateway/h2/error_code.h"
#include "gateway/h2/session.h"
#include "gateway/http/http2_request.h"
#include "gateway/net/byte_stream.h"

namespace headgate {

class Http2Connection;

// One stream of a client's HTTP/2 connection: the head of its request, the head
// of the response, and the bytes both ways.
//
// What arrives waits here until it is read: no more than the stream's window,
// which opens again with each Read. What is written waits until flow control
// lets it go, some kMaxUnsentBytes at most. At rest it holds no bytes.
//
// Thread:   the worker's.
// Lifetime: a ByteStream; its connection shares it as long as the stream is
//           open there.
class Http2Stream final : public ByteStream,
                          public h2::Stream,
                          private TurnTask,
                          public std::enable_shared_from_this<Http2Stream> {
 public:
  static constexpr std::size_t kMaxUnsentBytes = 32 * 1024;

  explicit Http2Stream(std::shared_ptr<Http2Connection> connection);
  ~Http2Stream() override;

  // The head of the request, which is complete; once.
  std::unique_ptr<Http2Request> TakeRequest() { return std::move(request_); }

  // All that the client has sent has been read, and it sends no more.
  bool at_end() const { return peer_ended_ && received_.empty(); }
  bool peer_ended() const { return peer_ended_; }
  bool has_bytes() const { return !received_.empty(); }
  // Why the stream is of no use any more; OK: it is.
  const absl::Status& failure() const { return failure_; }
  // Takes what has arrived, up to `max_bytes`, perhaps nothing.
  std::string Take(std::size_t max_bytes);

  // 100 (Continue), before Respond.
  void Continue();
  // The head of the response. `is_last`: nothing follows.
  void Respond(int status, const HttpFields& fields, bool is_last);
  // Ends our side behind what was written, with trailers.
  void EndWrite(const HttpFields& trailers);
  bool write_ended() const { return sending_ == Sending::kEnding; }
  // Ends both sides, so that the client sees that the response is not complete.
  void Reset(h2::ErrorCode code);
  // The connection is lost.
  void Fail(absl::Status why);

  void SetUser(User* user) override;
  // Once more for the end, and never after it has been seen (Read, Take);
  // always for a failure.
  void AwaitReadable() override;
  void AwaitWritable() override;
  Result Read(absl::Span<char> buffer) override;
  Result Write(absl::Span<const absl::string_view> pieces) override;
  void EndWrite() override { EndWrite({}); }
  // After EndWrite, or the client's end, what was written still goes out; else
  // the stream is reset.
  void Close() override;
  // Of the connection's bytes those count that come before the stream's last
  // ones: what the client takes of other streams is none of its.
  std::uint64_t BytesTaken() override;
  std::uint64_t BytesWritten() const override;
  std::size_t held_bytes() const override {
    return received_.capacity() + unsent_.capacity();
  }
  StreamSocket::executor_type executor() override;

 private:
  friend class Http2Connection;

  enum class Sending : std::uint8_t {
    kHead,  // Respond comes first.
    kBody,
    kEnding,  // EndWrite was called.
  };

  // h2::Stream.
  void OnFieldsBegin() override {}
  void OnField(absl::string_view name, absl::string_view value) override;
  void OnFieldsEnd(bool end_stream) override;
  void OnData(absl::string_view bytes) override;
  void OnEndStream() override;
  void OnEnd(const h2::StreamEnd& end) override;
  Outgoing PeekOutgoing(std::size_t max) override;
  void MoveOutgoing(std::size_t bytes, std::string& to) override;
  std::vector<h2::Field> TakeTrailers() override;

  // Whether the client does not take so many header fields; then the stream is
  // reset. Requires: session() != nullptr.
  bool IsTooLong(const std::vector<h2::Field>& fields);
  void OnTurn() override;
  // Notifies the user soon of what it awaits.
  void Notify();
  bool is_readable() const;
  bool is_writable() const;
  std::size_t unsent_bytes() const { return unsent_.size() - unsent_begin_; }
  void Resume();

  const std::shared_ptr<Http2Connection> connection_;
  User* user_ = nullptr;

  std::unique_ptr<Http2Request> request_;
  std::string received_;
  bool head_is_complete_ = false;
  bool peer_ended_ = false;
  bool end_seen_ = false;  // By the user.
  bool readable_awaited_ = false;

  Sending sending_ = Sending::kHead;
  bool writable_awaited_ = false;
  bool is_closed_ = false;  // By the user.
  std::string unsent_;
  std::size_t unsent_begin_ = 0;
  std::vector<std::string> trailers_;  // Names and values.
  std::uint64_t moved_bytes_ = 0;
  // Of the connection's BytesWritten, behind the stream's last bytes; absent
  // while some of these may not be written.
  std::optional<std::uint64_t> written_up_to_ = 0;

  absl::Status failure_;
};

}  // namespace headgate

#endif  // GATEWAY_NET_HTTP2_STREAM_H_
