#ifndef GATEWAY_H2_SESSION_H_
#define GATEWAY_H2_SESSION_H_

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/h2/error_code.h"
#include "gateway/h2/flood_budget.h"
#include "gateway/h2/header_guard.h"
#include "gateway/h2/ping_pace.h"
#include "gateway/h2/time.h"
#include "gateway/h2/windows.h"

namespace headgate::h2 {

class Session;

// A field that points to what it was made of.
using Field = nghttp2_nv;
Field MakeField(absl::string_view name, absl::string_view value);
// What they count as a header list (RFC 9113 section 10.5.1).
std::size_t HeaderListBytes(const std::vector<Field>& fields);

// How a stream has left its session.
struct StreamEnd {
  enum class Cause {
    // The peer never worked on it: it may be tried again (RFC 9113 section
    // 8.7).
    kRefused,
    kReset,        // By the peer's RST_STREAM with `code`; NO_ERROR: both
                   // sides have ended.
    kPeerFault,    // The peer has broken HTTP/2 on this stream: `code`.
    kListTooLong,  // A header list of the peer's; `bytes` of it were counted.
    kListUnsendable,  // Ours does not fit the frames of a block.
    kStalled,  // The peer has opened no window for the data for too long.
  } cause;
  std::uint32_t code = kNoError;
  std::size_t bytes = 0;
};

// What one stream of a session is for.
//
// Its events come while the session's bytes are being received or sent. They
// may call Resume, Reset, Finish and Consume, and must not run code of anybody
// else's: what they mean for others has to wait (Turn).
class Stream {
 public:
  // A header block: request, response or trailers.
  virtual void OnFieldsBegin() = 0;
  virtual void OnField(absl::string_view name, absl::string_view value) = 0;
  // `end_stream`: nothing follows.
  virtual void OnFieldsEnd(bool end_stream) = 0;
  virtual void OnData(absl::string_view bytes) = 0;
  // The peer's side has ended without trailers.
  virtual void OnEndStream() = 0;
  // Last event, when the stream has left the session.
  virtual void OnEnd(const StreamEnd& end) = 0;

  // How many bytes there are to be sent, at most `max`, and whether they are
  // the last. Fewer than `max`: there are no more now.
  struct Outgoing {
    std::size_t bytes = 0;
    bool last = false;
  };
  virtual Outgoing PeekOutgoing(std::size_t max) = 0;
  // Appends the next `bytes` of them: flow control has let them go.
  virtual void MoveOutgoing(std::size_t bytes, std::string& to) = 0;
  // The trailers behind the last of them; empty: none. What the fields point to
  // is copied. Asked for once, when PeekOutgoing has said `last`.
  virtual std::vector<Field> TakeTrailers() { return {}; }

  // Null when it has none.
  Session* session() const { return session_; }
  // Its head has left.
  bool was_sent() const { return sent_; }

 protected:
  ~Stream() = default;

 private:
  friend class Session;
  // What nghttp2 knows of the data that this side sends.
  enum class Body : std::uint8_t {
    kNone,      // There is none.
    kQueued,    // PeekOutgoing is asked when flow control lets data go.
    kDeferred,  // There was nothing to send; until Resume.
    kPausing,   // All there was is in the frame that is being sent.
    kAtRest,    // Nothing, which saves its memory; until Resume.
  };

  Session* session_ = nullptr;
  std::size_t index_ = 0;  // Among the session's streams.
  std::int32_t id_ = 0;
  bool sent_ = false;   // Its head.
  bool moved_ = false;  // Some of its data has left since the last OnTime.
  Body body_ = Body::kNone;
  StreamWindow window_;
  // Of a stream with data that has no window; Time::max(): it is none.
  Time stalled_since_ = Time::max();
};

// Where a server gets a stream for each request.
class Acceptor {
 public:
  // Null: refused with REFUSED_STREAM.
  virtual Stream* OnRequest() = 0;

 protected:
  ~Acceptor() = default;
};

enum class Role { kClient, kServer };

struct SessionOptions {
  Role role = Role::kClient;
  // The window of a stream (ReceiveWindows).
  std::size_t stream_window_bytes = 64 * 1024;
  // Of the peer's header lists; a longer one ends its stream.
  std::size_t max_header_list_bytes = 64 * 1024;
  FloodLimits flood;

  // Of a server.
  std::uint32_t max_streams = 100;
  bool connect_protocol = false;  // RFC 8441.
  // How long the client may leave a stream with data to send without a window.
  Duration stall_timeout = std::chrono::seconds(30);
};

// What servers that do not trust their clients start from.
FloodLimits ServerFloodLimits();

// One end of an HTTP/2 connection (RFC 9113) without a socket: bytes in, events
// out, bytes out.
//
// The connection's window is given back as soon as bytes come, so that a stream
// that is not read from holds up no other. A header list above the limit ends
// its stream, and no other: it is decoded no further than HPACK needs to stay
// in step. A peer that sends too much that serves no stream (FloodBudget) loses
// the connection.
//
// Not thread-safe. Streams must leave it (Reset, Finish, DetachAll) before they
// are destroyed. A status of Receive or Send ends it: what Terminate and Send
// then put out are its last words.
class Session {
 public:
  // `acceptor`: of a server, must outlive it. What Send has first is the
  // preface.
  Session(const SessionOptions& options, Acceptor* acceptor, Time now);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // What has come from the peer, in any pieces.
  absl::Status Receive(absl::string_view bytes, Time now);
  // So many bytes have come on the wire, with TLS more than Receive gets: so
  // floods within TLS count as well.
  void OnWireBytes(std::size_t bytes) { budget_.Spend(bytes); }
  // Whether the peer floods the connection; to be asked after each read.
  absl::Status CheckFlood(Time now);
  // What CheckFlood has failed for last.
  Flood flood() const { return flood_; }

  // Appends what there is to send to `out`, until that holds `max_bytes`.
  absl::Status Send(std::size_t max_bytes, std::string& out);
  bool wants_send() const { return nghttp2_session_want_write(session_) != 0; }
  // Frames that wait for Send.
  std::size_t waiting_frames() const {
    return nghttp2_session_get_outbound_queue_size(session_);
  }
  // Neither side has anything more to say.
  bool is_done() const {
    return nghttp2_session_want_read(session_) == 0 && !wants_send();
  }

  // Opens a stream of a client; false when its numbers are used up (RFC 9113
  // section 5.1.1). The fields are copied.
  bool Open(Stream& stream, const std::vector<Field>& fields);
  // Answers the request of a server's stream. Data and trailers follow where
  // `has_body`.
  void Respond(Stream& stream, const std::vector<Field>& fields, bool has_body);

  // An informational response (RFC 9110 section 15.2), before Respond.
  void Inform(Stream& stream, const std::vector<Field>& fields);
  // Whether the end of our side has left.
  bool HasSentEnd(const Stream& stream) const;

  // There is something to send again.
  void Resume(Stream& stream);
  // Gives up a stream: no event follows.
  void Reset(Stream& stream, std::uint32_t error_code);
  // The same after the peer has ended its side: without a word where ours has
  // ended as well, else with NO_ERROR.
  void Finish(Stream& stream);
  // So much of the stream's data is taken: the window may open again. True:
  // GrowWindow is to be called.
  bool Consume(Stream& stream, std::size_t bytes);
  // May send a PING that measures the round trip.
  void GrowWindow(Stream& stream, Time now);
  void Ping();
  // Of a server: takes no new streams from now on, those that are on their way
  // aside (RFC 9113 section 6.8): GOAWAY with the highest number, then, when
  // the client has answered a PING or a second has passed, with the last one's.
  void Drain(Time now);
  // Ends the connection; what Send has next is the last.
  void Terminate(std::uint32_t error_code);

  // To be called now and then by a server: streams that are stalled, and the
  // second step of Drain.
  void OnTime(Time now);

  // Lets go of all streams without a word to them, and returns them.
  std::vector<Stream*> DetachAll();

  std::size_t stream_count() const { return streams_.size(); }
  const std::vector<Stream*>& streams() const { return streams_; }
  // The peer's SETTINGS have come since this was asked.
  bool TakeSettingsCame() { return std::exchange(settings_came_, false); }
  std::uint32_t peer_max_streams() const {
    return Remote(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  }
  std::size_t peer_max_header_list_bytes() const {
    return Remote(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE);
  }
  // It takes extended CONNECT.
  bool peer_connect_protocol() const {
    return Remote(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
  }
  bool goaway_came() const { return goaway_.has_value(); }
  // Its code and text, for the log.
  const std::string& goaway_text() const { return *goaway_; }

  // For the pace of the keepalive's PINGs.
  void set_ping_pace(PingPace* pace) { ping_pace_ = pace; }

 private:
  // nghttp2's callbacks.
  struct Callbacks;

  enum class DrainStep { kNone, kAnnounced, kDone };

  std::uint32_t Remote(nghttp2_settings_id id) const {
    return nghttp2_session_get_remote_settings(session_, id);
  }
  void Attach(Stream& stream, std::int32_t id);
  void Detach(Stream& stream);
  Stream* StreamOf(std::int32_t id) const;
  bool is_server() const { return options_.role == Role::kServer; }
  void EndBlock(Stream& stream, bool end_stream);
  // All of the stream's data that there was has been sent.
  void RestBody(Stream& stream);
  void OnPong(absl::string_view payload);
  void Count(Nuisance nuisance);
  bool HasStalledData(const Stream& stream) const;
  void EndDrain();

  const SessionOptions options_;
  Acceptor* const acceptor_;
  nghttp2_session* session_ = nullptr;
  PingPace* ping_pace_ = nullptr;
  std::vector<Stream*> streams_;

  // What is being received.
  struct Receiving {
    explicit Receiving(std::size_t max_header_list_bytes)
        : guard(max_header_list_bytes) {}
    HeaderGuard guard;
    std::size_t list_bytes = 0;  // Of the header list that is coming in.
    std::int32_t reset_id = 0;   // The stream whose RST_STREAM came last.
    Time now;
  } receiving_;
  ReceiveWindows windows_;
  FloodBudget budget_;
  Flood flood_ = Flood::kNone;

  std::string* sending_to_ = nullptr;  // Within Send.
  bool failed_ = false;                // nghttp2 can do nothing more.
  bool told_fault_ = false;            // To the peer: it breaks HTTP/2.
  std::string fault_;                  // What nghttp2 has against the peer.
  bool settings_came_ = false;
  std::optional<std::string> goaway_;
  DrainStep drain_step_ = DrainStep::kNone;
  Time drain_began_;
};

}  // namespace headgate::h2

#endif  // GATEWAY_H2_SESSION_H_
