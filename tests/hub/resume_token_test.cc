#include "gateway/hub/resume_token.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
const absl::Time kLater = kNow + absl::Minutes(2);
constexpr ResumeScope kScope = {"/play", "ann"};

std::string KeyOf(char c) { return std::string(kResumeKeyBytes, c); }

ResumeKeys Keys(const std::string& letters = "a") {
  std::vector<std::string> keys;
  for (const char c : letters) keys.push_back(KeyOf(c));
  return ResumeKeys(std::move(keys));
}

bool IsGood(const ResumeKeys& keys, absl::string_view token,
            ResumeScope scope = kScope, absl::Time now = kNow) {
  const absl::StatusOr<ResumeClaims> claims = keys.Check(token, scope, now);
  if (!claims.ok()) {
    // Whatever is wrong with it.
    EXPECT_EQ(claims.status(),
              absl::UnauthenticatedError("the resume token is not good"));
  }
  return claims.ok();
}

TEST(ResumeToken, SaysWhichSessionsItsBearerHad) {
  const std::string token = Keys().Issue({"s3", {"s2", "s1"}}, kScope, kLater);
  const auto claims = Keys().Check(token, kScope, kNow);
  ASSERT_TRUE(claims.ok());
  EXPECT_EQ(claims->session, "s3");
  EXPECT_THAT(claims->earlier, ElementsAre("s2", "s1"));

  const auto first =
      Keys().Check(Keys().Issue({"s1", {}}, kScope, kLater), kScope, kNow);
  ASSERT_TRUE(first.ok());
  EXPECT_THAT(first->earlier, IsEmpty());
}

TEST(ResumeToken, HasAtMost512BytesAndFourEarlierSessions) {
  const auto id = [](char c) { return std::string(64, c); };
  const std::string token = Keys().Issue(
      {id('0'), {id('1'), id('2'), id('3'), id('4'), id('5')}}, kScope, kLater);
  EXPECT_LE(token.size(), kMaxResumeTokenBytes);
  EXPECT_EQ(token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                    "qrstuvwxyz0123456789-_"),
            std::string::npos);
  const auto claims = Keys().Check(token, kScope, kNow);
  ASSERT_TRUE(claims.ok());
  EXPECT_THAT(claims->earlier, ElementsAre(id('1'), id('2'), id('3'), id('4')));
}

TEST(ResumeToken, IsNotGoodWithAnyBitChanged) {
  const std::string token = Keys().Issue({"s2", {"s1"}}, kScope, kLater);
  std::string bytes;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(token, &bytes));
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string other = bytes;
    other[i / 8] = static_cast<char>(other[i / 8] ^ 1 << i % 8);
    EXPECT_FALSE(IsGood(Keys(), absl::WebSafeBase64Escape(other))) << i;
  }
  // Those of the text among them that decode to nothing else.
  for (std::size_t i = 0; i < token.size() * 8; ++i) {
    std::string other = token;
    other[i / 8] = static_cast<char>(other[i / 8] ^ 1 << i % 8);
    EXPECT_FALSE(IsGood(Keys(), other)) << i;
  }
}

TEST(ResumeToken, IsNotGoodCutOrContinued) {
  const std::string token = Keys().Issue({"s2", {"s1"}}, kScope, kLater);
  std::string bytes;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(token, &bytes));
  for (std::size_t size = 0; size < token.size(); ++size) {
    EXPECT_FALSE(IsGood(Keys(), token.substr(0, size))) << size;
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(
        IsGood(Keys(), absl::WebSafeBase64Escape(bytes.substr(0, size))))
        << size;
  }
  for (const char* more : {"A", "=", "==", " ", "\n", "AAAA"}) {
    EXPECT_FALSE(IsGood(Keys(), absl::StrCat(token, more))) << more;
  }
  EXPECT_FALSE(IsGood(Keys(), std::string(kMaxResumeTokenBytes + 1, 'A')));
  EXPECT_FALSE(IsGood(Keys(), std::string("\0\xff", 2)));
}

TEST(ResumeToken, IsGoodForItsRouteAndUserAlone) {
  const std::string token = Keys().Issue({"s1", {}}, kScope, kLater);
  EXPECT_TRUE(IsGood(Keys(), token));
  EXPECT_FALSE(IsGood(Keys(), token, {"/chat", "ann"}));
  EXPECT_FALSE(IsGood(Keys(), token, {"/play", "bob"}));
  EXPECT_FALSE(IsGood(Keys(), token, {"/play", ""}));
  // Nor for a pair that only has the same bytes in all.
  EXPECT_FALSE(IsGood(Keys(), token, {"/pla", "yann"}));
  EXPECT_FALSE(IsGood(Keys(), token, {"/playann", ""}));
}

TEST(ResumeToken, ExpiresAtItsTime) {
  const std::string token = Keys().Issue({"s1", {}}, kScope, kLater);
  EXPECT_TRUE(IsGood(Keys(), token, kScope, kLater - absl::Milliseconds(1)));
  EXPECT_FALSE(IsGood(Keys(), token, kScope, kLater));
  EXPECT_FALSE(IsGood(Keys(), token, kScope, kLater + absl::Hours(1)));
  EXPECT_TRUE(
      IsGood(Keys(), token, kScope, absl::UnixEpoch() - absl::Seconds(1)));
}

TEST(ResumeToken, KeysAreRotated) {
  const std::string old = Keys("a").Issue({"s1", {}}, kScope, kLater);
  // First all gateways verify with the new one, then they sign with it, then
  // the old one goes.
  EXPECT_TRUE(IsGood(Keys("ab"), old));
  EXPECT_TRUE(IsGood(Keys("ba"), old));
  const std::string young = Keys("ba").Issue({"s1", {}}, kScope, kLater);
  EXPECT_TRUE(IsGood(Keys("ab"), young));
  EXPECT_TRUE(IsGood(Keys("b"), young));
  EXPECT_FALSE(IsGood(Keys("b"), old));
  EXPECT_FALSE(IsGood(Keys("a"), young));
}

TEST(ResumeToken, IsNotGoodWithTheIdOfOneKeyAndTheMacOfAnother) {
  std::string a, b;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(
      Keys("a").Issue({"s1", {}}, kScope, kLater), &a));
  ASSERT_TRUE(absl::WebSafeBase64Unescape(
      Keys("b").Issue({"s1", {}}, kScope, kLater), &b));
  ASSERT_NE(a.substr(1, 4), b.substr(1, 4));
  const std::string mixed = a.substr(0, 5) + b.substr(5);
  EXPECT_FALSE(IsGood(Keys("ab"), absl::WebSafeBase64Escape(mixed)));
}

}  // namespace
}  // namespace headgate
