#ifndef GATEWAY_SCHEMA_METHOD_KIND_NAME_H_
#define GATEWAY_SCHEMA_METHOD_KIND_NAME_H_

#include "absl/strings/string_view.h"
#include "gateway/schema/schema.h"

namespace headgate {

// "unary", "server-streaming", "client-streaming" or "bidirectional": for
// operators, and for programs that read JSON.
absl::string_view MethodKindName(MethodKind kind);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_METHOD_KIND_NAME_H_
