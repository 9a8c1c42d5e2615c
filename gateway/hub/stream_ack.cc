#include "gateway/hub/stream_ack.h"

#include <google/protobuf/util/json_util.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "headgate/v1/hub_engine.pb.h"

namespace headgate {
namespace {

// JetStream's code for an expected last sequence that is another.
constexpr int kWrongLastSequence = 10071;

}  // namespace

absl::StatusOr<HubEngine::Stored> ParseStreamAck(absl::string_view json) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  v1::StreamAck ack;
  const bool is_read = google::protobuf::util::JsonStringToMessage(
                           std::string(json), &ack, options)
                           .ok();
  if (is_read && ack.error().err_code() == kWrongLastSequence) {
    return absl::FailedPreconditionError(
        "if_last_offset: it is not the group's last offset");
  }
  if (is_read && ack.has_error()) {
    return absl::UnavailableError(
        absl::StrCat("JetStream: ", ack.error().description()));
  }
  if (!is_read || ack.seq() == 0) {
    return absl::UnavailableError("JetStream: the response is malformed");
  }
  HubEngine::Stored stored;
  stored.offset = ack.seq();
  stored.is_duplicate = ack.duplicate();
  return stored;
}

}  // namespace headgate
