#include "gateway/tls/files.h"

#include <gmock/gmock.h>

#include "tests/testing/certificates.h"
#include "tests/testing/test_folder.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class TlsFilesTest : public ::testing::Test {
 protected:
  TlsFileNames Settings() const {
    TlsFileNames settings;
    settings.ca = folder_.Path("ca.crt");
    settings.certificate = folder_.Path("client.crt");
    settings.key = folder_.Path("client.key");
    return settings;
  }
  void Write(const Identity& identity) const {
    folder_.Write("client.crt", identity.certificate);
    folder_.Write("client.key", identity.key);
  }

  TestFolder folder_;
  Authority authority_{"test"};
  const Identity one_ = authority_.Issue("one");
  const Identity two_ = authority_.Issue("two");
};

TEST_F(TlsFilesTest, AllFilesAreRead) {
  folder_.Write("ca.crt", authority_.certificate());
  Write(one_);
  const TlsFiles files(Settings());
  EXPECT_TRUE(files.status().ok()) << files.status();
  ASSERT_TRUE(files.material());
  EXPECT_EQ(*files.material(), (TlsMaterial{authority_.certificate(),
                                            one_.certificate, one_.key}));
}

TEST_F(TlsFilesTest, NoFilesStandForTheSystemsRoots) {
  const TlsFiles files(TlsFileNames{});
  EXPECT_TRUE(files.status().ok());
  ASSERT_TRUE(files.material());
  EXPECT_EQ(*files.material(), TlsMaterial{});
}

TEST_F(TlsFilesTest, UnusableFilesAreNamedWithTheReason) {
  const std::string half = one_.certificate.substr(0, 200);
  const std::string ca = authority_.certificate();
  const struct {
    std::string ca, certificate, key;
    const char* file;
    const char* reason;
  } kCases[] = {
      {"", one_.certificate, one_.key, "ca.crt", "holds no certificate"},
      {"x", one_.certificate, one_.key, "ca.crt", "holds no certificate"},
      {ca + half, one_.certificate, one_.key, "ca.crt", "a broken one"},
      {ca, "", one_.key, "client.crt", "holds no certificate"},
      {ca, half, one_.key, "client.crt", "holds no certificate"},
      {ca, one_.certificate + half, one_.key, "client.crt", "a broken one"},
      {ca, one_.certificate, "", "client.key", "no private key"},
      {ca, one_.certificate, one_.key.substr(0, 100), "client.key",
       "no private key"},
      {ca, one_.certificate, two_.key, "client.key", "is not the key"},
  };
  for (const auto& c : kCases) {
    folder_.Write("ca.crt", c.ca);
    Write({c.certificate, c.key});
    const TlsFiles files(Settings());
    EXPECT_FALSE(files.material()) << c.reason;
    EXPECT_THAT(std::string(files.status().message()),
                AllOf(HasSubstr(folder_.Path(c.file)), HasSubstr(c.reason)));
  }
}

TEST_F(TlsFilesTest, TicketKeysAreReadInTheirOrderAndWatched) {
  const std::string one(kTicketKeyBytes, '1');
  const std::string two(kTicketKeyBytes, '2');
  TlsFileNames names;
  names.ticket_keys = {folder_.Write("one", one), folder_.Write("two", two)};
  TlsFiles files(names);
  ASSERT_TRUE(files.material());
  EXPECT_EQ(files.material()->ticket_keys, (std::vector{one, two}));
  folder_.Write("two", std::string(kTicketKeyBytes - 1, '3'));
  EXPECT_FALSE(files.Refresh());
  EXPECT_EQ(std::string(files.status().message()),
            folder_.Path("two") + " must have 80 bytes, has 79");
  const std::string three(kTicketKeyBytes, '3');
  folder_.Write("two", three);
  EXPECT_TRUE(files.Refresh());
  EXPECT_EQ(files.material()->ticket_keys, (std::vector{one, three}));
}

TEST_F(TlsFilesTest, MissingFileIsNamed) {
  folder_.Write("ca.crt", authority_.certificate());
  const TlsFiles files(Settings());
  EXPECT_EQ(files.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(files.status().message()),
              HasSubstr(folder_.Path("client.crt")));
}

TEST_F(TlsFilesTest, ChangeIsSeenOnce) {
  folder_.Write("ca.crt", authority_.certificate());
  Write(one_);
  TlsFiles files(Settings());
  EXPECT_FALSE(files.Refresh());
  Write(two_);
  EXPECT_TRUE(files.Refresh());
  EXPECT_EQ(files.material()->key, two_.key);
  EXPECT_FALSE(files.Refresh());
}

// New channels for nothing would be a cost.
TEST_F(TlsFilesTest, TheSameWrittenAgainIsNoChange) {
  folder_.Write("ca.crt", authority_.certificate());
  Write(one_);
  TlsFiles files(Settings());
  Write(one_);
  EXPECT_FALSE(files.Refresh());
}

// Certificate and key are two files: between the two writes they do not fit.
TEST_F(TlsFilesTest, WhatFitsStaysInUseUntilTheNextFits) {
  folder_.Write("ca.crt", authority_.certificate());
  Write(one_);
  TlsFiles files(Settings());
  folder_.Write("client.crt", two_.certificate);
  EXPECT_FALSE(files.Refresh());
  EXPECT_FALSE(files.status().ok());
  EXPECT_EQ(files.material()->certificate, one_.certificate);
  folder_.Write("client.key", two_.key);
  EXPECT_TRUE(files.Refresh());
  EXPECT_TRUE(files.status().ok());
  EXPECT_EQ(files.material()->certificate, two_.certificate);
}

TEST_F(TlsFilesTest, FilesThatAppearLaterAreTaken) {
  TlsFiles files(Settings());
  EXPECT_FALSE(files.material());
  folder_.Write("ca.crt", authority_.certificate());
  Write(one_);
  EXPECT_TRUE(files.Refresh());
  EXPECT_TRUE(files.material());
}

}  // namespace
}  // namespace headgate
