#include "gateway/upstream/h2/response_head.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/utf8.h"
#include "gateway/h2/error_code.h"
#include "gateway/upstream/h2/header_values.h"

namespace headgate {
namespace {

// What of a foreign content type is told.
constexpr std::size_t kMaxToldTypeBytes = 64;

}  // namespace

absl::Status MetadataTooLong(std::size_t bytes) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "the upstream's status or metadata is ", bytes,
      " bytes of headers, at most ", kMaxHeaderListBytes, " are taken"));
}

void HeaderBlock::Add(absl::string_view name, absl::string_view value) {
  bytes_ += name.size() + value.size() + kHeaderFieldBytes;
  if (is_too_long()) return;
  if (name == ":status") {
    if (!absl::SimpleAtoi(value, &http_status_)) http_status_ = 0;
  } else if (name == "content-type") {
    has_grpc_content_type_ = absl::StartsWith(value, "application/grpc");
    content_type_ = has_grpc_content_type_
                        ? ""
                        : std::string(value.substr(0, kMaxToldTypeBytes));
  } else if (name == "grpc-status") {
    int code = -1;
    if (!absl::SimpleAtoi(value, &code)) code = -1;
    ++grpc_statuses_;
    grpc_status_ = code;
  } else if (name == "grpc-message") {
    grpc_message_ = DecodeStatusMessage(value);
  } else if (name == "grpc-status-details-bin") {
    Metadata details;
    AppendMetadata(name, value, details);
    details_ = details.empty() ? "" : std::move(details.front().second);
  } else if (name == "grpc-encoding") {
    encoding_ = value == "gzip"       ? MessageEncoding::kGzip
                : value == "identity" ? MessageEncoding::kIdentity
                                      : MessageEncoding::kUnknown;
  } else if (delivery_ == MetadataDelivery::kDelivered &&
             !IsReservedHeader(name)) {
    AppendMetadata(name, value, metadata_);
  }
}

absl::Status HeaderBlock::CheckHead() const {
  if (http_status_ == 200 && has_grpc_content_type_) return absl::OkStatus();
  return NotGrpc();
}

CallEnd HeaderBlock::TakeEnd(bool has_head) {
  CallEnd end;
  if (grpc_statuses_ > 1) {
    // Which one is true, nobody can say: a proxy may have added the other.
    end.status = absl::InternalError(
        "the upstream ended the call with more than one grpc-status");
  } else if (grpc_status_) {
    end.status = absl::Status(StatusCodeFromWire(*grpc_status_), grpc_message_);
    end.details = std::move(details_);
  } else if (has_head || CheckHead().ok()) {
    end.status =
        absl::UnknownError("the upstream ended the call without a status");
  } else {
    end.status = NotGrpc();
  }
  end.trailers = std::move(metadata_);
  return end;
}

absl::Status HeaderBlock::NotGrpc() const {
  if (http_status_ != 200) {
    return absl::Status(
        StatusCodeForHttp(http_status_),
        absl::StrCat("the upstream answered with HTTP status ", http_status_));
  }
  return absl::UnknownError(
      content_type_.empty()
          ? "the upstream's answer is not gRPC: it has no content type"
          : absl::StrCat(
                "the upstream's answer is not gRPC: its content type is ",
                ToUtf8(content_type_)));
}

absl::StatusCode StatusCodeForHttp(int http_status) {
  switch (http_status) {
    case 400:
      return absl::StatusCode::kInternal;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kUnknown;
  }
}

absl::Status StatusForReset(std::uint32_t error_code) {
  const std::string message = absl::StrCat("the upstream reset the stream: ",
                                           h2::ErrorName(error_code));
  switch (error_code) {
    case h2::kRefusedStream:
      return absl::UnavailableError(message);
    case h2::kCancel:
      return absl::CancelledError(message);
    case h2::kEnhanceYourCalm:
      return absl::ResourceExhaustedError(message);
    case h2::kInadequateSecurity:
      return absl::PermissionDeniedError(message);
    case h2::kHttp11Required:
      return absl::UnknownError(message);
    default:
      return error_code <= h2::kHttp11Required ? absl::InternalError(message)
                                               : absl::UnknownError(message);
  }
}

}  // namespace headgate
