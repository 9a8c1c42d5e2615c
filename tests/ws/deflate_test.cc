#include "gateway/ws/deflate.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace headgate::ws {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;

CompressionSettings Enabled() {
  CompressionSettings settings;
  settings.enabled = true;
  return settings;
}
std::string AnswerTo(absl::string_view offer,
                     const CompressionSettings& settings = Enabled()) {
  const auto agreement = AgreeOnDeflate({offer}, settings);
  return agreement ? agreement->header : "declined";
}

// RFC 7692 section 7.1.
TEST(DeflateTest, OffersAreTakenUp) {
  EXPECT_EQ(AnswerTo("permessage-deflate"), "permessage-deflate");
  EXPECT_EQ(AnswerTo("Permessage-Deflate ; client_max_window_bits"),
            "permessage-deflate");
  EXPECT_EQ(AnswerTo("permessage-deflate; client_max_window_bits=10"),
            "permessage-deflate; client_max_window_bits=10");
  EXPECT_EQ(AnswerTo("permessage-deflate; server_max_window_bits=\"9\""),
            "permessage-deflate; server_max_window_bits=9");
  EXPECT_EQ(AnswerTo("permessage-deflate; server_no_context_takeover; "
                     "client_no_context_takeover"),
            "permessage-deflate; server_no_context_takeover; "
            "client_no_context_takeover");
  EXPECT_EQ(AnswerTo("x-webkit-deflate-frame, permessage-deflate"),
            "permessage-deflate");
  // The first is the client's choice; one that does not do is passed over.
  EXPECT_EQ(AnswerTo("permessage-deflate; server_max_window_bits=8, "
                     "permessage-deflate; server_max_window_bits=10"),
            "permessage-deflate; server_max_window_bits=10");
}

TEST(DeflateTest, SettingsNarrowTheOffer) {
  CompressionSettings settings = Enabled();
  settings.server_max_window_bits = 10;
  settings.client_max_window_bits = 11;
  settings.client_no_context_takeover = true;
  EXPECT_EQ(AnswerTo("permessage-deflate; client_max_window_bits", settings),
            "permessage-deflate; server_max_window_bits=10; "
            "client_max_window_bits=11; client_no_context_takeover");
}

// Section 7.1.2.2: only a client that has said that it can be told a window is
// told one. Any other could use 32 KiB of the gateway's memory.
TEST(DeflateTest, ClientsThatCannotBeLimitedAreDeclined) {
  CompressionSettings settings = Enabled();
  settings.client_max_window_bits = 9;
  EXPECT_EQ(AnswerTo("permessage-deflate", settings), "declined");
  EXPECT_EQ(AnswerTo("permessage-deflate, "
                     "permessage-deflate; client_max_window_bits",
                     settings),
            "permessage-deflate; client_max_window_bits=9");
  EXPECT_EQ(AnswerTo("permessage-deflate; client_max_window_bits=8", settings),
            "permessage-deflate; client_max_window_bits=8");
  settings.client_max_window_bits = 15;
  EXPECT_EQ(AnswerTo("permessage-deflate", settings), "permessage-deflate");
}

// "A server MUST decline an extension negotiation offer for this extension if"
TEST(DeflateTest, OffersThatCannotBeUnderstoodAreDeclined) {
  for (const absl::string_view offer : {
           "",
           "permessage-deflate-2",
           "permessage-deflate; unknown",
           "permessage-deflate; server_max_window_bits",
           "permessage-deflate; server_max_window_bits=7",
           "permessage-deflate; server_max_window_bits=16",
           "permessage-deflate; server_max_window_bits=09",
           "permessage-deflate; server_max_window_bits=8",
           "permessage-deflate; client_max_window_bits=",
           "permessage-deflate; client_max_window_bits=1x",
           "permessage-deflate; server_no_context_takeover=1",
           "permessage-deflate; server_no_context_takeover; "
           "server_no_context_takeover",
           "permessage-deflate; client_max_window_bits; "
           "client_max_window_bits",
           "permessage-deflate; server_max_window_bits=10; "
           "server_max_window_bits=10",
       }) {
    EXPECT_EQ(AnswerTo(offer), "declined") << offer;
  }
}

std::string Inflated(Inflater& inflater, absl::string_view bytes) {
  std::string out;
  EXPECT_EQ(inflater.Inflate(bytes, kMostBytes, out), Inflater::Outcome::kOk);
  EXPECT_EQ(inflater.End(kMostBytes, out), Inflater::Outcome::kOk);
  return out;
}

TEST(DeflateTest, WhatIsDeflatedInflatesToTheSame) {
  for (const bool takeover : {true, false}) {
    for (const int bits : {9, 12, 15}) {
      const DeflateSide side = {bits, !takeover};
      Deflater deflater(side, 6);
      Inflater inflater(side);
      std::size_t first = 0;
      for (int i = 0; i < 4; ++i) {
        std::string message = "headgate headgate";
        for (int n = 0; n < 10'000; ++n) message += static_cast<char>(n * n);
        const std::optional<std::string> small = deflater.Deflate(message);
        ASSERT_TRUE(small);
        EXPECT_EQ(Inflated(inflater, *small), message);
        if (i == 0) first = small->size();
      }
      const std::size_t again = deflater.Deflate("headgate headgate")->size();
      const std::size_t anew = deflater.Deflate("headgate headgate")->size();
      EXPECT_LT(again, first);
      if (takeover) {
        EXPECT_LT(anew, 10u) << "what came before is referred to";
      } else {
        EXPECT_EQ(anew, again) << "each message stands by itself";
      }
      EXPECT_FALSE(deflater.Deflate(""));
    }
  }
}

// docs/security.md: what counts for max_memory.
TEST(DeflateTest, CountsTheMemoryThatTheFirstMessageTakes) {
  for (const bool takeover : {true, false}) {
    const DeflateSide side = {15, !takeover};
    Deflater deflater(side, 6);
    Inflater inflater(side);
    EXPECT_EQ(deflater.held_bytes() + inflater.held_bytes(), 0u);
    EXPECT_EQ(Inflated(inflater, *deflater.Deflate("hello")), "hello");
    EXPECT_GE(deflater.held_bytes(), 32u * 1024);
    EXPECT_LT(deflater.held_bytes(), 36u * 1024);
    EXPECT_GE(inflater.held_bytes(), 8u * 1024);
    EXPECT_LT(inflater.held_bytes(), 12u * 1024);
    const std::string text(1 << 20, 'x');
    const std::optional<std::string> small = deflater.Deflate(text);
    ASSERT_TRUE(small);
    EXPECT_EQ(Inflated(inflater, *small), text);
    EXPECT_EQ(deflater.held_bytes(), 160u * 1024);
    EXPECT_EQ(inflater.held_bytes(), 40u * 1024);
    deflater.Release();
    inflater.Release();
    EXPECT_EQ(deflater.held_bytes() + inflater.held_bytes(), 0u);
  }
}

// The examples of section 7.2.3.
TEST(DeflateTest, ReadsTheExamplesOfTheRfc) {
  Inflater inflater{DeflateSide()};
  const std::string hello("\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
  EXPECT_EQ(Inflated(inflater, hello), "Hello");
  // 7.2.3.2: by the window of the first.
  EXPECT_EQ(Inflated(inflater, std::string("\xf2\x00\x11\x00\x00", 5)),
            "Hello");
  // 7.2.3.3: a block that is not compressed.
  EXPECT_EQ(
      Inflated(inflater,
               std::string("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11)),
      "Hello");
  // 7.2.3.4: a block that says it is the last; what follows still refers to it.
  EXPECT_EQ(
      Inflated(inflater, std::string("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8)),
      "Hello");
  EXPECT_EQ(Inflated(inflater, std::string("\xf2\x00\x11\x00\x00", 5)),
            "Hello");
  // 7.2.3.5: two blocks.
  EXPECT_EQ(Inflated(inflater,
                     std::string("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9"
                                 "\x07\x00",
                                 13)),
            "Hello");
}

TEST(DeflateTest, WhatIsNoDeflateIsBroken) {
  for (const absl::string_view bytes :
       {absl::string_view("\xff\xff\xff\xff"), absl::string_view("\xf2\x48")}) {
    Inflater inflater{DeflateSide()};
    std::string out;
    const bool broken =
        inflater.Inflate(bytes, kMostBytes, out) ==
            Inflater::Outcome::kBroken ||
        inflater.End(kMostBytes, out) == Inflater::Outcome::kBroken;
    EXPECT_TRUE(broken);
  }
}

TEST(DeflateTest, ABombIsDefusedAtTheLimit) {
  Deflater deflater(DeflateSide(), 9);
  const std::string bomb =
      *deflater.Deflate(std::string(10 * 1024 * 1024, '\0'));
  EXPECT_LT(bomb.size(), 20'000u);
  Inflater inflater{DeflateSide()};
  std::string out;
  EXPECT_EQ(inflater.Inflate(bomb, 100'000, out), Inflater::Outcome::kTooBig);
  EXPECT_LE(out.size(), 100'000u);
}

}  // namespace
}  // namespace headgate::ws
