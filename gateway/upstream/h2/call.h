#ifndef GATEWAY_UPSTREAM_H2_CALL_H_
#define GATEWAY_UPSTREAM_H2_CALL_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/base/message_framing.h"
#include "gateway/base/turn.h"
#include "gateway/upstream/h2/alarms.h"
#include "gateway/upstream/h2/connection.h"
#include "gateway/upstream/h2/response_head.h"
#include "gateway/upstream/upstream.h"

namespace headgate {

class H2Call;

// What calls have in common, and where they get their connections.
class H2CallHost {
 public:
  struct Options {
    absl::string_view scheme = "http";
    std::string authority;
    std::string user_agent;
    bool compress = false;  // Requests, by gzip.
    std::size_t max_answer_bytes = 0;
  };

  virtual const Options& call_options() const = 0;
  virtual boost::asio::io_context& worker() = 0;
  virtual Alarms& alarms() = 0;
  virtual Turn& turn() = 0;

  // Looks for a connection and has the call open its stream there, or end.
  virtual void Enqueue(H2Call& call) = 0;
  // No longer.
  virtual void Forget(H2Call& call) = 0;

 protected:
  ~H2CallHost() = default;
};

// One RPC over a stream of HTTP/2.
//
// What happens to it is recorded. Its observer is notified by a task of the
// Turn, one event at a time, so no event comes from within a method.
//
// Memory: what waits is bounded, bytes from the backend by the stream's window,
//         bytes to it by the one Write that is pending. A call that waits for
//         something holds no buffer.
class H2Call final : public UpstreamCall,
                     public H2Stream,
                     private Alarms::Alarm,
                     private TurnTask {
 public:
  // `host` lives as long as a call does.
  H2Call(std::shared_ptr<H2CallHost> host, CallRequest request,
         UpstreamCallObserver& observer);
  ~H2Call() override;
  H2Call(const H2Call&) = delete;
  H2Call& operator=(const H2Call&) = delete;

  // Once, first.
  void Start();

  void Read() override;
  void Write(std::string payload, WriteHint hint) override;
  void WritesDone() override;
  std::size_t buffered_bytes() const override {
    return received_.capacity() + reader_.held_bytes() + outgoing_bytes_;
  }
  std::uint64_t bytes_taken() const override { return bytes_taken_; }

  // Opens its stream; false when the connection has no room any more, or when
  // the call has ended because its headers are longer than the server takes.
  // Requires: it was enqueued, and there is room.
  bool OpenOn(H2Connection& connection);
  // It got no connection.
  void FailToConnect(absl::Status status);

  // The host's: where it waits for a connection, and since when.
  struct Waiting {
    std::optional<std::list<H2Call*>::iterator> position;
    Alarms::Clock::time_point since;
  };
  Waiting waiting;

 private:
  struct Message {
    MessagePrefix prefix;
    std::string payload;

    std::size_t bytes() const { return prefix.size() + payload.size(); }
  };

  void OnHeaderBlock(HeaderBlock block, bool end_stream) override;
  void OnData(absl::string_view bytes) override;
  void OnEndStream() override;
  void OnDraining() override;
  void OnRefused() override;
  void OnClosed(absl::Status why) override;
  Outgoing PeekOutgoing(std::size_t max) override;
  void MoveOutgoing(std::size_t bytes, std::string& to) override;
  MetadataDelivery metadata_delivery() const override { return delivery_; }

  void OnAlarm() override;
  void OnTurn() override;

  // It has ended so, whatever the backend may still say.
  void End(CallEnd end);
  // The same, and the backend does not know.
  void Abort(absl::Status status);
  // From now on it cannot be tried again.
  void Commit();
  // Puts the next message together from what has come, and opens the window by
  // what is no longer held.
  void Advance();
  void OpenWindow();
  // Takes part of a message from `bytes`; how much of them. The call may have
  // ended by it.
  std::size_t Feed(absl::string_view bytes);
  // What the backend sent cannot be understood: what comes behind it is of no
  // use any more, a status neither.
  void EndInstead(absl::Status status);
  void DropReceived();
  // The message that is complete, as its sender meant it.
  absl::StatusOr<std::string> TakeMessage();
  // Whether there is something to tell.
  bool HasEvent() const;
  void ScheduleEvents();
  std::size_t held_bytes() const { return received_.size() - received_taken_; }

  const std::shared_ptr<H2CallHost> host_;
  UpstreamCallObserver& observer_;
  const MetadataDelivery delivery_;
  MessageEncoding encoding_ = MessageEncoding::kIdentity;
  bool head_came_ = false;
  bool read_pending_ = false;
  bool write_pending_ = false;
  bool write_answered_ = false;
  bool writes_done_ = false;
  bool told_done_ = false;
  bool draining_ = false;  // To be told.
  std::uint8_t attempts_ = 0;

  // Until something has come from the backend: for another attempt.
  std::unique_ptr<CallRequest> request_;
  std::optional<Alarms::Clock::time_point> deadline_;

  MessageReader reader_;
  std::string received_;  // What has come and was not asked for yet.
  std::size_t received_taken_ = 0;
  std::size_t unconsumed_ = 0;  // Of the stream's window.

  // What has been sent stays in front as long as there may be another attempt.
  std::vector<Message> outgoing_;
  std::size_t outgoing_next_ = 0;    // The first that is not sent, wholly.
  std::size_t outgoing_offset_ = 0;  // In it.
  std::size_t outgoing_bytes_ = 0;   // To be sent.
  std::uint64_t bytes_taken_ = 0;

  std::unique_ptr<Metadata> headers_;  // To be told.
  std::unique_ptr<CallEnd> end_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_CALL_H_
