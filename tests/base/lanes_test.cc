#include "gateway/base/lanes.h"

#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace headgate {
namespace {

std::string PopAll(Lanes<std::string, 2>& lanes) {
  std::string log;
  while (std::optional<std::string> element = lanes.Pop()) log += *element;
  return log;
}

TEST(LanesTest, LanesAreServedInTurnWhateverCameFirst) {
  Lanes<std::string, 2> lanes;
  for (const char* element : {"a", "b", "c", "d"}) lanes.Push(0, element);
  lanes.Push(1, "X");
  lanes.Push(1, "Y");
  EXPECT_EQ(PopAll(lanes), "aXbYcd");
}

TEST(LanesTest, AFloodDelaysTheOtherLaneByOneElement) {
  Lanes<std::string, 2> lanes;
  for (int i = 0; i < 1000; ++i) lanes.Push(1, "flood");
  lanes.Pop();
  lanes.Pop();
  lanes.Push(0, "request");
  const std::optional<std::string> first = lanes.Pop();
  const std::optional<std::string> second = lanes.Pop();
  EXPECT_TRUE(first == "request" || second == "request");
  EXPECT_EQ(lanes.size(), 997u);
}

TEST(LanesTest, AnEmptyLaneCostsTheOtherNothing) {
  Lanes<std::string, 2> lanes;
  lanes.Push(1, "X");
  lanes.Push(1, "Y");
  EXPECT_EQ(PopAll(lanes), "XY");
  EXPECT_TRUE(lanes.empty());
}

TEST(LanesTest, ElementsMoveAndAreGoneWhenTheyAreCleared) {
  Lanes<std::unique_ptr<int>, 2> lanes;
  lanes.Push(0, std::make_unique<int>(1));
  lanes.Push(1, std::make_unique<int>(2));
  EXPECT_EQ(**lanes.Pop(), 1);
  lanes.Clear();
  EXPECT_TRUE(lanes.empty());
  EXPECT_EQ(lanes.Pop(), std::nullopt);
}

}  // namespace
}  // namespace headgate
