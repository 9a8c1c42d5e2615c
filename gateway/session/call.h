#ifndef GATEWAY_SESSION_CALL_H_
#define GATEWAY_SESSION_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "gateway/base/status.h"
#include "gateway/base/watermark_queue.h"
#include "gateway/schema/schema.h"
#include "gateway/upstream/upstream.h"

namespace headgate {

// What a Call tells its session. The session may destroy the call within any
// of these, as the last thing it does there.
class CallObserver {
 public:
  // As UpstreamCallObserver::OnHeaders.
  virtual void OnCallHeaders(Metadata /*headers*/) {}
  // Answers one Read.
  virtual void OnCallMessage(std::string payload) = 0;
  // The call was backlogged and is no longer.
  virtual void OnCallWritable() = 0;
  // Once, and last.
  virtual void OnCallDone(CallEnd end) = 0;

 protected:
  ~CallObserver() = default;
};

// One RPC as the client sees it, with the rules of the four kinds of call: a
// state machine between the client's messages and an UpstreamCall. It does no
// I/O and reads no clock.
//
// Thread:   the worker of its session.
// Lifetime: owned by its session; destroying it cancels the RPC.
class Call final : private UpstreamCallObserver {
 public:
  // Starts the RPC.
  Call(MethodKind kind, CallRequest request, Watermarks marks,
       Upstream& upstream, CallObserver& observer);

  // Forwards one message. Returns how the session must end when the client was
  // not allowed to send it: one request too many for the kind of call, or data
  // after a half-close.
  std::optional<Ending> Send(std::string payload);

  // Forwards the client's half-close, after every message sent before it. Of a
  // call that takes one request, it is accepted after that request and changes
  // nothing; before it, the request is the empty message. Returns how the
  // session must end when it is the second one.
  std::optional<Ending> HalfClose();

  // Asks for one message. At most one Read is pending.
  void Read();

  // True while the session should send no more.
  bool backlogged() const { return pending_.full(); }
  // Frees what is kept for the next message.
  void Shrink() { pending_.Shrink(); }
  // What the session has sent and the upstream has not taken.
  std::size_t pending_bytes() const { return pending_.bytes(); }
  // That, and what the upstream's call holds.
  std::size_t held_bytes() const {
    return pending_.bytes() + upstream_call_->buffered_bytes();
  }
  // Whether the client is done, and the answer to a complete request is all
  // that is missing.
  bool awaits_only_answer() const {
    return client_ != Client::kSending && GivesOneAnswer(kind_);
  }
  // Whether the backend may still answer what the client has sent so far: a
  // client's stream of which one answer is due is answered when it has ended.
  bool may_answer() const {
    return client_ != Client::kSending || (sent_any_ && !GivesOneAnswer(kind_));
  }
  // Whether the upstream has a message that it has not taken wholly.
  bool writing() const { return writing_; }
  // Grows while the upstream takes messages, or where it can be known parts of
  // one.
  std::uint64_t progress() const {
    return messages_taken_ + upstream_call_->bytes_taken();
  }

 private:
  enum class Client {
    kSending,
    kRequestComplete,  // Its one request was sent, the half-close implied.
    kHalfClosed,       // It said so itself.
  };

  void OnHeaders(Metadata headers) override;
  void OnMessage(std::string payload) override;
  void OnWritten() override;
  void OnDone(CallEnd end) override;
  void Enqueue(std::string payload);
  void MaybeWrite();

  const MethodKind kind_;
  CallObserver& observer_;
  Client client_ = Client::kSending;
  bool sent_any_ = false;
  WatermarkQueue<std::string> pending_;
  bool writing_ = false;
  bool writes_done_ = false;
  bool done_ = false;
  std::uint64_t messages_taken_ = 0;
  std::uint64_t answers_ = 0;
  std::unique_ptr<UpstreamCall> upstream_call_;
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_CALL_H_
