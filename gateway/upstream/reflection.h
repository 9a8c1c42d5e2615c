#ifndef GATEWAY_UPSTREAM_REFLECTION_H_
#define GATEWAY_UPSTREAM_REFLECTION_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/upstream/upstream.h"

namespace headgate {

// The two names of the one protocol (grpc/grpc doc/server-reflection.md).
enum class ReflectionVersion { kV1, kV1Alpha };

// The most that descriptors of one server may be, all together and each
// response: the largest real APIs are a tenth of this.
inline constexpr std::size_t kMaxDescriptorBytes = 64 << 20;

// What a server has told.
struct ReflectedFiles {
  struct File {
    std::string name;
    std::string bytes;  // A serialized google.protobuf.FileDescriptorProto.
  };
  // UNIMPLEMENTED: the server does not have this version. UNAVAILABLE also when
  // it did not answer in time. Not OK: there are no files.
  absl::Status status;
  std::vector<File> files;  // Each name once.
  std::vector<std::string> warnings;
};

class ReflectionObserver {
 public:
  // Once, and last; the observer may destroy the conversation in here.
  virtual void OnReflected(ReflectedFiles reflected) = 0;

 protected:
  ~ReflectionObserver() = default;
};

// Asks for all services, then for the file of each, then for the imports that
// are still missing, until there are none; then for the types that no file
// defines, as a file may be served under another name than it is imported by.
//
// Some servers end the call with a status when they do not know a name (tonic),
// or after one response. What is unanswered then is asked in another call,
// without a name that has ended two of them.
//
// Files stay serialized, as parsing them would hold up the worker.
//
// Thread: that of its upstream. Lifetime: destroying it cancels the call.
class ReflectionConversation {
 public:
  virtual ~ReflectionConversation() = default;
};

// `upstream` and `observer` must outlive the conversation. `timeout` is for all
// of it.
std::unique_ptr<ReflectionConversation> AskReflection(
    Upstream& upstream, ReflectionVersion version, absl::Duration timeout,
    ReflectionObserver& observer);

// The same for the file of one message type, and what it imports that
// `is_known` does not say is there. OK without files: the server has no such
// type.
std::unique_ptr<ReflectionConversation> AskReflectionForType(
    Upstream& upstream, ReflectionVersion version, absl::Duration timeout,
    std::string type, std::function<bool(const std::string& file)> is_known,
    ReflectionObserver& observer);

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_REFLECTION_H_
