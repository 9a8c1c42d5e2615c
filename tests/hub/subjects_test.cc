#include "gateway/hub/subjects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace headgate {
namespace {

TEST(HubSubjectsTest, AreBelowThePrefix) {
  const HubSubjects subjects("shop.hubs");
  EXPECT_EQ(subjects.Group("room-5_A"), "shop.hubs.now.g.room-5_A");
  EXPECT_EQ(subjects.User("ann"), "shop.hubs.now.u.ann");
  EXPECT_EQ(subjects.Stored("room:5"), "shop.hubs.in.g.room=3A5");
  EXPECT_EQ(subjects.Restored("room:5"), "shop.hubs.out.g.room=3A5");
  EXPECT_EQ(subjects.All(), "shop.hubs.cmd");
  EXPECT_EQ(subjects.Instance("1f"), "shop.hubs.r.1f");
  EXPECT_EQ(subjects.Beat(), "shop.hubs.hb");
}

TEST(HubSubjectsTest, ANameIsOneTokenWhateverItIs) {
  EXPECT_EQ(HubSubjects::Escape("room:5"), "room=3A5");
  EXPECT_EQ(HubSubjects::Escape("a.b"), "a=2Eb");
  EXPECT_EQ(HubSubjects::Escape("="), "=3D");
  EXPECT_EQ(HubSubjects::Escape(""), "=");
  for (const std::string& name :
       {std::string(), std::string(129, 'a'), std::string("a.b"),
        std::string("*"), std::string(">"), std::string("\xff\xfe\x80"),
        std::string("$JS.API.STREAM.DELETE.x"), std::string("\r\nPUB x 0\r\n"),
        std::string(1, '\0'), std::string(" \t"), std::string("=2E")}) {
    const std::string token = HubSubjects::Escape(name);
    EXPECT_FALSE(token.empty());
    EXPECT_EQ(token.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz"
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-="),
              std::string::npos)
        << token;
  }
}

TEST(HubSubjectsTest, NamesThatDifferHaveSubjectsThatDiffer) {
  std::set<std::string> tokens;
  std::size_t names = 1;
  tokens.insert(HubSubjects::Escape(""));
  for (int a = 0; a < 256; ++a) {
    tokens.insert(HubSubjects::Escape(std::string(1, static_cast<char>(a))));
    tokens.insert(HubSubjects::Escape(std::string{'=', static_cast<char>(a)}));
    tokens.insert(HubSubjects::Escape(std::string{static_cast<char>(a), '0'}));
    names += 3;
  }
  names -= 1;  // "=0" is among both.
  EXPECT_EQ(tokens.size(), names);
}

}  // namespace
}  // namespace headgate
