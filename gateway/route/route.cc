#include "gateway/route/route.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"

namespace headgate {
namespace {

constexpr absl::string_view kPacketMethod =
    "/headgate.v1.PacketService/Connect";
constexpr absl::string_view kMessageMethod =
    "/headgate.v1.MessageService/Connect";

std::shared_ptr<const Route> Specialized(Route route,
                                         absl::string_view method) {
  SetCodecsFor(method, route);
  return std::make_shared<const Route>(std::move(route));
}

// A name of protobuf's: [A-Za-z_][A-Za-z0-9_]*.
bool IsIdentifier(absl::string_view name) {
  if (name.empty() || absl::ascii_isdigit(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_'; });
}

bool IsQualifiedName(absl::string_view name) {
  for (;;) {
    const std::size_t dot = name.find('.');
    if (!IsIdentifier(name.substr(0, dot))) return false;
    if (dot == absl::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

bool IsMethodPath(absl::string_view path) {
  if (path.empty() || path[0] != '/') return false;
  path.remove_prefix(1);
  const std::size_t slash = path.find('/');
  if (slash == absl::string_view::npos) return false;
  return IsQualifiedName(path.substr(0, slash)) &&
         IsIdentifier(path.substr(slash + 1));
}

void SetCodecsFor(absl::string_view method, Route& route) {
  if (method == kPacketMethod) {
    route.binary_codec = CodecKind::kPacket;
    route.allowed_codecs = {CodecKind::kPacket, CodecKind::kJson,
                            CodecKind::kProtobuf};
  } else if (method == kMessageMethod) {
    // Plain messages can be of any form, so there is nothing to guess by.
    if (!route.codec) route.codec = CodecKind::kRaw;
    route.allowed_codecs = {CodecKind::kRaw, CodecKind::kJson,
                            CodecKind::kProtobuf};
  }
}

Router::Router(std::vector<Route> routes) {
  for (Route& route : routes) {
    if (!route.path.empty()) {
      std::string path = route.path;
      exact_.emplace(std::move(path),
                     std::make_shared<const Route>(std::move(route)));
    } else if (any_method_ == nullptr) {
      packet_method_ = Specialized(route, kPacketMethod);
      message_method_ = Specialized(route, kMessageMethod);
      any_method_ = std::make_shared<const Route>(std::move(route));
    }
  }
}

std::optional<Router::Match> Router::Find(absl::string_view path) const {
  if (const auto it = exact_.find(path); it != exact_.end()) {
    const std::shared_ptr<const Route>& route = it->second;
    return Match{route,
                 route->method.empty() ? std::string(path) : route->method};
  }
  if (any_method_ == nullptr || !IsMethodPath(path)) return std::nullopt;
  if (path == kPacketMethod) return Match{packet_method_, std::string(path)};
  if (path == kMessageMethod) return Match{message_method_, std::string(path)};
  return Match{any_method_, std::string(path)};
}

}  // namespace headgate
