#ifndef CMD_HEADGATE_BENCH_H2_STREAMS_H_
#define CMD_HEADGATE_BENCH_H2_STREAMS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "cmd/headgate/bench/dialect.h"
#include "cmd/headgate/bench/repeated.h"
#include "cmd/headgate/dial/ending.h"
#include "gateway/h2/session.h"
#include "gateway/ws/endpoint.h"

namespace headgate {

// A stream of HTTP/2 that carries load. What happens to it within its session
// is kept until TakeProgress.
//
// Thread: one at a time. No I/O.
class LoadStream : public h2::Stream {
 public:
  // Receives that there is some progress; must not touch the session.
  class Observer {
   public:
    virtual void OnProgress(LoadStream& stream) = 0;

   protected:
    ~Observer() = default;
  };

  struct Progress {
    bool opened = false;  // It takes messages.
    bool codec_declined = false;
    std::size_t answers = 0;
    bool may_grow = false;  // Session::GrowWindow.
    // The stream is over; of a call that has succeeded without a reason.
    bool ended = false;
    std::optional<DialEnding> failure;
  };

  virtual ~LoadStream();
  Progress TakeProgress();

 protected:
  // The arguments must outlive it.
  LoadStream(const BenchDialect& dialect, Observer& observer);

  // Another request follows on it.
  void Restart();

  // The response's head, of status 200.
  virtual void OnAccepted() = 0;
  virtual void OnBody(absl::string_view bytes) = 0;
  // What the end of the response means, unless it has told a failure already.
  virtual void OnBodyEnd() = 0;

  void CountBody(absl::string_view bytes, bool end);
  // These end the stream, with the first reason.
  void Fail(DialEnding failure);
  void Succeed();
  Progress& MakeProgress();

  const BenchDialect& dialect_;
  std::unique_ptr<AnswerCounter> counter_;
  std::string subprotocol_;  // That the server has selected.

 private:
  // h2::Stream.
  void OnFieldsBegin() final {}
  void OnField(absl::string_view name, absl::string_view value) final;
  void OnFieldsEnd(bool end_stream) final;
  void OnData(absl::string_view bytes) final;
  void OnEndStream() final;
  void OnEnd(const h2::StreamEnd& end) final;

  std::optional<DialEnding> FailureOfResponse() const;

  Observer& observer_;
  bool told_ = false;  // The observer, since TakeProgress.
  Progress progress_;

  enum class Reading { kHead, kBody, kOver } reading_ = Reading::kHead;
  int http_status_ = 0;
  std::string grpc_status_;
  std::string grpc_message_;
  std::string refusal_;  // The body, or its beginning.
};

// A call with one message, again and again.
class CallStream final : public LoadStream {
 public:
  CallStream(const BenchDialect& dialect, absl::string_view message,
             Observer& observer)
      : LoadStream(dialect, observer), message_(message) {}

  // Before Session::Open.
  void Begin();

 private:
  Outgoing PeekOutgoing(std::size_t max) override;
  void MoveOutgoing(std::size_t bytes, std::string& to) override;
  void OnAccepted() override {}
  void OnBody(absl::string_view bytes) override { CountBody(bytes, false); }
  void OnBodyEnd() override;

  const absl::string_view message_;
  std::size_t sent_ = 0;
};

// Messages on one stream, until Close.
class MessageStream : public LoadStream {
 public:
  // Sends so many more; Session::Resume follows.
  void Send(std::size_t messages) { position_.Add(messages); }
  // Ends the call, or the WebSocket, behind the message that is half sent.
  virtual void Close() { closing_ = true; }

 protected:
  MessageStream(const BenchDialect& dialect, const RepeatedMessage& messages,
                Observer& observer)
      : LoadStream(dialect, observer), messages_(messages) {}

  Outgoing PeekOutgoing(std::size_t max) override;
  void MoveOutgoing(std::size_t bytes, std::string& to) override;

  const RepeatedMessage& messages_;
  RepeatedPosition position_;
  bool closing_ = false;
};

// A call with a stream of messages.
class BodyStream final : public MessageStream {
 public:
  BodyStream(const BenchDialect& dialect, const RepeatedMessage& messages,
             Observer& observer)
      : MessageStream(dialect, messages, observer) {}

 private:
  void OnAccepted() override {}
  void OnBody(absl::string_view bytes) override { CountBody(bytes, false); }
  void OnBodyEnd() override;
};

// A WebSocket (RFC 8441).
class BenchWebSocket final : public MessageStream {
 public:
  struct Options {
    const BenchDialect* dialect = nullptr;
    std::string offered;              // The subprotocol; empty: none.
    std::optional<WireMessage> head;  // Sent before all messages.
  };
  // `options` and `masks` must outlive it.
  BenchWebSocket(const Options& options, const RepeatedMessage& messages,
                 ws::MaskSource& masks, Observer& observer);

  void Close() override;

 private:
  Outgoing PeekOutgoing(std::size_t max) override;
  void MoveOutgoing(std::size_t bytes, std::string& to) override;
  void OnAccepted() override;
  void OnBody(absl::string_view bytes) override;
  void OnBodyEnd() override;

  // The endpoint's frames go between messages.
  bool has_control() const {
    return !position_.is_within() && endpoint_.has_output();
  }

  const Options& options_;
  ws::Endpoint endpoint_;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_H2_STREAMS_H_
