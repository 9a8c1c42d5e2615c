#ifndef GATEWAY_CODEC_HTTP_FORM_H_
#define GATEWAY_CODEC_HTTP_FORM_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "gateway/base/metadata.h"
#include "gateway/base/status.h"
#include "gateway/codec/outgoing.h"

namespace headgate {

// How the responses of a call stand in the body of an HTTP response, whatever
// each of them is made of (docs/protocol.md, "HTTP and JSON"). The messages of
// a form are the bytes of the body.
//
// Order: Head at most once and first, Message any number of times, End once and
// last. Not thread-safe.
class HttpForm {
 public:
  virtual ~HttpForm() = default;

  // The backend's initial metadata.
  virtual void Head(const Metadata& headers, Outgoing& out) = 0;
  // One response. `media_type`: what its bytes are; empty: JSON.
  virtual void Message(std::string text, absl::string_view media_type,
                       Outgoing& out) = 0;
  // `failure`: a failure as JSON; empty for OK.
  virtual void End(const Ending& ending, std::string failure,
                   Outgoing& out) = 0;
  virtual std::size_t held_bytes() const { return 0; }
};

// The one response of a call is the whole body; a failure, in its place, has
// its HTTP status.
std::unique_ptr<HttpForm> MakeWholeForm();
// Each response is a line of JSON and leaves at once. A failure before the
// first has its HTTP status, if the head has not left; else it is the last
// line.
std::unique_ptr<HttpForm> MakeLinesForm();
// Each response is an event (the HTML standard, "Server-sent events"). `retry:`
// comes first, the event `end` last, so that the client does not come back;
// after a failure the event `status-error`.
std::unique_ptr<HttpForm> MakeEventsForm();
// Responses are bytes behind one another, and the first says of which media
// type. A failure after it has no place: the body is cut off.
std::unique_ptr<HttpForm> MakeBytesForm();

// The HTTP status of a session's ending, as that of google/rpc/code.proto, and
// 413 for a message that was too big.
int HttpStatusOf(const Ending& ending);

// A backend's metadata as header fields, as grpc-gateway names them: `prefix`
// and the key, "Grpc-Metadata-X-Branch". Values of "-bin" keys as base64. What
// goes beyond 8 KiB is left out.
FieldList MetadataFields(absl::string_view prefix, const Metadata& metadata);

}  // namespace headgate

#endif  // GATEWAY_CODEC_HTTP_FORM_H_
