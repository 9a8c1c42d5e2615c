#ifndef GATEWAY_SCHEMA_JSON_NUMBER_H_
#define GATEWAY_SCHEMA_JSON_NUMBER_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace headgate {

// Numbers as JSON's grammar has them (RFC 8259 section 6), and nothing around
// them. Linear in the size of the text. Safe for any thread.

// A whole number, which may have an exponent and zeros behind the point: "1e5",
// "-2.0". False for any other number or text, and for a magnitude over 64 bits.
// -0 is 0.
bool ParseWhole(absl::string_view text, bool& negative,
                std::uint64_t& magnitude);

// False also for a number that the type cannot hold.
bool ParseReal(absl::string_view text, double& value);
bool ParseReal(absl::string_view text, float& value);

// Appends the shortest number that reads as `value`, with an exponent where
// ECMAScript has one (below 1e-6, from 1e21).
// Requires: `value` is finite.
void AppendReal(double value, std::string& json);
void AppendReal(float value, std::string& json);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_JSON_NUMBER_H_
