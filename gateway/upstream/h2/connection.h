#ifndef GATEWAY_UPSTREAM_H2_CONNECTION_H_
#define GATEWAY_UPSTREAM_H2_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/base/turn.h"
#include "gateway/h2/keepalive.h"
#include "gateway/h2/session.h"
#include "gateway/tls/engine.h"
#include "gateway/upstream/h2/alarms.h"
#include "gateway/upstream/h2/response_head.h"
#include "gateway/upstream/h2/target.h"

namespace headgate {

class H2Connection;

// One stream of a connection to a gRPC server: h2::Stream in gRPC's words.
//
// Its events come while the connection's bytes are being read or written. They
// may call the connection's Resume, Reset, Finish and Consume, and must not run
// code of anybody else's: what they mean for others has to wait (Turn).
class H2Stream : public h2::Stream {
 public:
  // A head, or trailers. `end_stream`: nothing follows.
  virtual void OnHeaderBlock(HeaderBlock block, bool end_stream) = 0;
  // The server has sent GOAWAY; the stream goes on.
  virtual void OnDraining() {}

  // Last events, when the stream has left the connection.
  // The backend never worked on it: it may be tried again (RFC 9113 section
  // 8.7).
  virtual void OnRefused() = 0;
  virtual void OnClosed(absl::Status why) = 0;

  virtual MetadataDelivery metadata_delivery() const = 0;
  // Whether it is work of the loop's, and so may have pings.
  virtual bool is_call() const { return true; }

  // The connection's, null when it has none.
  H2Connection* connection() const {
    return session() != nullptr ? connection_ : nullptr;
  }

 protected:
  ~H2Stream() = default;

 private:
  friend class H2Connection;

  void OnFieldsBegin() final;
  void OnField(absl::string_view name, absl::string_view value) final;
  void OnFieldsEnd(bool end_stream) final;
  void OnEnd(const h2::StreamEnd& end) final;

  H2Connection* connection_ = nullptr;
  bool is_counted_ = false;  // Among the connection's calls.
};

// Is notified of one connection. It may close the connection within these, and
// lets go of it by Turn::Bury.
class H2ConnectionOwner {
 public:
  // Streams may be opened.
  virtual void OnConnected(H2Connection& connection) = 0;
  // It takes no new streams; those it has go on.
  virtual void OnDraining(H2Connection& connection) = 0;
  // It is closed, and its streams have heard so. `served`: it had any.
  virtual void OnLost(H2Connection& connection, bool served,
                      absl::Status why) = 0;
  // A stream has ended or the server has sent something: streams that could not
  // be opened before may fit now.
  virtual void OnRoom() = 0;

 protected:
  ~H2ConnectionOwner() = default;
};

struct H2ConnectionOptions {
  // The window of a stream, at least the 64 KiB of RFC 9113 section 6.9.2. It
  // grows where it holds up a backend that is far away: up to 1 MiB, and all of
  // a connection by 4 MiB together.
  std::size_t stream_window_bytes = 64 * 1024;
  int max_streams = 100;
  Alarms::Clock::duration connect_timeout = std::chrono::seconds(5);
  // Pings, while there are calls: after so long a silence, absent: none; and
  // the pause after one that nothing but its ACK has followed.
  std::optional<Alarms::Clock::duration> keepalive_interval;
  Alarms::Clock::duration keepalive_pause = {};
  Alarms::Clock::duration keepalive_timeout = std::chrono::seconds(20);
};

// One HTTP/2 connection of a client (h2::Session): its socket, with TLS or with
// prior knowledge, its times, and its calls.
//
// It is connected when the server's SETTINGS have come. What it sends is put
// together at the end of a Turn and leaves in one write, with TLS as well; no
// more than 64 KiB wait behind it, then streams are asked for nothing.
//
// Thread:   the worker's.
// Lifetime: operations of the loop's keep it alive until they have ended, so
//           that it is made by std::make_shared. Its owner must close it before
//           going away; after Close no event comes.
// Work:     it is no work of the loop's to wait for what the server sends.
class H2Connection final : public std::enable_shared_from_this<H2Connection>,
                           private Alarms::Alarm,
                           private TurnTask {
 public:
  // `worker`, `turn` and `alarms` must outlive Close. Without `tls`: plaintext.
  H2Connection(boost::asio::io_context& worker, Turn& turn, Alarms& alarms,
               H2Endpoint endpoint, const H2ConnectionOptions& options,
               H2ConnectionOwner& owner, std::unique_ptr<TlsEngine> tls);
  ~H2Connection();
  H2Connection(const H2Connection&) = delete;
  H2Connection& operator=(const H2Connection&) = delete;

  // Once, first.
  void Connect();

  const H2Endpoint& endpoint() const { return endpoint_; }
  bool connected() const { return state_ == State::kConnected; }
  bool connecting() const { return state_ == State::kConnecting; }
  // What its server has not said yet, for the log. Requires: connecting().
  absl::string_view missing() const;
  bool draining() const { return state_ == State::kDraining; }
  std::size_t stream_count() const {
    return session_ ? session_->stream_count() : 0;
  }
  // How many streams may be opened besides those that are; 0 unless connected.
  std::size_t room() const;

  // The longest header list that the server takes, as RFC 9113 section 10.5.1
  // counts it. Requires: connected() or draining().
  std::size_t max_header_list_bytes() const {
    return session_->peer_max_header_list_bytes();
  }

  // Opens a stream; false when that cannot be, then the connection has no room
  // any more. The fields are copied. Requires: room() > 0.
  bool Open(H2Stream& stream, const std::vector<h2::Field>& fields);
  // There is something to send again.
  void Resume(H2Stream& stream);
  // Gives up a stream, with a code of RFC 9113 section 7: no event follows.
  void Reset(H2Stream& stream, std::uint32_t error_code);
  // The same after the backend has ended its side: without a word where ours
  // has ended as well, else with NO_ERROR.
  void Finish(H2Stream& stream);
  // So much of the stream's data is taken: the window may open again.
  void Consume(H2Stream& stream, std::size_t bytes);

  // Takes no new streams; it is lost when the last one has gone. Requires:
  // connected(), and there are streams.
  void Drain();

  // Streams that are left are forgotten.
  void Close();

 private:
  friend class H2Stream;
  enum class State { kNew, kConnecting, kConnected, kDraining, kClosed };

  void MakeSession();
  void OnSocketConnected(boost::system::error_code error);
  void StartRead();
  void OnReadable(boost::system::error_code error);
  // For the next read, after one of `read` bytes.
  // What came from the socket, by TLS where there is one.
  absl::Status Take(absl::string_view bytes, h2::Time now);
  absl::Status TakeTls(absl::string_view bytes, h2::Time now);
  // What the last bytes have led to.
  void Settle();

  // Writes what there is to write.
  void Flush();
  void OnTurn() override { Flush(); }
  bool HasOutput() const;
  void StartWrite();
  void OnWritten(boost::system::error_code error);

  void OnAlarm() override;
  void SetKeepalive();

  // A stream is there no more.
  void OnStreamGone(H2Stream& stream);
  void OnStreamEnd(H2Stream& stream, const h2::StreamEnd& end);

  void Lose(absl::Status why);
  void PutLastWords();
  void CloseSocket();

  boost::asio::io_context& worker_;
  Turn& turn_;
  Alarms& alarms_;
  const H2Endpoint endpoint_;
  const H2ConnectionOptions options_;
  H2ConnectionOwner* owner_;  // Null once closed.
  State state_ = State::kNew;

  // The bytes of the connection: only Connect, StartRead, TakeTls, StartWrite
  // and CloseSocket know how they travel.
  using Socket =
      boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol,
                                       boost::asio::io_context::executor_type>;
  Socket socket_;
  const std::unique_ptr<TlsEngine> tls_;  // Null: plaintext.
  struct Reading {
    bool pending = false;
    // The fields that are coming in; there is one block at a time (RFC 9113
    // section 4.3).
    HeaderBlock block;
  } reading_;
  struct Writing {
    bool pending = false;
    boost::system::error_code error;  // Nothing more can be written.
    std::string next;                 // Being put together, before TLS.
    std::string current;              // Under way, as it is on the wire.
  } writing_;

  std::optional<h2::Session>
      session_;              // Absent before the end of TLS's handshake.
  std::size_t calls_ = 0;    // Of the streams.
  std::size_t max_streams_;  // The less of the server's limit and ours.
  bool served_ = false;      // A stream was opened.
  h2::Keepalive keepalive_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_CONNECTION_H_
