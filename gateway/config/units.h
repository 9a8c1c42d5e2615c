#ifndef GATEWAY_CONFIG_UNITS_H_
#define GATEWAY_CONFIG_UNITS_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace headgate {

// "512", "64KiB", "1MiB", "2GiB" -> bytes.
absl::StatusOr<std::size_t> ParseSize(absl::string_view text);

// "500ms", "1.5s", "2m", "1h30m" -> a finite duration that is not negative.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// "100", "0x64" -> 100; absent for what is not a number of 32 bits.
std::optional<std::uint32_t> ParseUint32(absl::string_view text);

}  // namespace headgate

#endif  // GATEWAY_CONFIG_UNITS_H_
