#include "gateway/codec/protobuf_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Each field as "tag=value" or "tag='bytes'", last "bad" when there is more
// that is no field.
std::vector<std::string> Read(absl::string_view message) {
  std::vector<std::string> log;
  WireReader reader(message);
  WireField field;
  while (reader.Next(field)) {
    log.push_back(
        (field.tag & 7) == 0
            ? absl::StrCat(field.tag, "=", field.value)
            : absl::StrCat(field.tag, "='", absl::CEscape(field.bytes), "'"));
  }
  if (!reader.ok()) log.push_back("bad");
  return log;
}

TEST(ProtobufWireTest, ReadsFieldsInTheOrderOfTheirBytes) {
  EXPECT_THAT(Read(""), IsEmpty());
  EXPECT_THAT(Read(absl::string_view("\x1A\x02hi\x08\x96\x01\x1A\x00", 9)),
              ElementsAre("26='hi'", "8=150", "26=''"));
}

TEST(ProtobufWireTest, StepsOverFixedWidths) {
  EXPECT_THAT(Read("\x09"
                   "12345678"
                   "\x0D"
                   "1234"
                   "\x10\x01"),
              ElementsAre("9=''", "13=''", "16=1"));
}

TEST(ProtobufWireTest, VarintHasAtMostTenBytes) {
  EXPECT_THAT(Read("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"),
              ElementsAre("8=18446744073709551615"));
  EXPECT_THAT(Read("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"),
              ElementsAre("bad"));
}

TEST(ProtobufWireTest, RefusesWhatIsNoField) {
  for (absl::string_view message : {
           // Nothing, or not enough, after the tag.
           absl::string_view("\x08", 1),
           absl::string_view("\x08\x80", 2),
           absl::string_view("\x1A", 1),
           absl::string_view("\x1A\x03hi", 4),
           absl::string_view("\x09"
                             "1234567",
                             8),
           absl::string_view("\x0D"
                             "123",
                             4),
           // A length far beyond the message; one of six bytes.
           absl::string_view("\x1A\xFF\xFF\xFF\xFF\x0Fz", 7),
           absl::string_view("\x1A\x81\x80\x80\x80\x80\x00z", 8),
           // Field number 0; a tag above 32 bits, and of six bytes.
           absl::string_view("\x00\x01", 2),
           absl::string_view("\x80\x80\x80\x80\x10\x00", 6),
           absl::string_view("\x88\x80\x80\x80\x80\x00\x01", 7),
           // A group, and types that there are not.
           absl::string_view("\x0B\x0C", 2),
           absl::string_view("\x0E", 1),
           absl::string_view("\x0F", 1),
       }) {
    EXPECT_THAT(Read(message), ElementsAre("bad")) << absl::CEscape(message);
  }
}

TEST(ProtobufWireTest, VarintsAreAsLongAsTheirSizeSays) {
  for (const auto& [value, size] :
       std::vector<std::pair<std::uint64_t, std::size_t>>{
           {0, 1},
           {127, 1},
           {128, 2},
           {16383, 2},
           {16384, 3},
           {0xFFFFFFFF, 5},
           {~std::uint64_t{0}, 10}}) {
    std::string bytes = "\x08";
    AppendVarint(value, bytes);
    EXPECT_EQ(bytes.size(), 1 + size);
    EXPECT_EQ(VarintSize(value), size);
    EXPECT_THAT(Read(bytes), ElementsAre(absl::StrCat("8=", value)));
  }
}

}  // namespace
}  // namespace headgate
