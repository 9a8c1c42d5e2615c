#ifndef GATEWAY_BASE_LOG_H_
#define GATEWAY_BASE_LOG_H_

#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace headgate {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// "debug", "info", "warning", "error".
std::optional<LogLevel> LogLevelFromName(absl::string_view name);

// Lines below `level` are not written. kInfo until called.
void SetLogLevel(LogLevel level);
bool LogEnabled(LogLevel level);

using LogField = std::pair<absl::string_view, std::string>;

// Writes one line to stderr, in logfmt:
//   time=2026-01-31T12:00:00.000Z level=info msg="session ended" id=3f...
// Values are quoted where they must be; control characters are escaped, so
// that no peer can write a line of its own. A token must never be in a field.
// Safe for any thread.
void Log(LogLevel level, absl::string_view message,
         std::initializer_list<LogField> fields = {});

// `value` as logfmt has it.
std::string LogfmtValue(absl::string_view value);

}  // namespace headgate

#endif  // GATEWAY_BASE_LOG_H_
