#ifndef GATEWAY_CODEC_DIALECT_H_
#define GATEWAY_CODEC_DIALECT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gateway/codec/body_format.h"
#include "gateway/codec/codec.h"
#include "gateway/codec/connect.h"
#include "gateway/codec/grpc.h"
#include "gateway/codec/grpc_web.h"
#include "gateway/codec/grpc_websockets.h"
#include "gateway/codec/http_json.h"
#include "gateway/codec/hub_clients.h"
#include "gateway/codec/json.h"
#include "gateway/codec/packet.h"
#include "gateway/codec/passthrough.h"
#include "gateway/schema/schema.h"

namespace headgate {

inline const BodyFormat kNoBodyFormat;

// What a codec may need of its session. The options and the binding must
// outlive the codec.
struct CodecInputs {
  const PacketOptions& packet;
  const JsonCodecOptions& json;
  // Null without descriptors; a dialect with needs_descriptor gets both.
  std::shared_ptr<const Schema> schema = nullptr;
  const Schema::Method* method = nullptr;
  // Null where path and query take no part in the request.
  const RequestBinding* binding = nullptr;
  absl::string_view media_type = {};       // The request's Content-Type.
  bool wants_status = false;               // The client asked for "?status=1".
  const BodyFormat& body = kNoBodyFormat;  // Of a dialect with media_types.
  // The longest request, decompressed, where the frames of a dialect are not
  // the messages of the wire; and the longest head in-band.
  std::size_t max_message_bytes = 1024 * 1024;
  std::size_t max_head_bytes = 8 * 1024;
};

// A form of messages on the wire, as a row of the table of dialects. Rows are
// compared by address.
struct Dialect {
  enum class On { kWebSocket, kHttp };
  // When the call may start: with the headers of the handshake, or of the HTTP
  // request, or once the codec has decoded a InBandHead.
  enum class Head { kHandshake, kFirstMessage };
  // How many calls one socket has.
  enum class Calls { kOne, kMany };

  absl::string_view name;  // In configuration, flags, metrics and logs.
  // The WebSocket subprotocol that asks for it, or the media type of an HTTP
  // response's body.
  absl::string_view token;
  On on = On::kWebSocket;
  Head head = Head::kHandshake;
  Calls calls = Calls::kOne;  // kMany: `make` gives the codec of each.
  // Only hub routes serve it, and there is no `make`.
  bool is_of_hubs = false;
  // Its messages cannot be converted without the method's descriptor.
  bool needs_descriptor = false;
  // Whether it has a place for the backend's metadata; null: never.
  bool (*wants_metadata)(const CodecInputs&) = nullptr;
  // Fails where the request itself is at fault, with INVALID_ARGUMENT.
  absl::StatusOr<std::unique_ptr<Codec>> (*make)(const CodecInputs&) = nullptr;

  // --- Of a dialect that a request's Content-Type asks for, on any route that
  // leads to methods; the others have none of these. ---
  absl::Span<const absl::string_view> media_types = {};
  bool needs_http2 = false;
  // The headers of the request that say how its messages are compressed, and
  // what the responses' may be.
  absl::string_view encoding_header = {};
  absl::string_view accept_encoding_header = {};
  // The response that tells a failure where there is no codec (yet): a request
  // that is refused, a method whose descriptor cannot be had.
  WholeResponse (*failure)(const CallEnd&) = nullptr;
};

// The messages that tell an ending where there is no call and no session; empty
// where the dialect has no place for it, or would need the number of a call.
std::vector<WireMessage> MessagesOfEnding(const Dialect& dialect,
                                          const Ending& ending);

// Every dialect that the gateway speaks, in the order in which messages name
// them. Each is defined next to its codec: json.h, packet.h, passthrough.h,
// grpc_websockets.h, hub_clients.h, http_json.h, grpc.h, grpc_web.h, connect.h.
absl::Span<const Dialect* const> Dialects();

// The rows of `table` for WebSockets, by name and by token; null: there is
// none. Headgate's own tokens are compared exactly (RFC 6455 section 11.5),
// those of other gateways in any case, as these do.
const Dialect* FindDialect(absl::string_view name,
                           absl::Span<const Dialect* const> table = Dialects());
const Dialect* DialectOfSubprotocol(
    absl::string_view token,
    absl::Span<const Dialect* const> table = Dialects());

// The row that a request with this Content-Type asks for, its parameters aside;
// null: there is none.
const Dialect* DialectOfMediaType(
    absl::string_view content_type,
    absl::Span<const Dialect* const> table = Dialects());

// The names of Headgate's own for WebSockets that are not of hubs alone, in
// alphabetical order, and all their subprotocols, in the order of the table.
std::vector<std::string> DialectNames();
std::vector<std::string> SubprotocolNames();

}  // namespace headgate

#endif  // GATEWAY_CODEC_DIALECT_H_
