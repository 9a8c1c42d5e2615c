#ifndef GATEWAY_H2_ERROR_CODE_H_
#define GATEWAY_H2_ERROR_CODE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace headgate::h2 {

// RFC 9113 section 7, those that we send or look at.
enum ErrorCode : std::uint32_t {
  kNoError = 0x0,
  kProtocolError = 0x1,
  kInternalError = 0x2,
  kFlowControlError = 0x3,
  kRefusedStream = 0x7,
  kCancel = 0x8,
  kEnhanceYourCalm = 0xB,
  kInadequateSecurity = 0xC,
  kHttp11Required = 0xD,
};

// "CANCEL"; "unknown" for what is not defined.
absl::string_view ErrorName(std::uint32_t code);

}  // namespace headgate::h2

#endif  // GATEWAY_H2_ERROR_CODE_H_
