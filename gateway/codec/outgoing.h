#ifndef GATEWAY_CODEC_OUTGOING_H_
#define GATEWAY_CODEC_OUTGOING_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/base/status.h"
#include "gateway/base/watermark_queue.h"
#include "gateway/codec/wire_message.h"

namespace headgate {

// Header fields of HTTP, in order.
using FieldList = std::vector<std::pair<std::string, std::string>>;

// The head of an HTTP response. A WebSocket has no place for it.
struct OutHead {
  int http_status = 200;
  FieldList fields = {};
  // The backend's initial metadata, as header fields.
  FieldList metadata = {};
  // One message at most follows, and it is the whole body: it is sent with the
  // end, when its length and the trailers are known.
  bool is_whole = false;
  // Bytes of the body that are sent with the head.
  std::string preamble = {};
  // Bytes that the transport may send while there is nothing else, so that
  // nothing between it and the client takes the connection for dead.
  absl::string_view filler = {};
};

// A whole HTTP response. The head's is_whole is set.
struct WholeResponse {
  OutHead head;
  std::string body;
};

// The end of everything: a Close frame, or the last byte of an HTTP response.
struct OutEnd {
  Ending ending;
  // The backend's trailing metadata, as trailer fields.
  FieldList trailers = {};
  // Bytes of the body that are sent with the end.
  absl::string_view coda = {};
  // The body is not complete, which only a broken connection can tell.
  bool is_cut_off = false;
};

// What a codec has to send: a head, messages, an end. The messages wait in a
// queue that says when no more responses should be asked for; a head is there
// until it is taken, before any message.
//
// Not thread-safe.
class Outgoing {
 public:
  explicit Outgoing(Watermarks marks) : messages_(marks) {}

  // --- For codecs ---

  // Before the first message. A second head replaces the first, and is allowed
  // while that has not been sent.
  void Head(OutHead head) {
    head_ = std::make_unique<OutHead>(std::move(head));
  }
  void Data(WireMessage message) {
    const std::size_t bytes = message.payload.size();
    messages_.Push(std::move(message), bytes);
  }
  // Once, and last.
  void End(OutEnd end) { end_ = std::make_unique<OutEnd>(std::move(end)); }

  // Whether the head has gone to the client, so that its HTTP status cannot
  // change any more. As of the last call of the codec.
  bool head_is_sent() const { return head_is_sent_; }

  // --- For sessions ---

  void set_head_is_sent(bool is_sent) { head_is_sent_ = is_sent; }
  std::unique_ptr<OutHead> TakeHead() { return std::move(head_); }
  bool has_head() const { return head_ != nullptr; }

  bool is_full() const { return messages_.full(); }
  bool has_messages() const { return !messages_.empty(); }
  std::size_t bytes() const { return messages_.bytes(); }
  std::size_t message_count() const { return messages_.size(); }
  void DropMessages() { messages_.Clear(); }
  // Frees the memory that is kept for messages to come.
  void Shrink() { messages_.Shrink(); }
  // The next message, with those behind it as long as all together have at most
  // `join_bytes`; 0: alone. Requires: has_messages().
  WireMessage TakeMessage(std::size_t join_bytes) {
    WireMessage message = messages_.Pop();
    if (join_bytes == 0) return message;
    while (!messages_.empty() &&
           message.payload.size() + messages_.Front().payload.size() <=
               join_bytes) {
      message.payload += messages_.Pop().payload;
    }
    return message;
  }
  // Null until the codec has ended.
  const OutEnd* end() const { return end_.get(); }

 private:
  std::unique_ptr<OutHead> head_;
  WatermarkQueue<WireMessage> messages_;
  std::unique_ptr<const OutEnd> end_;
  bool head_is_sent_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_CODEC_OUTGOING_H_
