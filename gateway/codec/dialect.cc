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
    &kHubJsonDialect,
    &kHubProtobufDialect,
    &kGrpcWebSocketsDialect,
    &kGrpcWebSocketsMultiplexDialect,
    &kHttpJsonDialect,
    &kHttpEventsDialect,
    &kGrpcDialect,
    &kGrpcWebDialect,
    &kGrpcWebJsonDialect,
    &kGrpcWebTextDialect,
    &kGrpcWebTextJsonDialect,
    &kConnectJsonDialect,
    &kConnectProtoDialect,
    &kConnectStreamJsonDialect,
    &kConnectStreamProtoDialect,
};

bool IsOwn(const Dialect& dialect) {
  return absl::StartsWith(dialect.token, "headgate.");
}

template <typename Matches>
const Dialect* Find(absl::Span<const Dialect* const> table, Matches matches) {
  const auto row =
      std::find_if(table.begin(), table.end(), [&](const Dialect* dialect) {
        return dialect->on == Dialect::On::kWebSocket && matches(*dialect);
      });
  return row == table.end() ? nullptr : *row;
}

std::vector<const Dialect*> Own() {
  std::vector<const Dialect*> own;
  for (const Dialect* dialect : kDialects) {
    if (dialect->on == Dialect::On::kWebSocket && IsOwn(*dialect)) {
      own.push_back(dialect);
    }
  }
  return own;
}

}  // namespace

std::vector<WireMessage> MessagesOfEnding(const Dialect& dialect,
                                          const Ending& ending) {
  std::vector<WireMessage> messages;
  if (dialect.head != Dialect::Head::kFirstMessage ||
      dialect.calls != Dialect::Calls::kOne) {
    return messages;
  }
  const PacketOptions packet;
  const JsonCodecOptions json;
  const auto codec = dialect.make({packet, json});
  if (!codec.ok()) return messages;
  Outgoing out{Watermarks()};
  (*codec)->EncodeEnd(ending, out);
  while (out.has_messages()) messages.push_back(out.TakeMessage(0));
  return messages;
}

absl::Span<const Dialect* const> Dialects() { return kDialects; }

const Dialect* FindDialect(absl::string_view name,
                           absl::Span<const Dialect* const> table) {
  return Find(table,
              [&](const Dialect& dialect) { return dialect.name == name; });
}

const Dialect* DialectOfSubprotocol(absl::string_view token,
                                    absl::Span<const Dialect* const> table) {
  return Find(table, [&](const Dialect& dialect) {
    return IsOwn(dialect) ? dialect.token == token
                          : absl::EqualsIgnoreCase(dialect.token, token);
  });
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
  std::vector<std::string> names;
  for (const Dialect* dialect : Own()) {
    if (!dialect->is_of_hubs) names.emplace_back(dialect->name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> SubprotocolNames() {
  std::vector<std::string> tokens;
  for (const Dialect* dialect : Own()) tokens.emplace_back(dialect->token);
  return tokens;
}

}  // namespace headgate
