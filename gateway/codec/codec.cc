#include "gateway/codec/codec.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"

namespace headgate {
namespace {

constexpr char kAwaitedType[] = "headgate.awaited_type";

}  // namespace

absl::Status AwaitsType(absl::string_view full_name) {
  absl::Status status = absl::UnavailableError(
      absl::StrCat("the type ", full_name, " is not known yet"));
  status.SetPayload(kAwaitedType, absl::Cord(full_name));
  return status;
}

std::string AwaitedType(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return "";
  const absl::optional<absl::Cord> type = status.GetPayload(kAwaitedType);
  return type ? std::string(*type) : "";
}

Decoded DecodeTextOfBinaryCodec(absl::string_view codec,
                                absl::string_view payload) {
  if (payload.empty()) return HalfClose{};
  return Ending{CloseCode::kUnsupportedData,
                {absl::InvalidArgumentError(absl::StrCat(
                     "text message: the ", codec,
                     " codec expects binary messages, or the empty text "
                     "message for half-close")),
                 ""}};
}

}  // namespace headgate
