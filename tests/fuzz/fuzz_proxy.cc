// The PROXY header of a connection: what is read of it, piece by piece as it
// asks for, never ends, never wants more than a header may have, and never more
// than what is there of it.

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "gateway/config/address.h"
#include "gateway/net/proxy_header.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace headgate;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::size_t taken = 0;
  while (true) {
    const auto header = ParseProxyHeader(bytes.substr(0, taken));
    if (!header.ok()) return 0;
    if (header->missing == 0) {
      FUZZ_CHECK(header->source.empty() || Network::Parse(header->source).ok());
      return 0;
    }
    taken += header->missing;
    FUZZ_CHECK(taken <= kMaxProxyHeaderBytes);
    if (taken > size) return 0;
  }
}
