#ifndef GATEWAY_HTTP_OFFERED_CODEC_H_
#define GATEWAY_HTTP_OFFERED_CODEC_H_

#include <string>

#include "absl/strings/string_view.h"
#include "gateway/codec/dialect.h"
#include "gateway/http/credentials.h"
#include "gateway/http/refusal.h"
#include "gateway/route/plan.h"

namespace headgate {

// The entry of Sec-WebSocket-Protocol that the answer echoes, as the client
// spells it: the dialect's, which `codec` then points to, else "Bearer", never
// a token; empty: none. `plan`: of the route; null: any dialect will do.
std::string EchoedSubprotocol(const Subprotocols& offered,
                              const RoutePlan* plan, const Dialect*& codec);

// A name in the gateway's namespace that it does not know is a mistake, unless
// others are offered as well: then a newer gateway may know it.
Refusal SubprotocolUnknown(absl::string_view name);

// None of the dialects that were offered is the route's.
Refusal CodecNotAllowed(const Subprotocols& offered, const RoutePlan& plan);

}  // namespace headgate

#endif  // GATEWAY_HTTP_OFFERED_CODEC_H_
