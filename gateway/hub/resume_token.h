#ifndef GATEWAY_HUB_RESUME_TOKEN_H_
#define GATEWAY_HUB_RESUME_TOKEN_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace headgate {

// Resume tokens: what a client of a hub shows to be known as the one that it
// was before its connection was lost. Pure: bytes in, bytes out.

// The length of a key: that of HMAC-SHA256's own output.
inline constexpr std::size_t kResumeKeyBytes = 32;
// Of a token, at most.
inline constexpr std::size_t kMaxResumeTokenBytes = 512;
// Sessions that a token names besides its own, at most.
inline constexpr std::size_t kMaxEarlierSessions = 4;

// What a token says: "its bearer has had these sessions".
struct ResumeClaims {
  std::string session;               // The last one.
  std::vector<std::string> earlier;  // Before it, the newest first.
};

// Whose token it is. Not in the token, but authenticated with it: a token is
// good for the same route and user alone.
struct ResumeScope {
  absl::string_view route;  // Its name.
  absl::string_view user;   // "": the backend has set none.
};

// The keys of a gateway, which all gateways of a hub share.
//
// A token is base64url without padding of
//
//   version (1 byte: 1) | key id (4) | expiry, Unix ms (8, big-endian) |
//   1 to 5 times: length (1), session id | HMAC-SHA256 (32)
//
// where the HMAC is over all that is before it and, each behind its length (8,
// big-endian), the route's name and the user. The key id is the first 4 bytes
// of the HMAC of a constant.
//
// Immutable, and so safe for any thread.
class ResumeKeys {
 public:
  // `keys`: kResumeKeyBytes each; the first one signs, all verify. Requires:
  // there is one.
  explicit ResumeKeys(std::vector<std::string> keys);

  // Of `claims.earlier` the first kMaxEarlierSessions are in it. Requires: each
  // session id has 1 to 64 bytes.
  std::string Issue(const ResumeClaims& claims, ResumeScope scope,
                    absl::Time expires_at) const;

  // What a token says that one of the keys has signed for `scope`, and that
  // does not expire before or at `now`. UNAUTHENTICATED, with one message for
  // all faults: nothing in it helps to forge one. Nothing but version and key
  // id is looked at before the HMAC is known to be right, which takes as long
  // whatever is wrong with it.
  absl::StatusOr<ResumeClaims> Check(absl::string_view token, ResumeScope scope,
                                     absl::Time now) const;

 private:
  struct Key {
    std::string id;
    std::string secret;
  };
  std::vector<Key> keys_;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_RESUME_TOKEN_H_
