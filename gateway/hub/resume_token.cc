#include "gateway/hub/resume_token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

constexpr char kVersion = 1;
constexpr std::size_t kKeyIdBytes = 4;
constexpr std::size_t kNumberBytes = 8;
constexpr std::size_t kMacBytes = 32;
constexpr std::size_t kHeadBytes = 1 + kKeyIdBytes;
constexpr std::size_t kMaxSessionBytes = 64;
constexpr absl::string_view kKeyIdInput = "headgate resume key";

// The longest token: all sessions, each as long as it may be, in base64.
static_assert((kHeadBytes + kNumberBytes +
               (1 + kMaxEarlierSessions) * (1 + kMaxSessionBytes) + kMacBytes) *
                      4 / 3 +
                  1 <=
              kMaxResumeTokenBytes);

std::string Mac(const std::string& secret, absl::string_view input) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac = {};
  unsigned int size = 0;
  const unsigned char* const made =
      HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(input.data()), input.size(),
           mac.data(), &size);
  assert(made != nullptr && size == kMacBytes);
  // Of no memory for it; no token is right then.
  if (made == nullptr) return "";
  return std::string(mac.begin(), mac.begin() + kMacBytes);
}

void AppendNumber(std::uint64_t number, std::string& out) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(number >> shift & 0xFF));
  }
}

std::uint64_t NumberAt(absl::string_view bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < kNumberBytes; ++i) {
    number = number << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return number;
}

std::string MacOf(const std::string& secret, absl::string_view body,
                  ResumeScope scope) {
  std::string input(body);
  AppendNumber(scope.route.size(), input);
  absl::StrAppend(&input, scope.route);
  AppendNumber(scope.user.size(), input);
  absl::StrAppend(&input, scope.user);
  return Mac(secret, input);
}

void AppendSession(absl::string_view session, std::string& out) {
  assert(!session.empty() && session.size() <= kMaxSessionBytes);
  out.push_back(static_cast<char>(session.size()));
  absl::StrAppend(&out, session);
}

absl::Status NotGood() {
  return absl::UnauthenticatedError("the resume token is not good");
}

}  // namespace

ResumeKeys::ResumeKeys(std::vector<std::string> keys) {
  assert(!keys.empty());
  for (std::string& key : keys) {
    std::string id = Mac(key, kKeyIdInput).substr(0, kKeyIdBytes);
    keys_.push_back({std::move(id), std::move(key)});
  }
}

std::string ResumeKeys::Issue(const ResumeClaims& claims, ResumeScope scope,
                              absl::Time expires_at) const {
  const Key& key = keys_.front();
  std::string token(1, kVersion);
  absl::StrAppend(&token, key.id);
  AppendNumber(static_cast<std::uint64_t>(
                   std::max<std::int64_t>(absl::ToUnixMillis(expires_at), 0)),
               token);
  AppendSession(claims.session, token);
  const std::size_t earlier =
      std::min(claims.earlier.size(), kMaxEarlierSessions);
  for (std::size_t i = 0; i < earlier; ++i) {
    AppendSession(claims.earlier[i], token);
  }
  absl::StrAppend(&token, MacOf(key.secret, token, scope));
  return absl::WebSafeBase64Escape(token);
}

absl::StatusOr<ResumeClaims> ResumeKeys::Check(absl::string_view token,
                                               ResumeScope scope,
                                               absl::Time now) const {
  std::string bytes;
  if (token.size() > kMaxResumeTokenBytes ||
      !absl::WebSafeBase64Unescape(token, &bytes) ||
      // There is one way to write it.
      absl::WebSafeBase64Escape(bytes) != token ||
      bytes.size() < kHeadBytes + kNumberBytes + kMacBytes ||
      bytes[0] != kVersion) {
    return NotGood();
  }
  const absl::string_view all = bytes;
  const absl::string_view body = all.substr(0, all.size() - kMacBytes);
  const absl::string_view mac = all.substr(body.size());
  const absl::string_view id = body.substr(1, kKeyIdBytes);
  const auto is_right = [&](const Key& key) {
    if (key.id != id) return false;
    const std::string right = MacOf(key.secret, body, scope);
    return right.size() == mac.size() &&
           CRYPTO_memcmp(right.data(), mac.data(), mac.size()) == 0;
  };
  if (!std::any_of(keys_.begin(), keys_.end(), is_right)) return NotGood();

  // From here on it is what a gateway has written.
  const std::uint64_t expires_at = NumberAt(body.substr(kHeadBytes));
  const std::int64_t now_ms = absl::ToUnixMillis(now);
  if (now_ms >= 0 && expires_at <= static_cast<std::uint64_t>(now_ms)) {
    return NotGood();
  }
  ResumeClaims claims;
  absl::string_view rest = body.substr(kHeadBytes + kNumberBytes);
  while (!rest.empty()) {
    const auto size = static_cast<unsigned char>(rest[0]);
    if (size == 0 || size >= rest.size()) return NotGood();
    std::string session(rest.substr(1, size));
    rest.remove_prefix(1 + size);
    if (claims.session.empty()) {
      claims.session = std::move(session);
    } else {
      claims.earlier.push_back(std::move(session));
    }
  }
  if (claims.session.empty() || claims.earlier.size() > kMaxEarlierSessions) {
    return NotGood();
  }
  return claims;
}

}  // namespace headgate
