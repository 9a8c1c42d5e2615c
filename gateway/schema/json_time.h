#ifndef GATEWAY_SCHEMA_JSON_TIME_H_
#define GATEWAY_SCHEMA_JSON_TIME_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace headgate {

// google.protobuf.Timestamp, Duration and FieldMask as JSON has them: text in
// quotes, which is not part of it here. Each function returns false for what
// the comments in their .proto files do not allow. Safe for any thread.

struct SecondsAndNanos {
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
};

// "2026-11-30T12:34:56.789Z" (RFC 3339), from the year 1 to 9999.
bool ParseTimestamp(absl::string_view text, SecondsAndNanos& time);
bool AppendTimestamp(const SecondsAndNanos& time, std::string& text);

// "-1.5s", up to 10,000 years.
bool ParseDuration(absl::string_view text, SecondsAndNanos& duration);
bool AppendDuration(const SecondsAndNanos& duration, std::string& text);

// One path of a mask, "fooBar.baz" <-> "foo_bar.baz"; appended.
bool AppendMaskPath(absl::string_view camel_case, std::string& snake_case);
bool AppendMaskPathToJson(absl::string_view snake_case,
                          std::string& camel_case);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_JSON_TIME_H_
