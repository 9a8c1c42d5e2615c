#ifndef GATEWAY_API_GRANTS_H_
#define GATEWAY_API_GRANTS_H_

#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/file_stamp.h"
#include "gateway/config/settings.h"

namespace headgate {

// What a client has shown to be who it is.
struct HubApiCaller {
  std::string subject;        // Of its certificate; empty: none.
  std::string authorization;  // The metadata; empty: none.
};

// What a request is for.
struct HubApiScope {
  // A session is concerned only if it is in one of these groups.
  std::vector<absl::string_view> groups = {};
  // Groups whose members it changes, besides.
  std::vector<absl::string_view> memberships = {};
};

// Decides what clients of the hub API may do.
//
// Thread: any.
class HubGrants {
 public:
  // Without grants everybody may do everything.
  explicit HubGrants(std::vector<HubGrantSettings> grants);

  // `method`: of headgate.v1.HubService, its name alone. UNAUTHENTICATED for a
  // client with no grant, PERMISSION_DENIED where it has none for this.
  absl::Status Check(const HubApiCaller& caller, absl::string_view method,
                     const HubApiScope& scope, absl::Time now);

 private:
  struct Token {
    FileStamp stamp;
    std::string text;  // Empty: the file has none.
  };

  // Reads the tokens whose files have changed. Both are called under mutex_.
  void Refresh(absl::Time now);
  bool IsOf(const HubApiCaller& caller, std::size_t grant) const;

  const std::vector<HubGrantSettings> grants_;
  // The standard's, for ThreadSanitizer sees its locks and not those in the
  // distribution's abseil.
  std::mutex mutex_;
  std::vector<Token> tokens_;  // One for each grant; under mutex_.
  absl::Time refreshed_ = absl::InfinitePast();  // Under mutex_.
};

}  // namespace headgate

#endif  // GATEWAY_API_GRANTS_H_
