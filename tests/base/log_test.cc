#include "gateway/base/log.h"

#include <algorithm>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(LogTest, PlainValuesStayAsTheyAre) {
  for (const char* value :
       {"a", "1.5s", "/p.S/M", "[::1]:80", "a,b;c'd", "sch\xC3\xB6n"}) {
    EXPECT_EQ(LogfmtValue(value), value);
  }
}

TEST(LogTest, EmptyValueAndSeparatorsAreQuoted) {
  EXPECT_EQ(LogfmtValue(""), "\"\"");
  EXPECT_EQ(LogfmtValue("a b"), "\"a b\"");
  EXPECT_EQ(LogfmtValue("a=b"), "\"a=b\"");
}

TEST(LogTest, QuotesAndBackslashesAreEscaped) {
  EXPECT_EQ(LogfmtValue("say \"hi\""), R"("say \"hi\"")");
  EXPECT_EQ(LogfmtValue("\\"), R"("\\")");
  EXPECT_EQ(LogfmtValue("\\\" level=error"), R"("\\\" level=error")");
}

// No peer may write a line of its own, or speak to a terminal.
TEST(LogTest, ControlCharactersAreEscaped) {
  EXPECT_EQ(LogfmtValue("a\nlevel=error"), R"("a\x0alevel=error")");
  EXPECT_EQ(LogfmtValue("\r\t\x1B[2J"), R"("\x0d\x09\x1b[2J")");
  EXPECT_EQ(LogfmtValue(absl::string_view("\0\x7F", 2)), R"("\x00\x7f")");
  EXPECT_EQ(LogfmtValue("\xC2\x9B"
                        "2J\xC2\xA0"),
            "\"\\xc2\\x9b2J\xC2\xA0\"");
}

// What is shown after them would stand somewhere else, or on a line of its own.
TEST(LogTest, WritingDirectionAndLineSeparatorsAreEscaped) {
  EXPECT_EQ(LogfmtValue("a\xE2\x80\xAE"
                        "b"),
            R"("a\xe2\x80\xaeb")");
  EXPECT_EQ(LogJsonValue("a\xE2\x80\xA8"
                         "b"),
            R"("a\u2028b")");
  const char* const controls[] = {
      "\xD8\x9C",     "\xE2\x80\x8E", "\xE2\x80\x8F",
      "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAA",
      "\xE2\x80\xAE", "\xE2\x81\xA6", "\xE2\x81\xA9"};
  for (const char* control : controls) {
    EXPECT_THAT(LogfmtValue(control), Not(HasSubstr(control)));
    EXPECT_THAT(LogJsonValue(control), Not(HasSubstr(control)));
  }
  // Their neighbours stay: a dash, a bullet, an invisible times.
  for (const char* text : {"\xE2\x80\x94", "\xE2\x80\xA2", "\xE2\x81\xA2",
                           "\xE2\x81\xAA", "\xD8\x9B", "\xE2\x80\x8D"}) {
    EXPECT_EQ(LogfmtValue(text), text);
  }
}

TEST(LogTest, WhatIsNotUtf8IsReplaced) {
  EXPECT_EQ(LogfmtValue("a\xFF"
                        "b\xC0\x80"),
            "a?b??");
  EXPECT_EQ(LogfmtValue("\xE2\x82"), "??");
}

TEST(LogTest, LevelsHaveNames) {
  EXPECT_EQ(LogLevelFromName("debug"), LogLevel::kDebug);
  EXPECT_EQ(LogLevelFromName("info"), LogLevel::kInfo);
  EXPECT_EQ(LogLevelFromName("warning"), LogLevel::kWarning);
  EXPECT_EQ(LogLevelFromName("error"), LogLevel::kError);
  for (const char* name : {"", "Info", "warn", "trace"}) {
    EXPECT_EQ(LogLevelFromName(name), std::nullopt) << name;
  }
}

TEST(LogTest, LevelCutsOffWhatIsBelowIt) {
  EXPECT_TRUE(LogEnabled(LogLevel::kInfo));
  EXPECT_FALSE(LogEnabled(LogLevel::kDebug));
  SetLogLevel(LogLevel::kError);
  EXPECT_FALSE(LogEnabled(LogLevel::kWarning));
  EXPECT_TRUE(LogEnabled(LogLevel::kError));
  SetLogLevel(LogLevel::kInfo);
}

TEST(LogTest, JsonValuesAreJson) {
  EXPECT_EQ(LogJsonValue("sch\xC3\xB6n"), "\"sch\xC3\xB6n\"");
  EXPECT_EQ(LogJsonValue("a\"b\\"), R"("a\"b\\")");
  EXPECT_EQ(LogJsonValue(absl::string_view("\n\0\x7F", 3)),
            "\"\\u000a\\u0000\\u007f\"");
  EXPECT_EQ(LogJsonValue("\xFF"), "\"?\"");
}

// U+009B is a terminal's "ESC [", too.
TEST(LogTest, JsonEscapesWhatSpeaksToTerminals) {
  EXPECT_EQ(LogJsonValue("\x1B[2J"), R"("\u001b[2J")");
  EXPECT_EQ(LogJsonValue("\xC2\x9B"
                         "2J\xC2\xA0"),
            "\"\\u009b2J\xC2\xA0\"");
}

TEST(LogTest, LinesCanBeJson) {
  ::testing::internal::CaptureStderr();
  SetLogFormat(LogFormat::kJson);
  Log(LogLevel::kInfo, "odd \"message\"", {{"peer", "a\nb"}});
  SetLogFormat(LogFormat::kLogfmt);
  const std::string line = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(line.substr(line.find(",\"level\"")),
            ",\"level\":\"info\",\"msg\":\"odd \\\"message\\\"\","
            "\"peer\":\"a\\u000ab\"}\n");
  EXPECT_EQ(line.substr(0, 9), "{\"time\":\"");
}

TEST(LogTest, TheLevelIsTold) {
  SetLogLevel(LogLevel::kWarning);
  EXPECT_EQ(GetLogLevel(), LogLevel::kWarning);
  EXPECT_EQ(LogLevelName(GetLogLevel()), "warning");
  SetLogLevel(LogLevel::kInfo);
  EXPECT_EQ(GetLogLevel(), LogLevel::kInfo);
}

// The whole line: message and values are escaped alike.
TEST(LogTest, LineIsOneLine) {
  ::testing::internal::CaptureStderr();
  Log(LogLevel::kWarning, "odd\nmessage", {{"peer", "a\nb"}, {"n", "1"}});
  Log(LogLevel::kDebug, "not written");
  const std::string line = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(line.find(" level=warning msg=\"odd\\x0amessage\" "
                      "peer=\"a\\x0ab\" n=1\n"),
            std::string::npos)
      << line;
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(line.rfind("time=20", 0), 0u) << line;
}

// --- LogRepeated ---

// What is written meanwhile, of a message that no other test has written.
class LogRepeatedTest : public ::testing::Test {
 protected:
  void SetUp() override { ::testing::internal::CaptureStderr(); }
  void TearDown() override {
    Written();
    SetLogLevel(LogLevel::kInfo);
  }
  std::string Written() {
    if (std::exchange(over_, true)) return "";
    return ::testing::internal::GetCapturedStderr();
  }
  const std::string message_ = [] {
    static int count = 0;
    return absl::StrCat("flood", ++count);
  }();

  static int LinesIn(const std::string& text) {
    return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }
  // As of a timer, once the flood's second is over.
  static void Flush() { FlushSuppressed(absl::Now() + absl::Seconds(2)); }

 private:
  bool over_ = false;
};

TEST_F(LogRepeatedTest, AFloodIsTenLinesAndANumber) {
  for (int i = 0; i < 25; ++i) {
    LogRepeated(LogLevel::kInfo, message_, {{"n", absl::StrCat(i)}});
  }
  Flush();
  const std::string text = Written();
  EXPECT_EQ(LinesIn(text), 11);
  EXPECT_THAT(
      text,
      AllOf(HasSubstr(" n=9\n"), Not(HasSubstr(" n=10\n")),
            HasSubstr(absl::StrCat(" msg=", message_, " suppressed=15\n"))));
}

// The number would be below the level if it were told as anything else.
TEST_F(LogRepeatedTest, TheNumberHasTheLevelOfItsMessage) {
  SetLogLevel(LogLevel::kError);
  for (int i = 0; i < 11; ++i) LogRepeated(LogLevel::kError, message_);
  Flush();
  EXPECT_THAT(Written(), HasSubstr(absl::StrCat(" level=error msg=", message_,
                                                " suppressed=1\n")));
}

TEST_F(LogRepeatedTest, WhatIsBelowTheLevelIsNotCounted) {
  for (int i = 0; i < 100; ++i) LogRepeated(LogLevel::kDebug, message_);
  Flush();
  EXPECT_THAT(Written(), IsEmpty());
}

TEST_F(LogRepeatedTest, WithoutAFloodThereIsNothingToFlush) {
  LogRepeated(LogLevel::kInfo, message_);
  Flush();
  EXPECT_EQ(LinesIn(Written()), 1);
}

}  // namespace
}  // namespace headgate
