// Resume tokens: no bytes are one, and one that is issued is good until a bit
// of it changes.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/escaping.h"
#include "gateway/hub/resume_token.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// Takes up to `most` bytes from the front, as many as the first byte says.
std::string Take(absl::string_view& input, std::size_t most) {
  if (input.empty()) return "";
  std::size_t size = static_cast<unsigned char>(input[0]) % (most + 1);
  input.remove_prefix(1);
  size = std::min(size, input.size());
  std::string taken(input.substr(0, size));
  input.remove_prefix(size);
  return taken;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static const auto& keys =
      *new headgate::ResumeKeys({std::string(headgate::kResumeKeyBytes, 'a'),
                                 std::string(headgate::kResumeKeyBytes, 'b')});
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  absl::string_view input(reinterpret_cast<const char*>(data), size);
  // As a text, and as what one decodes to.
  Require(!keys.Check(input, {"r", "u"}, now).ok());
  Require(!keys.Check(absl::WebSafeBase64Escape(input), {"r", "u"}, now).ok());

  const std::string route = Take(input, 64);
  const std::string user = Take(input, 64);
  const headgate::ResumeScope scope{route, user};
  headgate::ResumeClaims claims{Take(input, 63) + "s", {}};
  while (!input.empty() &&
         claims.earlier.size() < headgate::kMaxEarlierSessions) {
    claims.earlier.push_back(Take(input, 63) + "s");
  }
  const std::string token =
      keys.Issue(claims, scope, now + absl::Milliseconds(1));
  Require(token.size() <= headgate::kMaxResumeTokenBytes);
  const auto checked = keys.Check(token, scope, now);
  Require(checked.ok() && checked->session == claims.session &&
          checked->earlier == claims.earlier);
  Require(!keys.Check(token, {user + "x", route}, now).ok());
  std::string bytes;
  Require(absl::WebSafeBase64Unescape(token, &bytes));
  const std::size_t at = size == 0 ? 0 : data[size - 1] * size % bytes.size();
  bytes[at] = static_cast<char>(bytes[at] ^ 1 << size % 8);
  Require(!keys.Check(absl::WebSafeBase64Escape(bytes), scope, now).ok());
  return 0;
}
