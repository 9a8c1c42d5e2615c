#ifndef GATEWAY_CODEC_GRPC_FIELDS_H_
#define GATEWAY_CODEC_GRPC_FIELDS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "gateway/base/metadata.h"
#include "gateway/base/status.h"
#include "gateway/codec/outgoing.h"

namespace headgate {

// Metadata and statuses as header fields, for the dialects whose clients read
// gRPC's own (grpc/grpc doc/PROTOCOL-HTTP2.md, doc/PROTOCOL-WEB.md). Pure.

// A message as "grpc-message": bytes other than printable ASCII, and '%', are
// percent-encoded, and no others, because clients decode with what decodes a
// URL. Bytes that are not UTF-8 become '?', because such clients refuse them.
std::string EncodeStatusMessage(absl::string_view message);

// A backend's metadata; the values of "-bin" keys in base64 without padding. A
// value that is not printable ASCII, which some clients throw on, is left out.
FieldList FieldsOf(const Metadata& metadata);

// The fields among these that can stand in the head of an HTTP response: not
// those that frame it or that only the gateway sets, and no more than 8 KiB.
FieldList ForResponseHead(FieldList fields);

// What tells how a call ended: "grpc-status", "grpc-message" and
// "grpc-status-details-bin" as far as there are any, then the trailing
// metadata.
FieldList StatusFields(const CallEnd& end);

// The fields as lines "NAME: VALUE\r\n".
std::string FieldLines(const FieldList& fields);

}  // namespace headgate

#endif  // GATEWAY_CODEC_GRPC_FIELDS_H_
