#ifndef CMD_HEADGATE_LIVE_H_
#define CMD_HEADGATE_LIVE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gateway/config/settings.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {

// Asks an upstream's server reflection for everything, over the transport that
// its settings choose. UNIMPLEMENTED: it has none; UNAVAILABLE: it could not be
// asked in `timeout`.
absl::StatusOr<std::vector<google::protobuf::FileDescriptorProto>>
FetchDescriptors(const UpstreamSettings& upstream, absl::Duration timeout,
                 std::vector<std::string>* warnings);

}  // namespace headgate

#endif  // CMD_HEADGATE_LIVE_H_
