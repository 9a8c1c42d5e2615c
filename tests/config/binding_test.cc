#include "gateway/config/binding.h"

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gateway/config/units.h"
#include "headgate/config/v1/config.pb.h"

namespace headgate {
namespace {

namespace pb = config::v1;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using ::testing::IsEmpty;

// Of a section of docs/configuration.md: key -> default.
std::map<std::string, std::string> DocumentedDefaults(
    const std::string& section) {
  std::ifstream file(absl::StrCat(HEADGATE_DOCS, "/configuration.md"));
  EXPECT_TRUE(file);
  std::map<std::string, std::string> defaults;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "## ")) {
      inside = line == absl::StrCat("## `", section, "`");
    }
    const std::vector<std::string> cells = absl::StrSplit(line, '|');
    if (!inside || cells.size() < 5 || !absl::StartsWith(line, "| `")) continue;
    absl::string_view key = absl::StripAsciiWhitespace(cells[1]);
    absl::ConsumePrefix(&key, "`");
    absl::ConsumeSuffix(&key, "`");
    defaults[std::string(key)] =
        std::string(absl::StripAsciiWhitespace(cells[3]));
  }
  EXPECT_FALSE(defaults.empty()) << section;
  return defaults;
}

// Whether `text` is the documented default for this one.
bool IsDefault(const std::string& text, bool value) {
  return text == (value ? "true" : "false");
}
bool IsDefault(const std::string& text, int value) {
  return text == absl::StrCat(value);
}
bool IsDefault(const std::string& text, std::size_t value) {
  const auto size = ParseSize(text);
  return size.ok() && *size == value;
}
bool IsDefault(const std::string& text, absl::Duration value) {
  const auto duration = ParseDuration(text);
  if (value == absl::InfiniteDuration()) value = absl::ZeroDuration();
  return duration.ok() && *duration == value;
}
// Where there is none, or it is made of other settings, in words.
bool IsDefault(const std::string& text, const std::string& value) {
  return value.empty() ? !text.empty()
                       : text == value || absl::StrContains(text, ' ');
}
template <typename T>
bool IsDefault(const std::string& text, const std::optional<T>& value) {
  return value ? IsDefault(text, *value) : absl::StrContains(text, ' ');
}

template <typename Settings>
void ExpectDocumented(const std::string& section,
                      absl::Span<const Binding<Settings>> table,
                      const Settings& settings = Settings()) {
  const auto documented = DocumentedDefaults(section);
  for (const Binding<Settings>& row : table) {
    const auto found = documented.find(std::string(row.key));
    ASSERT_NE(found, documented.end()) << section << "." << row.key;
    // That of another section.
    if (absl::StartsWith(found->second, "`limits.") ||
        absl::StartsWith(found->second, "`timeouts.")) {
      continue;
    }
    std::visit(
        [&](auto member) {
          EXPECT_TRUE(IsDefault(found->second, settings.*member))
              << section << "." << row.key << ": " << found->second;
        },
        row.member);
  }
}

TEST(BindingTest, DefaultsAreThoseOfTheDocuments) {
  ExpectDocumented("limits", TableOf<LimitSettings>());
  ExpectDocumented("timeouts", TableOf<TimeoutSettings>());
  ExpectDocumented("keepalive", TableOf<KeepaliveSettings>());
  ExpectDocumented("listeners[]", TableOf<ListenerSettings>());
  ExpectDocumented("listeners[]", TableOf<SocketFileSettings>());
  ExpectDocumented("listeners[].tls", TableOf<ListenerTlsSettings>());
  ExpectDocumented("listeners[].tls.certificates[]",
                   TableOf<TlsCertificateSettings>());
  ExpectDocumented("listeners[].compression", TableOf<CompressionSettings>());
  ExpectDocumented("upstreams[]", TableOf<UpstreamSettings>());
  ExpectDocumented("upstreams[].descriptors", TableOf<DescriptorSettings>());
  ExpectDocumented("upstreams[].tls", TableOf<UpstreamTlsSettings>());
  ExpectDocumented("routes[]", TableOf<Route>());
  ExpectDocumented("routes[].packet", TableOf<PacketOptions>());
  ExpectDocumented("routes[].packet", TableOf<MethodTable>());
  ExpectDocumented("routes[].token", TableOf<TokenRule>());
  ExpectDocumented("routes[].hub", TableOf<HubTarget>());
  ExpectDocumented("routes[].hub.slow", TableOf<SlowClientSettings>());
  ExpectDocumented("admin[]", TableOf<AdminSettings>());
  ExpectDocumented("hub.api", TableOf<HubApiSettings>());
  ExpectDocumented("hub.api.tls", TableOf<HubApiTlsSettings>());
  ExpectDocumented("tracing", TableOf<TracingSettings>());
  ExpectDocumented("hub.api.grants[]", TableOf<HubGrantSettings>());
}

// The keys of a section that take one value and that no table of `keys` has.
std::vector<std::string> Unbound(const Descriptor& section,
                                 std::set<absl::string_view> keys) {
  std::vector<std::string> unbound;
  for (int i = 0; i < section.field_count(); ++i) {
    const FieldDescriptor& field = *section.field(i);
    const bool is_single =
        !field.is_repeated() &&
        field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE &&
        field.cpp_type() != FieldDescriptor::CPPTYPE_ENUM;
    if (is_single && keys.count(field.name()) == 0) {
      unbound.push_back(absl::StrCat(section.name(), ".", field.name()));
    }
  }
  return unbound;
}

template <typename Settings>
void AddKeys(std::set<absl::string_view>& keys) {
  for (const Binding<Settings>& row : TableOf<Settings>()) keys.insert(row.key);
}

template <typename... Settings>
std::set<absl::string_view> KeysOf(std::set<absl::string_view> others = {}) {
  (AddKeys<Settings>(others), ...);
  return others;
}

// `others`: what convert.cc and convert_routes.cc take by themselves.
TEST(BindingTest, EveryKeyIsBound) {
  EXPECT_THAT(Unbound(*pb::Limits::descriptor(),
                      KeysOf<LimitSettings>(
                          {"max_message_bytes", "messages_per_second",
                           "message_burst", "bytes_per_second", "byte_burst"})),
              IsEmpty());
  EXPECT_THAT(Unbound(*pb::Timeouts::descriptor(),
                      KeysOf<TimeoutSettings>({"idle", "max_age"})),
              IsEmpty());
  EXPECT_THAT(
      Unbound(*pb::ClientKeepalive::descriptor(), KeysOf<KeepaliveSettings>()),
      IsEmpty());
  EXPECT_THAT(Unbound(*pb::Listener::descriptor(),
                      KeysOf<ListenerSettings, SocketFileSettings>()),
              IsEmpty());
  EXPECT_THAT(Unbound(*pb::ListenerTls::descriptor(),
                      KeysOf<ListenerTlsSettings>({"min_version"})),
              IsEmpty());
  EXPECT_THAT(Unbound(*pb::TlsCertificate::descriptor(),
                      KeysOf<TlsCertificateSettings>()),
              IsEmpty());
  EXPECT_THAT(Unbound(*pb::ListenerCompression::descriptor(),
                      KeysOf<CompressionSettings>()),
              IsEmpty());
  EXPECT_THAT(Unbound(*pb::Upstream::descriptor(),
                      KeysOf<UpstreamSettings>({"health_check"})),
              IsEmpty());
  EXPECT_THAT(
      Unbound(*pb::Descriptors::descriptor(), KeysOf<DescriptorSettings>()),
      IsEmpty());
  EXPECT_THAT(
      Unbound(*pb::UpstreamTls::descriptor(), KeysOf<UpstreamTlsSettings>()),
      IsEmpty());
  EXPECT_THAT(Unbound(*pb::Route::descriptor(),
                      KeysOf<Route>({"method", "service", "http_rules",
                                     "method_override", "messages_per_second",
                                     "message_burst", "bytes_per_second",
                                     "byte_burst"})),
              IsEmpty());
  EXPECT_THAT(Unbound(*pb::Packet::descriptor(),
                      KeysOf<PacketOptions, MethodTable>({"coalesce"})),
              IsEmpty());
  EXPECT_THAT(Unbound(*pb::Token::descriptor(), KeysOf<TokenRule>()),
              IsEmpty());
  EXPECT_THAT(Unbound(*pb::Hub::descriptor(),
                      KeysOf<HubTarget>({"method", "packet_type"})),
              IsEmpty());
  EXPECT_THAT(
      Unbound(*pb::SlowClients::descriptor(), KeysOf<SlowClientSettings>()),
      IsEmpty());
  EXPECT_THAT(Unbound(*pb::Admin::descriptor(), KeysOf<AdminSettings>()),
              IsEmpty());
  EXPECT_THAT(Unbound(*pb::HubApi::descriptor(), KeysOf<HubApiSettings>()),
              IsEmpty());
  EXPECT_THAT(
      Unbound(*pb::HubApiTls::descriptor(), KeysOf<HubApiTlsSettings>()),
      IsEmpty());
  EXPECT_THAT(Unbound(*pb::HubGrant::descriptor(), KeysOf<HubGrantSettings>()),
              IsEmpty());
}

}  // namespace
}  // namespace headgate
