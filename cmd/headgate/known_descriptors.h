#ifndef CMD_HEADGATE_KNOWN_DESCRIPTORS_H_
#define CMD_HEADGATE_KNOWN_DESCRIPTORS_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "gateway/config/settings.h"
#include "gateway/schema/schema.h"

namespace headgate {

// Where a command that serves nothing gets an upstream's descriptors from.
struct DescriptorsFrom {
  bool live = false;           // Reflection is asked, too.
  bool without_files = false;  // Files are not looked at.
};

// Writes a warning to stderr.
void WarnOfUpstream(const UpstreamSettings& upstream,
                    const std::string& warning);

// What the descriptor sets of an upstream define, and with --live what its
// reflection tells; null when there is nothing. Clears `reachable` when the
// upstream cannot be asked.
std::shared_ptr<const Schema> KnownDescriptors(const UpstreamSettings& upstream,
                                               const DescriptorsFrom& from,
                                               absl::Duration timeout,
                                               bool* reachable);

}  // namespace headgate

#endif  // CMD_HEADGATE_KNOWN_DESCRIPTORS_H_
