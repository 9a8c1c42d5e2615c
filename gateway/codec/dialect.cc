#include "gateway/codec/dialect.h"

#include <algorithm>

namespace headgate {
namespace {

constexpr const Dialect* kDialects[] = {
    &kPacketDialect, &kJsonDialect,     &kProtobufDialect,
    &kRawDialect,    &kHttpJsonDialect, &kHttpEventsDialect,
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

std::vector<std::string> DialectNames() {
  std::vector<std::string> names = All(&Dialect::name);
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> SubprotocolNames() { return All(&Dialect::token); }

}  // namespace headgate
