#ifndef GATEWAY_ADMIN_TAP_JSON_H_
#define GATEWAY_ADMIN_TAP_JSON_H_

#include <boost/json/object.hpp>

#include "gateway/schema/schema.h"
#include "gateway/session/tap.h"

namespace headgate {

// How much of the messages a tap shows.
enum class TapContent {
  kRedacted,  // Their shape: names of fields, types and lengths of values.
  kShown,     // All of them, decoded.
  kRaw,       // As they were on the wire, for a recording.
};

// `event` as one JSON object; docs/operations.md lists the members. `schema`:
// of its session's upstream, null where nothing is known.
boost::json::object TapJson(const TapEvent& event, TapContent content,
                            const Schema* schema);

}  // namespace headgate

#endif  // GATEWAY_ADMIN_TAP_JSON_H_
