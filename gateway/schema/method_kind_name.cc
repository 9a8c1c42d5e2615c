#include "gateway/schema/method_kind_name.h"

namespace headgate {

absl::string_view MethodKindName(MethodKind kind) {
  switch (kind) {
    case MethodKind::kUnary:
      return "unary";
    case MethodKind::kServerStreaming:
      return "server-streaming";
    case MethodKind::kClientStreaming:
      return "client-streaming";
    case MethodKind::kBidiStreaming:
      break;
  }
  return "bidirectional";
}

}  // namespace headgate
