#include "gateway/http/offered_codec.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/config/suggestion.h"

namespace headgate {

std::string EchoedSubprotocol(const Subprotocols& offered,
                              const RoutePlan* plan, const Dialect*& codec) {
  for (const auto& [dialect, entry] : offered.dialects) {
    if (plan == nullptr || plan->MaySpeak(dialect)) {
      codec = dialect;
      return std::string(entry);
    }
  }
  return offered.bearer_offered ? "Bearer" : "";
}

Refusal SubprotocolUnknown(absl::string_view name) {
  const std::vector<std::string> names = SubprotocolNames();
  const std::string suggestion = DidYouMean(name, names);
  return BadRequest(absl::StrCat(
      "there is no subprotocol ", name,
      suggestion.empty()
          ? absl::StrCat("; there are ", absl::StrJoin(names, ", "))
          : suggestion));
}

Refusal CodecNotAllowed(const Subprotocols& offered, const RoutePlan& plan) {
  const auto append = [](std::string* out, const Dialect* dialect) {
    absl::StrAppend(out, dialect->name);
  };
  const auto append_offer = [&](std::string* out,
                                const Subprotocols::Offer& offer) {
    append(out, offer.dialect);
  };
  std::string served =
      plan.serves_own_codecs
          ? absl::StrCat("it is one of ",
                         absl::StrJoin(plan.allowed_codecs, ", ", append))
          : absl::StrCat("offer the subprotocol ",
                         absl::StrJoin(plan.websocket_dialects, ", ", append));
  Refusal refusal = BadRequest(
      offered.dialects.empty()
          ? absl::StrCat("a WebSocket here needs a dialect: ", served)
          : absl::StrCat("codec ",
                         absl::StrJoin(offered.dialects, ", ", append_offer),
                         " is not served here; ", served));
  refusal.setting = "routes[].allowed_codecs or routes[].dialects";
  return refusal;
}

}  // namespace headgate
