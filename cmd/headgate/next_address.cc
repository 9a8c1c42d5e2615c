#include "cmd/headgate/next_address.h"

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gateway/config/address.h"

namespace headgate {

absl::StatusOr<std::string> NextAddress(const std::string& address,
                                        int number) {
  const absl::StatusOr<ListenAddress> first = ParseListenAddress(address);
  if (!first.ok()) return address;
  if (first->kind != ListenAddress::Kind::kTcp) {
    return absl::InvalidArgumentError(
        absl::StrCat("must be HOST:PORT, is \"", address, "\""));
  }
  if (first->tcp.port == 0) return address;
  const int port = first->tcp.port + number;
  if (port > std::numeric_limits<std::uint16_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "there are too few ports above that of \"", address, "\""));
  }
  return FormatAddress(first->tcp.host, static_cast<std::uint16_t>(port));
}

}  // namespace headgate
