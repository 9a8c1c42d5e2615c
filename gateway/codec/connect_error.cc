#include "gateway/codec/connect_error.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/codec/json_failure.h"
#include "gateway/codec/protobuf_wire.h"

namespace headgate {
namespace {

// The fields of google.rpc.Status and google.protobuf.Any that are read.
constexpr std::uint32_t kDetailsTag = WireTag(3, WireType::kBytes);
constexpr std::uint32_t kTypeUrlTag = WireTag(1, WireType::kBytes);
constexpr std::uint32_t kValueTag = WireTag(2, WireType::kBytes);

// A detail as JSON, without the type that Any's form has in it; empty where the
// schema does not know the type. `value`: its bytes.
std::string DebugOf(absl::string_view any, absl::string_view value,
                    const Schema& schema, const JsonOptions& options) {
  const absl::StatusOr<std::string> json =
      schema.ProtoToJson("google.protobuf.Any", any, options);
  if (!json.ok()) return "";
  boost::json::error_code error;
  boost::json::value parsed = boost::json::parse(*json, error);
  if (error || !parsed.is_object()) return "";
  boost::json::object& object = parsed.get_object();
  object.erase("@type");
  const boost::json::value* only =
      object.size() == 1 ? object.if_contains("value") : nullptr;
  // Bytes of an unknown type stand there as they are.
  if (only != nullptr && *only == absl::Base64Escape(value).c_str()) return "";
  // Well-known types have a JSON form of their own.
  if (only != nullptr &&
      absl::StrContains(any, "type.googleapis.com/google.protobuf.")) {
    return boost::json::serialize(*only);
  }
  return boost::json::serialize(object);
}

std::string DetailJson(absl::string_view any, const Schema* schema,
                       const JsonOptions& options) {
  WireReader reader(any);
  WireField field;
  absl::string_view type;
  absl::string_view value;
  while (reader.Next(field)) {
    if (field.tag == kTypeUrlTag) type = field.bytes;
    if (field.tag == kValueTag) value = field.bytes;
  }
  if (!reader.ok()) return "";
  type = type.substr(type.rfind('/') + 1);
  std::string base64 = absl::Base64Escape(value);
  base64.resize(base64.find_last_not_of('=') + 1);
  std::string json = absl::StrCat("{\"type\":", JsonString(type),
                                  ",\"value\":\"", base64, "\"");
  if (schema != nullptr) {
    const std::string debug = DebugOf(any, value, *schema, options);
    if (!debug.empty()) absl::StrAppend(&json, ",\"debug\":", debug);
  }
  return json + "}";
}

}  // namespace

absl::string_view ConnectCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kCancelled:
      return "canceled";
    case absl::StatusCode::kInvalidArgument:
      return "invalid_argument";
    case absl::StatusCode::kDeadlineExceeded:
      return "deadline_exceeded";
    case absl::StatusCode::kNotFound:
      return "not_found";
    case absl::StatusCode::kAlreadyExists:
      return "already_exists";
    case absl::StatusCode::kPermissionDenied:
      return "permission_denied";
    case absl::StatusCode::kResourceExhausted:
      return "resource_exhausted";
    case absl::StatusCode::kFailedPrecondition:
      return "failed_precondition";
    case absl::StatusCode::kAborted:
      return "aborted";
    case absl::StatusCode::kOutOfRange:
      return "out_of_range";
    case absl::StatusCode::kUnimplemented:
      return "unimplemented";
    case absl::StatusCode::kInternal:
      return "internal";
    case absl::StatusCode::kUnavailable:
      return "unavailable";
    case absl::StatusCode::kDataLoss:
      return "data_loss";
    case absl::StatusCode::kUnauthenticated:
      return "unauthenticated";
    default:
      return "unknown";
  }
}

std::string ConnectError(const CallEnd& end, const Schema* schema,
                         const JsonOptions& options) {
  std::string json =
      absl::StrCat("{\"code\":\"", ConnectCode(end.status.code()), "\"");
  if (!end.status.message().empty()) {
    absl::StrAppend(&json, ",\"message\":", JsonString(end.status.message()));
  }
  std::string details;
  WireReader reader(end.details);
  WireField field;
  while (reader.Next(field)) {
    if (field.tag != kDetailsTag) continue;
    const std::string detail = DetailJson(field.bytes, schema, options);
    if (detail.empty()) continue;
    absl::StrAppend(&details, details.empty() ? "" : ",", detail);
  }
  if (!details.empty()) absl::StrAppend(&json, ",\"details\":[", details, "]");
  return json + "}";
}

}  // namespace headgate
