#include "gateway/schema/json_time.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace headgate {
namespace {

constexpr std::int64_t kMinTimestamp = -62135596800;  // 0001-01-01T00:00:00Z
constexpr std::int64_t kMaxTimestamp = 253402300799;  // 9999-12-31T23:59:59Z
constexpr std::int64_t kMaxDuration = 315576000000;
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
constexpr std::int64_t kSecondsPerDay = 86400;

// Days from 1970-01-01 in the Gregorian calendar, and back. Years begin in
// March, so that a leap day is the last of its year; 400 years have 146,097
// days.
std::int64_t DaysOf(int year, int month, int day) {
  const std::int64_t y = month <= 2 ? year - 1 : year;
  const std::int64_t era = y / 400;  // Not negative here.
  const std::int64_t year_of_era = y - era * 400;
  const std::int64_t day_of_year =
      (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 -
         year_of_era / 100 + day_of_year - 719468;
}

void DateOf(std::int64_t days, int& year, int& month, int& day) {
  days += 719468;
  const std::int64_t era = days / 146097;
  const std::int64_t day_of_era = days - era * 146097;
  const std::int64_t year_of_era = (day_of_era - day_of_era / 1460 +
                                    day_of_era / 36524 - day_of_era / 146096) /
                                   365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t m = (5 * day_of_year + 2) / 153;
  day = static_cast<int>(day_of_year - (153 * m + 2) / 5 + 1);
  month = static_cast<int>(m < 10 ? m + 3 : m - 9);
  year = static_cast<int>(year_of_era + era * 400 + (month <= 2 ? 1 : 0));
}

int DaysIn(int year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return kDays[month - 1] + (month == 2 && leap ? 1 : 0);
}

// Takes exactly `count` digits.
bool TakeNumber(int count, absl::string_view& text, int& number) {
  if (text.size() < static_cast<std::size_t>(count)) return false;
  number = 0;
  for (int i = 0; i < count; ++i) {
    if (!absl::ascii_isdigit(text[static_cast<std::size_t>(i)])) return false;
    number = number * 10 + (text[static_cast<std::size_t>(i)] - '0');
  }
  text.remove_prefix(static_cast<std::size_t>(count));
  return true;
}

bool Take(char c, absl::string_view& text) {
  return absl::ConsumePrefix(&text, absl::string_view(&c, 1));
}

// A point and up to nine digits, if there is one.
bool TakeNanos(absl::string_view& text, std::int64_t& nanos) {
  nanos = 0;
  if (!Take('.', text)) return true;
  std::size_t digits = 0;
  std::int64_t weight = kNanosPerSecond;
  while (digits < text.size() && absl::ascii_isdigit(text[digits])) {
    weight /= 10;
    nanos += weight * (text[digits] - '0');
    if (++digits > 9) return false;
  }
  text.remove_prefix(digits);
  return digits > 0;
}

void AppendPadded(int number, int digits, std::string& text) {
  for (int weight = digits == 4 ? 1000 : 10; weight > 0; weight /= 10) {
    text.push_back(static_cast<char>('0' + number / weight % 10));
  }
}

// None, three, six or nine digits.
void AppendNanos(std::int64_t nanos, std::string& text) {
  if (nanos == 0) return;
  text.push_back('.');
  const int digits = nanos % 1'000'000 == 0 ? 3 : nanos % 1000 == 0 ? 6 : 9;
  std::int64_t weight = kNanosPerSecond / 10;
  for (int i = 0; i < digits; ++i, weight /= 10) {
    text.push_back(static_cast<char>('0' + nanos / weight % 10));
  }
}

}  // namespace

bool ParseTimestamp(absl::string_view text, SecondsAndNanos& time) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!TakeNumber(4, text, year) || !Take('-', text) ||
      !TakeNumber(2, text, month) || !Take('-', text) ||
      !TakeNumber(2, text, day) || !Take('T', text) ||
      !TakeNumber(2, text, hour) || !Take(':', text) ||
      !TakeNumber(2, text, minute) || !Take(':', text) ||
      !TakeNumber(2, text, second) || !TakeNanos(text, time.nanos)) {
    return false;
  }
  if (year < 1 || month < 1 || month > 12 || day < 1 ||
      day > DaysIn(year, month) || hour > 23 || minute > 59 || second > 59) {
    return false;
  }
  int offset = 0;
  if (!Take('Z', text)) {
    const bool west = Take('-', text);
    int hours = 0, minutes = 0;
    if ((!west && !Take('+', text)) || !TakeNumber(2, text, hours) ||
        !Take(':', text) || !TakeNumber(2, text, minutes) || hours > 23 ||
        minutes > 59) {
      return false;
    }
    offset = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
  }
  time.seconds = DaysOf(year, month, day) * kSecondsPerDay + hour * 3600 +
                 minute * 60 + second - offset;
  return text.empty() && time.seconds >= kMinTimestamp &&
         time.seconds <= kMaxTimestamp;
}

bool AppendTimestamp(const SecondsAndNanos& time, std::string& text) {
  if (time.seconds < kMinTimestamp || time.seconds > kMaxTimestamp ||
      time.nanos < 0 || time.nanos >= kNanosPerSecond) {
    return false;
  }
  const std::int64_t since_year_one = time.seconds - kMinTimestamp;
  const auto second_of_day = static_cast<int>(since_year_one % kSecondsPerDay);
  int year = 0, month = 0, day = 0;
  DateOf((since_year_one - second_of_day + kMinTimestamp) / kSecondsPerDay,
         year, month, day);
  AppendPadded(year, 4, text);
  text.push_back('-');
  AppendPadded(month, 2, text);
  text.push_back('-');
  AppendPadded(day, 2, text);
  text.push_back('T');
  AppendPadded(second_of_day / 3600, 2, text);
  text.push_back(':');
  AppendPadded(second_of_day / 60 % 60, 2, text);
  text.push_back(':');
  AppendPadded(second_of_day % 60, 2, text);
  AppendNanos(time.nanos, text);
  text.push_back('Z');
  return true;
}

bool ParseDuration(absl::string_view text, SecondsAndNanos& duration) {
  const bool negative = Take('-', text);
  std::size_t digits = 0;
  std::int64_t seconds = 0;
  while (digits < text.size() && absl::ascii_isdigit(text[digits])) {
    seconds = seconds * 10 + (text[digits++] - '0');
    if (seconds > kMaxDuration) return false;
  }
  text.remove_prefix(digits);
  if (digits == 0 || !TakeNanos(text, duration.nanos) || text != "s") {
    return false;
  }
  duration.seconds = negative ? -seconds : seconds;
  if (negative) duration.nanos = -duration.nanos;
  return true;
}

bool AppendDuration(const SecondsAndNanos& duration, std::string& text) {
  const auto [seconds, nanos] = duration;
  if (seconds < -kMaxDuration || seconds > kMaxDuration ||
      nanos <= -kNanosPerSecond || nanos >= kNanosPerSecond ||
      (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0)) {
    return false;
  }
  if (seconds < 0 || nanos < 0) text.push_back('-');
  absl::StrAppend(&text, seconds < 0 ? -seconds : seconds);
  AppendNanos(nanos < 0 ? -nanos : nanos, text);
  text.push_back('s');
  return true;
}

bool AppendMaskPath(absl::string_view camel_case, std::string& snake_case) {
  if (camel_case.empty()) return false;
  for (const char c : camel_case) {
    if (c == '_') return false;
    if (absl::ascii_isupper(c)) snake_case.push_back('_');
    snake_case.push_back(absl::ascii_tolower(c));
  }
  return true;
}

bool AppendMaskPathToJson(absl::string_view snake_case,
                          std::string& camel_case) {
  if (snake_case.empty()) return false;
  bool raise = false;
  for (const char c : snake_case) {
    if (raise) {
      // Anything else would not come back.
      if (!absl::ascii_islower(c)) return false;
      camel_case.push_back(absl::ascii_toupper(c));
      raise = false;
    } else if (c == '_') {
      raise = true;
    } else if (absl::ascii_isupper(c) || c == ',') {
      return false;
    } else {
      camel_case.push_back(c);
    }
  }
  return !raise;
}

}  // namespace headgate
