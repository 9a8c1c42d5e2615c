#include "gateway/base/log.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "gateway/base/repeat_limiter.h"
#include "gateway/base/utf8.h"

namespace headgate {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

std::atomic<LogFormat> format{LogFormat::kLogfmt};

spdlog::logger& Logger() {
  // Never destroyed: other threads may log while the process ends.
  static spdlog::logger& logger = *[] {
    auto* made = new spdlog::logger(
        "headgate", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return logger;
}

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

void SetLogLevel(LogLevel level) { Logger().set_level(ToSpdlog(level)); }

LogLevel GetLogLevel() {
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning}) {
    if (LogEnabled(level)) return level;
  }
  return LogLevel::kError;
}

bool LogEnabled(LogLevel level) { return Logger().should_log(ToSpdlog(level)); }

void SetLogFormat(LogFormat wanted) { format = wanted; }

std::string LogfmtValue(absl::string_view value) {
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
    return limiter_.Admit(message, absl::Now());
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

void Write(LogLevel level, absl::string_view message,
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
  Logger().log(ToSpdlog(level), spdlog::string_view_t(line));
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

void FlushSuppressed(absl::Time now) {
  for (const auto& [level, what] : Repeats::Instance().Take(now)) {
    Log(level, what.key, {{"suppressed", absl::StrCat(what.count)}});
  }
}

}  // namespace headgate
