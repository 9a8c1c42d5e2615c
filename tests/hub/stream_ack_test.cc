#include "gateway/hub/stream_ack.h"

#include <gtest/gtest.h>

#include <string>

namespace headgate {
namespace {

TEST(StreamAckTest, SaysWhereItIsStored) {
  const auto stored = ParseStreamAck(
      R"({"stream":"headgate","domain":"hub","seq":18446744073709551615})");
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->offset, 18446744073709551615u);
  EXPECT_FALSE(stored->is_duplicate);
  EXPECT_TRUE(ParseStreamAck(R"({"stream":"s","seq":7,"duplicate":true})")
                  ->is_duplicate);
}

TEST(StreamAckTest, AnotherLastOffsetIsAPrecondition) {
  EXPECT_TRUE(absl::IsFailedPrecondition(
      ParseStreamAck(
          R"({"error":{"code":400,"err_code":10071,"description":"wrong last )"
          R"(sequence: 3"},"stream":"s","seq":0})")
          .status()));
}

TEST(StreamAckTest, WhatIsNotStoredIsUnavailable) {
  const absl::Status full =
      ParseStreamAck(R"({"error":{"code":503,"err_code":10077,)"
                     R"("description":"maximum bytes exceeded"}})")
          .status();
  EXPECT_TRUE(absl::IsUnavailable(full));
  EXPECT_NE(full.message().find("maximum bytes"), std::string::npos);
  for (const char* text :
       {"", "{", "[]", "7", "+OK", "{}", R"({"seq":-1})", R"({"seq":"x"})",
        R"({"seq":0})", R"({"error":{}})", "\xff"}) {
    EXPECT_TRUE(absl::IsUnavailable(ParseStreamAck(text).status())) << text;
  }
}

}  // namespace
}  // namespace headgate
