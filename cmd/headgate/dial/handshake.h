#ifndef CMD_HEADGATE_DIAL_HANDSHAKE_H_
#define CMD_HEADGATE_DIAL_HANDSHAKE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/upgrade.h"
#include "gateway/codec/dialect.h"

namespace headgate {

struct DialHandshakeOptions {
  const Dialect* codec = nullptr;
  std::optional<std::string> bearer = std::nullopt;
  std::optional<std::string> origin = std::nullopt;
  std::vector<std::string> headers = {};  // Each "Name: value".
};

// A bearer token goes with the subprotocols, as a browser must do it, or in
// the Authorization header when it cannot be one. INVALID_ARGUMENT for what
// cannot be sent at all.
absl::StatusOr<UpgradeHeaders> MakeDialHandshake(
    const DialHandshakeOptions& options);

// A token of RFC 7230 section 3.2.6, which header names and subprotocols are.
bool IsHttpToken(absl::string_view text);

}  // namespace headgate

#endif  // CMD_HEADGATE_DIAL_HANDSHAKE_H_
