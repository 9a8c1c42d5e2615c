#include "gateway/base/log.h"

#include <cstddef>
#include <memory>

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
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

spdlog::logger& Logger() {
  // Never destroyed: other threads may log while the process ends.
  static spdlog::logger& logger = *[] {
    auto* made = new spdlog::logger(
        "headgate", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "time=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v",
        spdlog::pattern_time_type::utc));
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

void SetLogLevel(LogLevel level) { Logger().set_level(ToSpdlog(level)); }

bool LogEnabled(LogLevel level) { return Logger().should_log(ToSpdlog(level)); }

std::string LogfmtValue(absl::string_view value) {
  const std::string text = ToUtf8(value);
  std::string escaped;
  bool quote = text.empty();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned char byte = static_cast<unsigned char>(text[i]);
    const unsigned char next =
        i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte == '"' || byte == '\\') {
      quote = true;
      escaped += '\\';
      escaped += text[i];
    } else if (byte < 0x20 || byte == 0x7F) {
      quote = true;
      absl::StrAppendFormat(&escaped, "\\x%02x", byte);
    } else if (byte == 0xC2 && next < 0xA0) {  // U+0080 to U+009F.
      quote = true;
      absl::StrAppendFormat(&escaped, "\\xc2\\x%02x", next);
      ++i;
    } else {
      if (byte == ' ' || byte == '=') quote = true;
      escaped += text[i];
    }
  }
  return quote ? absl::StrCat("\"", escaped, "\"") : escaped;
}

void Log(LogLevel level, absl::string_view message,
         std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  std::string line = absl::StrCat("msg=", LogfmtValue(message));
  for (const auto& [key, value] : fields) {
    absl::StrAppend(&line, " ", key, "=", LogfmtValue(value));
  }
  Logger().log(ToSpdlog(level), spdlog::string_view_t(line));
}

}  // namespace headgate
