#include "gateway/base/gzip.h"

#include <string>

#include <gtest/gtest.h>

#include "absl/status/status.h"

namespace headgate {
namespace {

TEST(GzipTest, WhatIsCompressedComesBack) {
  for (const std::size_t size : {0u, 1u, 1000u, 1u << 20}) {
    const std::string bytes(size, 'x');
    const auto plain = GzipDecompress(GzipCompress(bytes), size);
    ASSERT_TRUE(plain.ok()) << size << plain.status();
    EXPECT_TRUE(*plain == bytes) << size;
  }
}

// A few bytes may hold gigabytes.
TEST(GzipTest, NoMoreIsMadeThanTheLimit) {
  const std::string compressed = GzipCompress(std::string(1 << 20, 'x'));
  for (const std::size_t limit : {0u, 1u, 1024u, (1u << 20) - 1}) {
    EXPECT_EQ(GzipDecompress(compressed, limit).status().code(),
              absl::StatusCode::kResourceExhausted)
        << limit;
  }
}

TEST(GzipTest, WhatIsNotGzipIsAFault) {
  const std::string compressed = GzipCompress("some text");
  std::string broken = compressed;
  broken[broken.size() - 5] = static_cast<char>(~broken[broken.size() - 5]);
  for (const std::string& bytes :
       {std::string(), std::string("x"), std::string(100, 'x'),
        compressed.substr(0, 12), compressed.substr(0, compressed.size() - 1),
        compressed + "x", broken}) {
    EXPECT_EQ(GzipDecompress(bytes, 100).status().code(),
              absl::StatusCode::kInternal);
  }
}

}  // namespace
}  // namespace headgate
