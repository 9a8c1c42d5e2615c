#ifndef GATEWAY_ADMIN_TAP_REDACTION_H_
#define GATEWAY_ADMIN_TAP_REDACTION_H_

#include <boost/json/value.hpp>

#include "absl/strings/string_view.h"
#include "gateway/schema/schema.h"

namespace headgate {

// The shape of `message`, the JSON form of a message of `type`: scalars become
// what they are, "ann" becomes "<string 3>". The names of its fields stay. All
// other names of members, such as the keys of maps and of
// google.protobuf.Struct, are values too, and become "<name 1>", "<name 2>"...
// `schema`: null, or without `type`: no name is known to be a field's.
boost::json::value Redacted(const boost::json::value& message,
                            const Schema* schema, absl::string_view type);

}  // namespace headgate

#endif  // GATEWAY_ADMIN_TAP_REDACTION_H_
