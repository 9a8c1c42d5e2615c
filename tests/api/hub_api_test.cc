#include "gateway/api/hub_api.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

TEST(HubApiTest, ItsConnectionsTakeAnEighthOfTheDescriptorsAtMost) {
  EXPECT_EQ(HubApi::MostConnections(1 << 20), 128u);
  EXPECT_EQ(HubApi::MostConnections(512), 32u);
  EXPECT_EQ(HubApi::MostConnections(16), 2u);
}

}  // namespace
}  // namespace headgate
