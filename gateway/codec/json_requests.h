#ifndef GATEWAY_CODEC_JSON_REQUESTS_H_
#define GATEWAY_CODEC_JSON_REQUESTS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/codec/codec.h"
#include "gateway/codec/json.h"
#include "gateway/codec/json_stream.h"
#include "gateway/codec/json_text.h"
#include "gateway/schema/schema.h"

namespace headgate {

// What a google.api.HttpBody is to the client.
enum class HttpBodies {
  kJson,   // JSON like any other message: over a WebSocket.
  kBytes,  // Its data, as they are: over plain HTTP.
};

// The client's side of a call whose path and query take part in the request
// (google.api.http, or a route's template):
//   * body "*": each JSON text is a message; "field": each is the value of that
//     field; "": there is no body, and the one message that path and query make
//     comes out, the half-close right behind it, before anything was fed; over
//     plain HTTP, once the request's end has shown that there is none.
//   * The first message also has what path and query say. A half-close before
//     any text, of a method that takes one request, is that message alone.
//   * google.api.HttpBody as bytes, as the message or as the body's field: of a
//     method that takes one request all that comes before the half-close is its
//     data, at most max_message_bytes; else each piece fed is one message's.
//
// Feed, Next, inside_message and held_bytes are as Codec's. Not thread-safe.
class JsonRequests {
 public:
  // `media_type`: the request's Content-Type, for an HttpBody. `options` must
  // outlive it. INVALID_ARGUMENT when a parameter does not fit its field,
  // naming it.
  static absl::StatusOr<std::unique_ptr<JsonRequests>> Make(
      const JsonCodecOptions& options, HttpBodies bodies,
      std::shared_ptr<const Schema> schema, const Schema::Method& method,
      const RequestBinding& binding, absl::string_view media_type);

  void Feed(WireMessage message);
  Decoded Next();
  bool inside_message() const {
    return stream_.inside_text() || !collected_.empty();
  }
  std::size_t held_bytes() const {
    return stream_.held_bytes() + collected_.size() +
           (piece_ ? piece_->size() : 0);
  }

 private:
  // What the client's bytes are.
  enum class Form {
    kNone,            // Nothing: the request has no body.
    kEmptyBody,       // Nothing, which the half-close shows.
    kJson,            // JSON texts, a message each.
    kCollectedJson,   // One JSON text, which only the half-close ends.
    kCollectedBytes,  // The data of one HttpBody, up to the half-close.
    kPieces,          // The data of an HttpBody each.
  };

  JsonRequests(const JsonCodecOptions& options, HttpBodies bodies,
               std::shared_ptr<const Schema> schema,
               const Schema::Method& method, std::string body,
               absl::string_view media_type, std::string parameters);

  Form FormOf(HttpBodies bodies) const;
  Decoded NextOfNone();
  Decoded NextOfEmptyBody();
  Decoded NextOfCollected();
  Decoded NextOfStream();
  Decoded Text(absl::string_view json);
  Decoded NextOfEnd();
  Decoded Request(std::string message);
  std::string HttpBodyOf(std::string data) const;

  const JsonCodecOptions& options_;
  const std::shared_ptr<const Schema> schema_;
  const Schema::Method& method_;
  const std::string body_;
  const std::string media_type_;
  const std::string parameters_;  // Serialized.
  const Form form_;

  JsonStream stream_;
  TypeWait type_wait_;
  // The stream's text that waits for a type.
  std::optional<absl::string_view> waiting_;
  std::string collected_;
  std::optional<std::string> piece_;
  bool unwanted_ = false;     // The client has sent a body where there is none.
  bool first_sent_ = false;   // The first message is out.
  bool half_close_ = false;   // Fed, and not yet decoded.
  bool ending_side_ = false;  // A HalfClose is to follow.
  bool client_ended_ = false;  // kNone: the client has half-closed.
};

}  // namespace headgate

#endif  // GATEWAY_CODEC_JSON_REQUESTS_H_
