#ifndef GATEWAY_BASE_LOG_H_
#define GATEWAY_BASE_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace headgate {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kLogfmt, kJson };

// "debug", "info", "warning", "error".
std::optional<LogLevel> LogLevelFromName(absl::string_view name);

absl::string_view LogLevelName(LogLevel level);

// Lines below `level` are not written. kInfo until called.
void SetLogLevel(LogLevel level);
LogLevel GetLogLevel();
bool LogEnabled(LogLevel level);
// kLogfmt until called.
void SetLogFormat(LogFormat format);

using LogField = std::pair<absl::string_view, std::string>;

// Writes one line to stderr, in logfmt or as JSON:
//   time=2026-01-31T12:00:00.000Z level=info msg="session ended" id=3f...
//   {"time":"2026-01-31T12:00:00.000Z","level":"info","msg":"session ended",...
// Values are quoted where they must be; control characters are escaped, those
// of writing direction and line separators too, so that no peer can write a
// line of its own. A token must never be in a field. Safe for any thread.
void Log(LogLevel level, absl::string_view message,
         std::initializer_list<LogField> fields = {});

// As Log, for what a peer can make happen as often as it likes: at most ten
// lines a second for each message; what was left out is told by the next one,
// as a field `suppressed`. `message` must be a literal.
void LogRepeated(LogLevel level, absl::string_view message,
                 std::initializer_list<LogField> fields = {});

// Tells what was left out of messages that do not come any more. To be called
// once a second.
void FlushSuppressed(absl::Time now);

// From now on Log hands lines to a thread that writes them, and never waits for
// a reader of stderr that has stalled: 1 MiB may wait, lines beyond that are
// dropped, counted and reported in the log. Without it Log writes by itself.
void StartLogWriter();

// Waits until the lines so far are written or dropped, `timeout` at most.
// Returns whether they are. To be called before the process ends.
bool FlushLog(absl::Duration timeout);

// Lines that StartLogWriter's thread could not write, since the start.
std::uint64_t DroppedLogLines();

// `value` as logfmt has it.
std::string LogfmtValue(absl::string_view value);
// `value` as JSON has it, in quotes; bytes that are not UTF-8 are replaced.
std::string LogJsonValue(absl::string_view value);

}  // namespace headgate

#endif  // GATEWAY_BASE_LOG_H_
