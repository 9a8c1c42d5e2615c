#ifndef GATEWAY_CODEC_CONNECT_ERROR_H_
#define GATEWAY_CODEC_CONNECT_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/base/status.h"
#include "gateway/schema/schema.h"

namespace headgate {

// Statuses as Connect writes them (connectrpc.com/docs/protocol, "Error
// codes"). Pure.

// "not_found". Requires: not OK.
absl::string_view ConnectCode(absl::StatusCode code);

// {"code":"not_found","message":"...","details":[{"type":"...","value":"...",
// "debug":{...}}]}. `schema` is for `debug`, which is left out of a detail
// whose type it does not know; null: of all. Requires: not OK.
std::string ConnectError(const CallEnd& end, const Schema* schema,
                         const JsonOptions& options);

}  // namespace headgate

#endif  // GATEWAY_CODEC_CONNECT_ERROR_H_
