#include "gateway/base/log.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "gateway/base/clock.h"
#include "gateway/base/line_writer.h"
#include "gateway/base/repeat_limiter.h"
#include "gateway/base/utf8.h"

namespace headgate {
namespace {

// What may wait for a reader of stderr that has stalled.
constexpr std::size_t kMaxQueuedBytes = 1024 * 1024;

std::atomic<LogLevel> lowest_level{LogLevel::kInfo};
std::atomic<LogFormat> format{LogFormat::kLogfmt};
// Null: each thread writes its own lines.
std::atomic<LineWriter*> log_writer{nullptr};

}  // namespace

std::optional<LogLevel> LogLevelFromName(absl::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "warning") return LogLevel::kWarning;
  if (name == "error") return LogLevel::kError;
  return std::nullopt;
}

absl::string_view LogLevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      break;
  }
  return "error";
}

void SetLogLevel(LogLevel level) { lowest_level = level; }

LogLevel GetLogLevel() { return lowest_level; }

bool LogEnabled(LogLevel level) { return level >= lowest_level; }

void SetLogFormat(LogFormat wanted) { format = wanted; }

namespace {

// Printable ASCII in which nothing is escaped, as most values are.
bool IsPlainLogText(absl::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
  });
}

}  // namespace

std::string LogfmtValue(absl::string_view value) {
  if (IsPlainLogText(value)) {
    const bool is_bare =
        !value.empty() && value.find_first_of(" =") == absl::string_view::npos;
    return is_bare ? std::string(value) : absl::StrCat("\"", value, "\"");
  }
  const std::string text = ToUtf8(value);
  std::string escaped;
  bool quote = text.empty();
  for (std::size_t i = 0; i < text.size();) {
    if (const std::size_t length = ControlAt(text, i).length; length > 0) {
      quote = true;
      for (const std::size_t end = i + length; i < end; ++i) {
        absl::StrAppendFormat(&escaped, "\\x%02x",
                              static_cast<unsigned char>(text[i]));
      }
      continue;
    }
    const char c = text[i++];
    if (c == '"' || c == '\\') escaped += '\\';
    if (c == '"' || c == '\\' || c == ' ' || c == '=') quote = true;
    escaped += c;
  }
  return quote ? absl::StrCat("\"", escaped, "\"") : escaped;
}

std::string LogJsonValue(absl::string_view value) {
  if (IsPlainLogText(value)) return absl::StrCat("\"", value, "\"");
  const std::string text = ToUtf8(value);
  std::string json = "\"";
  for (std::size_t i = 0; i < text.size();) {
    if (const ControlCharacter control = ControlAt(text, i);
        control.length > 0) {
      absl::StrAppendFormat(&json, "\\u%04x",
                            static_cast<unsigned>(control.code));
      i += control.length;
      continue;
    }
    const char c = text[i++];
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  return json + "\"";
}

namespace {

constexpr int kRepeatsPerSecond = 10;

// Lines that peers can cause. Its lock is not taken on the data path.
class Repeats {
 public:
  static Repeats& Instance() {
    static Repeats& repeats = *new Repeats;
    return repeats;
  }
  std::optional<std::uint64_t> Admit(LogLevel level,
                                     absl::string_view message) {
    const std::lock_guard lock(mutex_);
    levels_[message] = level;
    return limiter_.Admit(message, SteadyNow());
  }
  struct LeftOut {
    LogLevel level;
    RepeatLimiter::Suppressed what;
  };
  std::vector<LeftOut> Take(absl::Time now) {
    std::vector<LeftOut> taken;
    const std::lock_guard lock(mutex_);
    for (RepeatLimiter::Suppressed& what : limiter_.TakeSuppressed(now)) {
      const LogLevel level = levels_[what.key];
      taken.push_back({level, std::move(what)});
    }
    return taken;
  }

 private:
  // The standard's, for ThreadSanitizer sees its locks and not those in the
  // distribution's abseil.
  std::mutex mutex_;
  // Under mutex_: of the messages, lest their number is told at a level that is
  // not written.
  absl::flat_hash_map<std::string, LogLevel> levels_;
  RepeatLimiter limiter_{kRepeatsPerSecond};  // Under mutex_.
};

std::string FormatLine(LogLevel level, absl::string_view message,
                       absl::Span<const LogField> fields) {
  const std::string time = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(),
                                            absl::UTCTimeZone());
  std::string line;
  if (format == LogFormat::kJson) {
    line =
        absl::StrCat("{\"time\":\"", time, "\",\"level\":\"",
                     LogLevelName(level), "\",\"msg\":", LogJsonValue(message));
    for (const auto& [key, value] : fields) {
      absl::StrAppend(&line, ",", LogJsonValue(key), ":", LogJsonValue(value));
    }
    line += "}";
  } else {
    line = absl::StrCat("time=", time, " level=", LogLevelName(level),
                        " msg=", LogfmtValue(message));
    for (const auto& [key, value] : fields) {
      absl::StrAppend(&line, " ", key, "=", LogfmtValue(value));
    }
  }
  return line + "\n";
}

void Write(LogLevel level, absl::string_view message,
           absl::Span<const LogField> fields) {
  std::string line = FormatLine(level, message, fields);
  if (LineWriter* const thread = log_writer) {
    thread->Write(std::move(line));
  } else {
    WriteWithin(STDERR_FILENO, line, absl::InfiniteDuration());
  }
}

}  // namespace

void Log(LogLevel level, absl::string_view message,
         std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  Write(level, message, fields);
}

void LogRepeated(LogLevel level, absl::string_view message,
                 std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  const std::optional<std::uint64_t> left_out =
      Repeats::Instance().Admit(level, message);
  if (!left_out) return;
  std::vector<LogField> all(fields);
  if (*left_out > 0) all.emplace_back("suppressed", absl::StrCat(*left_out));
  Write(level, message, all);
}

void StartLogWriter() {
  static LineWriter& only = *new LineWriter(
      STDERR_FILENO, kMaxQueuedBytes, [](std::uint64_t dropped) {
        const LogField field = {"lines", absl::StrCat(dropped)};
        return FormatLine(LogLevel::kWarning, "log lines dropped",
                          absl::MakeConstSpan(&field, 1));
      });
  log_writer = &only;
}

bool FlushLog(absl::Duration timeout) {
  LineWriter* const thread = log_writer;
  return thread == nullptr || thread->Flush(timeout);
}

std::uint64_t DroppedLogLines() {
  LineWriter* const thread = log_writer;
  return thread == nullptr ? 0 : thread->dropped();
}

void FlushSuppressed(absl::Time now) {
  for (const auto& [level, what] : Repeats::Instance().Take(now)) {
    Log(level, what.key, {{"suppressed", absl::StrCat(what.count)}});
  }
}

}  // namespace headgate
