#include "gateway/base/status.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/utf8.h"

namespace headgate {
namespace {

// Where a status keeps what only the log should show.
constexpr char kDetailForLog[] = "headgate/detail-for-log";
constexpr char kMessageForLog[] = "headgate/message-for-log";

// Appends one field of a protobuf message; both wire forms that
// google.rpc.Status {int32 code = 1; string message = 2;} needs.
void AppendVarint(std::uint64_t value, std::string& out) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

// The code of a serialized google.rpc.Status whose first field it is, as every
// serializer writes it; -1 when it is not.
int CodeOf(absl::string_view rpc_status) {
  if (rpc_status.size() < 2 || rpc_status[0] != 0x08) return -1;
  const unsigned char code = static_cast<unsigned char>(rpc_status[1]);
  return code < 0x80 ? code : -1;
}

}  // namespace

CloseCode CloseCodeFor(absl::StatusCode code) {
  if (code == absl::StatusCode::kOk) return CloseCode::kNormal;
  return static_cast<CloseCode>(4000 + static_cast<int>(code));
}

int HttpStatusFor(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

absl::StatusCode StatusCodeFromWire(int code) {
  if (code < 0 || code > 16) return absl::StatusCode::kUnknown;
  return static_cast<absl::StatusCode>(code);
}

std::string CloseReason(absl::string_view message) {
  const std::string text = ToUtf8(message);
  return std::string(CutUtf8(text, kMaxCloseReasonBytes));
}

Ending EndingOf(CallEnd end) {
  const CloseCode close = CloseCodeFor(end.status.code());
  return Ending{close, std::move(end)};
}

Ending EndingOf(absl::Status status) {
  return EndingOf(CallEnd{std::move(status), ""});
}

std::string SerializeRpcStatus(const CallEnd& end) {
  const int code = static_cast<int>(end.status.code());
  if (!end.details.empty() && CodeOf(end.details) == code) return end.details;
  std::string bytes;
  if (code != 0) {
    bytes.push_back(0x08);
    AppendVarint(static_cast<std::uint64_t>(code), bytes);
  }
  if (!end.status.message().empty()) {
    const std::string message = ToUtf8(end.status.message());
    bytes.push_back(0x12);
    AppendVarint(message.size(), bytes);
    bytes += message;
  }
  return bytes;
}

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(),
                         absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
    annotated.SetPayload(type, payload);
  });
  if (const auto message = status.GetPayload(kMessageForLog)) {
    annotated.SetPayload(
        kMessageForLog,
        absl::Cord(absl::StrCat(context, ": ", std::string(*message))));
  }
  return annotated;
}

absl::Status WithDetailForLog(absl::Status status, absl::string_view detail) {
  status.SetPayload(kDetailForLog, absl::Cord(detail));
  return status;
}

absl::Status WithMessageForLog(absl::Status status, absl::string_view message) {
  status.SetPayload(kMessageForLog, absl::Cord(message));
  return status;
}

std::string MessageForLog(const absl::Status& status) {
  const auto replaced = status.GetPayload(kMessageForLog);
  std::string message =
      replaced ? std::string(*replaced) : std::string(status.message());
  const auto detail = status.GetPayload(kDetailForLog);
  if (detail) absl::StrAppend(&message, " (", std::string(*detail), ")");
  return message;
}

}  // namespace headgate
