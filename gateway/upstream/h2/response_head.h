#ifndef GATEWAY_UPSTREAM_H2_RESPONSE_HEAD_H_
#define GATEWAY_UPSTREAM_H2_RESPONSE_HEAD_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/base/metadata.h"
#include "gateway/base/status.h"
#include "gateway/upstream/upstream.h"

namespace headgate {

// What a backend's metadata may hold, bytes as HTTP/2 counts them (RFC 9113
// section 6.5.2, SETTINGS_MAX_HEADER_LIST_SIZE).
inline constexpr std::size_t kMaxHeaderListBytes = 64 * 1024;

// How a call ends whose backend has sent so much of it.
absl::Status MetadataTooLong(std::size_t bytes);

// Of a message in an answer ("grpc-encoding").
enum class MessageEncoding { kIdentity, kGzip, kUnknown };

// One block of header fields of an answer: its head, its trailers, or both in
// one. A pure value: the connection fills it field by field.
class HeaderBlock {
 public:
  explicit HeaderBlock(MetadataDelivery delivery = MetadataDelivery::kDropped)
      : delivery_(delivery) {}

  void Add(absl::string_view name, absl::string_view value);

  // Of the fields, as kMaxHeaderListBytes counts them.
  std::size_t bytes() const { return bytes_; }
  // Then what else it says is of no use: those above the limit are not kept.
  bool is_too_long() const { return bytes_ > kMaxHeaderListBytes; }

  // :status; 0 when there is none, as in trailers.
  int http_status() const { return http_status_; }
  // 1xx: the answer's head is still to come (RFC 9113 section 8.1).
  bool is_informational() const {
    return http_status_ >= 100 && http_status_ < 200;
  }
  MessageEncoding encoding() const { return encoding_; }

  // Why messages cannot follow this head: it is not 200, or not gRPC's content
  // type (grpc/grpc doc/http-grpc-status-mapping.md). OK when they can.
  absl::Status CheckHead() const;

  Metadata TakeMetadata() { return std::move(metadata_); }

  // How the call ended, by the trailers that these are. `has_head`: a head
  // that CheckHead has passed came before.
  CallEnd TakeEnd(bool has_head);

 private:
  absl::Status NotGrpc() const;

  MetadataDelivery delivery_;
  std::size_t bytes_ = 0;
  int http_status_ = 0;
  bool has_grpc_content_type_ = false;
  std::string content_type_;  // When it is not gRPC's.
  int grpc_statuses_ = 0;     // How often the field has come.
  std::optional<int> grpc_status_;
  std::string grpc_message_;
  std::string details_;
  MessageEncoding encoding_ = MessageEncoding::kIdentity;
  Metadata metadata_;
};

// The code for an answer without "grpc-status" (grpc/grpc
// doc/http-grpc-status-mapping.md).
absl::StatusCode StatusCodeForHttp(int http_status);

// How RST_STREAM ends a call (grpc/grpc doc/PROTOCOL-HTTP2.md, "Errors").
absl::Status StatusForReset(std::uint32_t error_code);

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_RESPONSE_HEAD_H_
