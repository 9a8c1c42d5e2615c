#ifndef GATEWAY_CONFIG_SUBSTITUTION_H_
#define GATEWAY_CONFIG_SUBSTITUTION_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headgate {

// The value of an environment variable; absent when it is not set.
using Environment =
    std::function<std::optional<std::string>(const std::string& name)>;

// The process's own.
Environment ProcessEnvironment();

// Replaces ${NAME}, and ${NAME:-text} by `text` where NAME is unset or empty;
// $${ becomes ${. What a variable holds is not looked into again. Fails with
// INVALID_ARGUMENT for a variable that is not set, and for what has no such
// form; the message holds no variable's value.
absl::StatusOr<std::string> Substitute(absl::string_view text,
                                       const Environment& environment);

}  // namespace headgate

#endif  // GATEWAY_CONFIG_SUBSTITUTION_H_
