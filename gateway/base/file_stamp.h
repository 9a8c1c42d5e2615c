#ifndef GATEWAY_BASE_FILE_STAMP_H_
#define GATEWAY_BASE_FILE_STAMP_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace headgate {

// How often files of the configuration are looked at for a change.
constexpr absl::Duration kFileCheckInterval = absl::Seconds(1);

// What tells one state of a file from another without reading it. A link
// counts as what it leads to, so that exchanging the link is a change.
struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  std::int64_t modified_seconds = 0;
  std::int64_t modified_nanoseconds = 0;

  bool operator==(const FileStamp&) const = default;
};

// All zero when there is no such file, or it cannot be looked at.
FileStamp StampOf(const std::string& path);

}  // namespace headgate

#endif  // GATEWAY_BASE_FILE_STAMP_H_
