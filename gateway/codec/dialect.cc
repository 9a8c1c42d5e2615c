#include "gateway/codec/dialect.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace headgate {
namespace {

constexpr const Dialect* kDialects[] = {
    &kPacketDialect,
    &kJsonDialect,
    &kProtobufDialect,
    &kRawDialect,
    &kHttpJsonDialect,
    &kHttpEventsDialect,
    &kGrpcWebDialect,
    &kGrpcWebJsonDialect,
    &kGrpcWebTextDialect,
    &kConnectJsonDialect,
    &kConnectProtoDialect,
    &kConnectStreamJsonDialect,
    &kConnectStreamProtoDialect,
};

const Dialect* Find(absl::Span<const Dialect* const> table,
                    absl::string_view Dialect::*key, absl::string_view value) {
  if (value.empty()) return nullptr;
  const auto row =
      std::find_if(table.begin(), table.end(), [&](const Dialect* dialect) {
        return dialect->on == Dialect::On::kWebSocket && dialect->*key == value;
      });
  return row == table.end() ? nullptr : *row;
}

std::vector<std::string> All(absl::string_view Dialect::*key) {
  std::vector<std::string> all;
  for (const Dialect* dialect : kDialects) {
    if (dialect->on != Dialect::On::kWebSocket) continue;
    all.emplace_back(dialect->*key);
  }
  return all;
}

}  // namespace

absl::Span<const Dialect* const> Dialects() { return kDialects; }

const Dialect* FindDialect(absl::string_view name,
                           absl::Span<const Dialect* const> table) {
  return Find(table, &Dialect::name, name);
}

// RFC 6455 section 11.5 leaves subprotocols to be compared exactly.
const Dialect* DialectOfSubprotocol(absl::string_view token,
                                    absl::Span<const Dialect* const> table) {
  return Find(table, &Dialect::token, token);
}

// RFC 9110 section 8.3.1: media types are case-insensitive.
const Dialect* DialectOfMediaType(absl::string_view content_type,
                                  absl::Span<const Dialect* const> table) {
  const absl::string_view media_type = absl::StripAsciiWhitespace(
      content_type.substr(0, content_type.find(';')));
  for (const Dialect* dialect : table) {
    for (const absl::string_view type : dialect->media_types) {
      if (absl::EqualsIgnoreCase(type, media_type)) return dialect;
    }
  }
  return nullptr;
}

std::vector<std::string> DialectNames() {
  std::vector<std::string> names = All(&Dialect::name);
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> SubprotocolNames() { return All(&Dialect::token); }

}  // namespace headgate
