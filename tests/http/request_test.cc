#include "gateway/http/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/http/http_request.h"

namespace headgate {
namespace {

TEST(AcceptTest, WeightIsOfTheRangeThatNamesTheType) {
  const auto weight = [](const char* accept) {
    return RequestWith(absl::StrCat("Accept: ", accept, "\r\n"))
        .headers.AcceptedWeight("a/b");
  };
  EXPECT_EQ(weight("a/b"), 1000);
  EXPECT_EQ(weight("x/y, A/B ; q=0.5"), 500);
  EXPECT_EQ(weight("a/b;charset=x;Q=0.25"), 250);
  EXPECT_EQ(weight("a/b;q=0"), 0);
  EXPECT_EQ(weight("a/b;q=0.000"), 0);
  EXPECT_EQ(weight("a/b;q=x"), 1000);
  EXPECT_EQ(weight("a/b;q=nan"), 1000);
  EXPECT_EQ(weight("a/b;q=-1"), 1000);
  EXPECT_EQ(weight("x/y"), std::nullopt);
  EXPECT_EQ(weight("*/*"), std::nullopt);
  EXPECT_EQ(RequestWith("Accept: a/b;q=0\r\nAccept: a/b;q=0.1\r\n")
                .headers.AcceptedWeight("a/b"),
            100);
}

}  // namespace
}  // namespace headgate
