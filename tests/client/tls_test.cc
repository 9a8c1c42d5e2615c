#include "client/tls.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate {
namespace {

using ::testing::StartsWith;

std::string Failure(const ClientTlsOptions& options) {
  return std::string(MakeClientTls(options).status().message());
}

TEST(ClientTlsTest, TheFlagWhoseFileCannotBeUsedIsNamed) {
  ClientTlsOptions ca;
  ca.ca = "/nowhere";
  EXPECT_THAT(Failure(ca), StartsWith("--ca /nowhere "));
  ClientTlsOptions own;
  own.certificate = own.key = "/nowhere";
  EXPECT_THAT(Failure(own), StartsWith("--cert, --key /nowhere "));
  EXPECT_TRUE(MakeClientTls({}).ok());
}

}  // namespace
}  // namespace headgate
