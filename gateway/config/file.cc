#include "gateway/config/file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

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

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     std::size_t max_bytes) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return SystemError(errno);
  std::string bytes;
  char buffer[16 * 1024];
  while (bytes.size() <= max_bytes) {
    errno = 0;
    const std::size_t count = std::fread(buffer, 1, sizeof buffer, file.get());
    if (count == 0) {
      if (std::ferror(file.get())) return SystemError(errno);
      return bytes;
    }
    bytes.append(buffer, count);
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("is longer than ", max_bytes, " bytes"));
}

}  // namespace headgate
