#include "gateway/codec/codec.h"

#include "absl/strings/str_cat.h"

namespace headgate {
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
