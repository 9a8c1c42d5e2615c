#include "gateway/api/grants.h"

#include <cstdlib>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/route/hub_group.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;

class HubGrantsTest : public ::testing::Test {
 protected:
  static HubGrantSettings Of(const std::string& subject) {
    HubGrantSettings grant;
    grant.subject = subject;
    return grant;
  }
  static std::string TokenFile(const std::string& token) {
    const std::string path = ::testing::TempDir() + "/hub_api_token";
    std::ofstream(path) << token << "\n";
    return path;
  }
  absl::StatusCode Check(HubGrants& grants, const HubApiCaller& caller,
                         absl::string_view method,
                         const HubApiScope& scope = {}) {
    return grants.Check(caller, method, scope, now_).code();
  }

  const HubApiCaller ann_ = {"CN=ann", ""};
  const HubApiCaller bob_ = {"CN=bob", ""};
  absl::Time now_ = absl::FromUnixSeconds(1000);
};

TEST_F(HubGrantsTest, WithoutGrantsEverybodyMayDoEverything) {
  HubGrants grants({});
  EXPECT_EQ(Check(grants, {}, "Close"), absl::StatusCode::kOk);
}

TEST_F(HubGrantsTest, AClientIsKnownByItsSubject) {
  HubGrants grants({Of("CN=ann")});
  EXPECT_EQ(Check(grants, ann_, "Close"), absl::StatusCode::kOk);
  EXPECT_EQ(Check(grants, bob_, "Close"), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Check(grants, {}, "Close"), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Check(grants, {"CN=ann,O=x", ""}, "Close"),
            absl::StatusCode::kUnauthenticated);
}

TEST_F(HubGrantsTest, AClientIsKnownByItsToken) {
  HubGrantSettings grant;
  grant.token_file = TokenFile("secret");
  HubGrants grants({grant});
  EXPECT_EQ(Check(grants, {"", "Bearer secret"}, "Send"),
            absl::StatusCode::kOk);
  EXPECT_EQ(Check(grants, {"", "bearer secret"}, "Send"),
            absl::StatusCode::kOk);
  for (const std::string text : {"", "secret", "Bearer ", "Bearer secre",
                                 "Bearer secrets", "Basic secret"}) {
    EXPECT_EQ(Check(grants, {"", text}, "Send"),
              absl::StatusCode::kUnauthenticated)
        << text;
  }
}

TEST_F(HubGrantsTest, ANewTokenReplacesTheOldOne) {
  HubGrantSettings grant;
  grant.token_file = TokenFile("old");
  HubGrants grants({grant});
  EXPECT_EQ(Check(grants, {"", "Bearer old"}, "Send"), absl::StatusCode::kOk);
  TokenFile("newer");
  now_ += absl::Seconds(2);
  EXPECT_EQ(Check(grants, {"", "Bearer newer"}, "Send"), absl::StatusCode::kOk);
  EXPECT_EQ(Check(grants, {"", "Bearer old"}, "Send"),
            absl::StatusCode::kUnauthenticated);
  ASSERT_EQ(std::remove(grant.token_file.c_str()), 0);
  now_ += absl::Seconds(2);
  EXPECT_EQ(Check(grants, {"", "Bearer newer"}, "Send"),
            absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Check(grants, {"", "Bearer "}, "Send"),
            absl::StatusCode::kUnauthenticated);
}

TEST_F(HubGrantsTest, AGrantMayBeForSomeMethods) {
  HubGrantSettings grant = Of("CN=ann");
  grant.methods = {"Publish", "CountSessions"};
  HubGrants grants({grant});
  EXPECT_EQ(Check(grants, ann_, "Publish"), absl::StatusCode::kOk);
  EXPECT_EQ(Check(grants, ann_, "CountSessions"), absl::StatusCode::kOk);
  const absl::Status status = grants.Check(ann_, "Close", {}, now_);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()), HasSubstr("may not call Close"));
}

TEST_F(HubGrantsTest, AGrantMayBeForSomeGroups) {
  HubGrantSettings grant = Of("CN=ann");
  grant.groups = {"room:*", "lobby"};
  HubGrants grants({grant});
  EXPECT_EQ(Check(grants, ann_, "Publish", {{"room:5", "lobby"}}),
            absl::StatusCode::kOk);
  EXPECT_EQ(Check(grants, ann_, "Publish", {{"room:5", "lobby2"}}),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Check(grants, ann_, "Publish", {}),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Check(grants, ann_, "Join", {{"room:5"}, {"room:6"}}),
            absl::StatusCode::kOk);
  EXPECT_EQ(Check(grants, ann_, "Join", {{"room:5"}, {"staff"}}),
            absl::StatusCode::kPermissionDenied);
}

// One client with several grants may do what any of them allows.
TEST_F(HubGrantsTest, GrantsAddUp) {
  HubGrantSettings publish = Of("CN=ann");
  publish.methods = {"Publish"};
  publish.groups = {"a"};
  HubGrantSettings count = Of("CN=ann");
  count.methods = {"CountSessions"};
  HubGrants grants({publish, count});
  EXPECT_EQ(Check(grants, ann_, "Publish", {{"a"}}), absl::StatusCode::kOk);
  EXPECT_EQ(Check(grants, ann_, "CountSessions"), absl::StatusCode::kOk);
  EXPECT_EQ(Check(grants, ann_, "Publish", {{"b"}}),
            absl::StatusCode::kPermissionDenied);
}

TEST(GroupPatternTest, IsANameOrAPrefix) {
  EXPECT_TRUE(FitsGroupPattern("room", "room"));
  EXPECT_FALSE(FitsGroupPattern("room:5", "room"));
  EXPECT_TRUE(FitsGroupPattern("room:5", "room:*"));
  EXPECT_TRUE(FitsGroupPattern("room:", "room:*"));
  EXPECT_FALSE(FitsGroupPattern("room", "room:*"));
  EXPECT_TRUE(FitsGroupPattern("", "*"));
}

}  // namespace
}  // namespace headgate
