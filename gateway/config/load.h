#ifndef GATEWAY_CONFIG_LOAD_H_
#define GATEWAY_CONFIG_LOAD_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/config/faults.h"
#include "gateway/config/settings.h"
#include "gateway/config/substitution.h"

namespace headgate {

// The settings of a configuration file (docs/configuration.md).
//
// Fails with INVALID_ARGUMENT and all faults of the file, a line each, in the
// order of their places: "headgate.yaml:14:15: routes[2].upstream: no upstream
// is named 'chta'". What comes out passes Validate. No line holds the value of
// an environment variable. Whatever the bytes are, time and memory are bounded:
// the text has at most 1 MiB, and aliases cannot make more of it than 16 MiB.
//
// `name` is the file's, for the faults; files that it names are looked for from
// its directory. Safe for any thread.
absl::StatusOr<Settings> ParseSettings(
    absl::string_view text, const std::string& name,
    const Environment& environment = ProcessEnvironment(),
    Faults::Files files = Faults::Files::kRead);

// The same of a file. NOT_FOUND and the like when it cannot be read.
absl::StatusOr<Settings> LoadSettings(
    const std::string& path, Faults::Files files = Faults::Files::kRead);

}  // namespace headgate

#endif  // GATEWAY_CONFIG_LOAD_H_
