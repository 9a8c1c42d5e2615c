#ifndef GATEWAY_NET_BYTE_STREAM_H_
#define GATEWAY_NET_BYTE_STREAM_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gateway/net/stream_socket.h"

namespace headgate {

// A connection's bytes, both ways: those of a TCP or Unix socket
// (SocketStream), or what TLS carries over another stream (TlsStream).
//
// Its user waits until the stream is ready, and then reads into a buffer that
// it borrows for that moment: a stream at rest holds none.
//
// Thread:   the worker's.
// Lifetime: shared by its user and the operations it has started. A user ends
//           it by Close, or hands it over to another, before it goes.
class ByteStream {
 public:
  class User {
   public:
    // AwaitReadable was called, and Read may have something to return. May
    // destroy the user.
    virtual void OnReadable() = 0;
    // The same for AwaitWritable and Write.
    virtual void OnWritable() = 0;

   protected:
    ~User() = default;
  };

  // What Read or Write did.
  struct Result {
    enum class Kind {
      kDone,        // `bytes` have been read or taken, at least one.
      kWouldBlock,  // None for now: await it.
      kEnd,         // Read: the peer sends no more; `why` says how it ended.
      kFailed,      // The connection is of no use any more: `why`.
    };
    Kind kind = Kind::kDone;
    std::size_t bytes = 0;
    absl::Status why;
  };

  // Of a Write; what is behind them is left to the next.
  static constexpr std::size_t kMostPieces = 64;

  virtual ~ByteStream() = default;

  // Events go to `user` from now on; what was awaited until now is forgotten.
  virtual void SetUser(User* user) = 0;

  // OnReadable follows once, not from within this call. It follows as well for
  // the peer's end and a failure.
  virtual void AwaitReadable() = 0;
  // The same with OnWritable.
  virtual void AwaitWritable() = 0;

  virtual Result Read(absl::Span<char> buffer) = 0;
  // Takes the front of `pieces`, one behind the other; at least one byte unless
  // it would block.
  virtual Result Write(absl::Span<const absl::string_view> pieces) = 0;

  // Ends our side, behind what was written. The peer may still send.
  virtual void EndWrite() = 0;
  // Ends both sides at once; no event follows. What the kernel has taken is
  // still sent.
  virtual void Close() = 0;

  // A number that changes whenever the peer takes something of what was
  // written: the kernel reports a socket writable only in leaps of a good part
  // of its buffer, which may take a slow peer minutes.
  virtual std::uint64_t BytesTaken() = 0;
  // At least what BytesTaken will be once the peer has taken all that has been
  // written; grows with what is written alone.
  virtual std::uint64_t BytesWritten() const = 0;

  // Memory that the stream holds for the bytes on their way.
  virtual std::size_t held_bytes() const = 0;

  virtual StreamSocket::executor_type executor() = 0;
};

}  // namespace headgate

#endif  // GATEWAY_NET_BYTE_STREAM_H_
