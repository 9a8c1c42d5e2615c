#include "gateway/ws/handshake.h"

#include <openssl/sha.h>

#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace headgate::ws {

std::string AcceptFor(absl::string_view key) {
  const std::string text =
      absl::StrCat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
       digest.data());
  return absl::Base64Escape(absl::string_view(
      reinterpret_cast<const char*>(digest.data()), digest.size()));
}

}  // namespace headgate::ws
