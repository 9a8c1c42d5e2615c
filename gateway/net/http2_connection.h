#ifndef GATEWAY_NET_HTTP2_CONNECTION_H_
#define GATEWAY_NET_HTTP2_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/turn.h"
#include "gateway/h2/session.h"
#include "gateway/net/byte_stream.h"
#include "gateway/net/connection.h"
#include "gateway/net/http2_stream.h"

namespace headgate {

// What a client with prior knowledge of HTTP/2 sends first (RFC 9113 section
// 3.4).
inline constexpr absl::string_view kHttp2Preface =
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// A connection that speaks HTTP/2: h2::Session on a ByteStream. Each request is
// a Connection of its own (Http2Exchange, WsTransport) on an Http2Stream; this
// one has no session.
//
//   kPreface --> kServing --> kDraining --> kLingering --> kFinished
//
// It reads whatever its streams do: each of them holds what its user has not
// read, up to the stream's window. While the client takes nothing, it is read
// from only as long as few frames wait for it. What is sent is put together at
// the end of a Turn.
//
// Thread: the worker's. Lifetime: a Connection; its streams share it.
class Http2Connection final
    : public Connection,
      private ByteStream::User,
      private h2::Acceptor,
      private TurnTask,
      public std::enable_shared_from_this<Http2Connection> {
 public:
  // `host` must outlive it. `since`: when the connection was accepted.
  Http2Connection(std::shared_ptr<ByteStream> stream, Peer peer,
                  std::size_t listener, absl::Time since, ConnectionHost& host);
  ~Http2Connection() override;

  // `received`: what has been read of the stream already.
  void Start(absl::string_view received);

  void OnTick(absl::Time now) override;
  bool Rest() override;
  bool MayMakeRoom(absl::Time now) const override;
  void Drain(const DrainOrder& order) override;
  void Abort() override;
  void CloseSession() override {}
  const Session* session() const override { return nullptr; }
  std::size_t held_bytes() const override;
  // Resets the streams whose response the client does not take.
  void CloseForMemory(absl::Time now, absl::Duration patience) override;

  // --- For streams ---

  Turn& turn() { return host_.turn(); }
  StreamSocket::executor_type executor() { return stream_->executor(); }
  std::uint64_t BytesTaken() { return stream_->BytesTaken(); }
  std::uint64_t BytesWritten() const { return stream_->BytesWritten(); }
  // All that its streams have moved out is written.
  bool has_written_all() const { return writing_.bytes.empty(); }
  // There is something to send.
  void FlushSoon() { host_.turn().AtEnd(*this); }
  // So much of the stream's data has been read.
  void Consume(Http2Stream& stream, std::size_t bytes);
  void ResetStream(Http2Stream& stream, h2::ErrorCode code);
  // Lets go of the stream once its end is sent.
  void FinishWhenSent(Http2Stream& stream);
  // Within Receive.
  void OnRequestHead(Http2Stream& stream);
  void OnStreamEnd(Http2Stream& stream, const h2::StreamEnd& end);

 private:
  enum class State {
    kPreface,    // The client's SETTINGS have not come.
    kServing,    // Takes requests.
    kDraining,   // Takes no more; those it has go on.
    kLingering,  // Nothing is sent any longer, and what comes is dropped.
    kFinished,
  };

  // h2::Acceptor.
  h2::Stream* OnRequest() override;

  // ByteStream::User.
  void OnReadable() override;
  void OnWritable() override;

  void OnTurn() override { Flush(); }
  class GoingOn final : public TurnTask {
   public:
    explicit GoingOn(Http2Connection& connection) : connection_(connection) {}
    void OnTurn() override { connection_.GoOn(); }

   private:
    Http2Connection& connection_;
  };
  // Goes on with what the client has sent, after other sockets.
  void GoOn();
  // Reads as much as `buffer` holds, and serves `most_requests` of that.
  void Read(absl::Span<char> buffer, int most_requests);

  void Await();
  void OnBytes(absl::string_view bytes);
  // Serves the requests whose heads have come, `most` of them and as many as
  // there is time for; GoOn does the rest.
  void StartRequests(int most);
  void SendKeepalive(absl::Time now);
  // Sends what there is to send, as far as the client takes it.
  void Flush();
  // Gives the stream what it takes; false when something is left.
  bool WriteOn();
  // Those whose end is out.
  void FinishStreams();
  // The client breaks HTTP/2 or floods: GOAWAY, and no more.
  void Fail(const absl::Status& why);
  void Linger();
  void Finish(absl::string_view why);
  // The stream is the session's no more.
  void Drop(Http2Stream& stream);
  void UpdateIdle();

  const std::shared_ptr<ByteStream> stream_;
  const Peer peer_;
  const std::size_t listener_;
  ConnectionHost& host_;
  std::shared_ptr<const ConnectionSettings> settings_;
  State state_ = State::kPreface;
  absl::Time since_;  // When the state's patience began; the last stream ended.
  bool idle_ = false;  // As the host knows.
  bool rests_ = false;

  GoingOn going_on_{*this};
  std::optional<h2::Session> session_;
  absl::flat_hash_map<Http2Stream*, std::shared_ptr<Http2Stream>> streams_;
  // With a whole head; nothing more is read meanwhile.
  std::deque<std::shared_ptr<Http2Stream>> arrived_;
  std::vector<std::shared_ptr<Http2Stream>> finishing_;  // FinishWhenSent.
  int heads_too_long_ = 0;  // Since the last OnBytes.

  struct Reading {
    bool awaited = false;
    absl::Time last;  // When something came.
    std::optional<absl::Time> pinged_at;
    // When the head of a request began; only one can be on its way (RFC 9113
    // section 4.3).
    std::optional<absl::Time> head_since;
  } reading_;
  struct Writing {
    bool blocked = false;
    bool failed = false;
    bool used = false;  // Since the last tick.
    std::string bytes;
    std::size_t sent = 0;  // Of them.
    std::optional<absl::Time> stalled_since;
    std::uint64_t taken = 0;  // By the client, at the last tick.
  } writing_;
};

}  // namespace headgate

#endif  // GATEWAY_NET_HTTP2_CONNECTION_H_
