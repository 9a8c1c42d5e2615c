#include "gateway/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

absl::Status SystemError(int error) {
  absl::StatusCode code = absl::StatusCode::kUnavailable;
  if (error == ENOENT || error == ENOTDIR) code = absl::StatusCode::kNotFound;
  if (error == EACCES) code = absl::StatusCode::kPermissionDenied;
  return absl::Status(code,
                      absl::StrCat("cannot be read: ", std::strerror(error)));
}

absl::string_view KindOf(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "not a regular file";
}

// A FIFO or a device would be waited for without end, or never ends.
absl::Status CheckRegular(const struct stat& found) {
  if (S_ISREG(found.st_mode)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "cannot be read: it is ", KindOf(found.st_mode),
      ", and a regular file is needed, or a symbolic link to one"));
}

class OpenFile {
 public:
  explicit OpenFile(int fd) : fd_(fd) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     std::size_t max_bytes) {
  // Before it is opened, which may do something to a device, and again after,
  // for it may be another by then.
  struct stat found = {};
  if (stat(path.c_str(), &found) != 0) return SystemError(errno);
  if (absl::Status regular = CheckRegular(found); !regular.ok()) return regular;
  const OpenFile file(
      open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (file.get() < 0 || fstat(file.get(), &found) != 0) {
    return SystemError(errno);
  }
  if (absl::Status regular = CheckRegular(found); !regular.ok()) return regular;
  std::string bytes;
  char buffer[16 * 1024];
  while (bytes.size() <= max_bytes) {
    const ssize_t count = read(file.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError(errno);
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(count));
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("is longer than ", max_bytes, " bytes"));
}

}  // namespace headgate
