#include "gateway/server/resume_key_files.h"

#include <utility>

#include "absl/status/statusor.h"
#include "gateway/base/log.h"
#include "gateway/config/settings.h"

namespace headgate {

static_assert(kResumeKeyFileBytes == kResumeKeyBytes);

ResumeKeyFiles::ResumeKeyFiles(std::vector<std::string> paths)
    : paths_(std::move(paths)) {
  Read();
}

void ResumeKeyFiles::OnTick(absl::Time now) {
  if (now - checked_at_ < kFileCheckInterval) return;
  checked_at_ = now;
  std::vector<FileStamp> stamps;
  for (const std::string& path : paths_) stamps.push_back(StampOf(path));
  if (stamps != stamps_) Read();
}

void ResumeKeyFiles::Read() {
  // Before the files: a change meanwhile is seen the next time.
  stamps_.clear();
  for (const std::string& path : paths_) stamps_.push_back(StampOf(path));
  std::vector<std::string> keys;
  for (const std::string& path : paths_) {
    absl::StatusOr<std::string> key = ReadResumeKey(path);
    if (!key.ok()) {
      return Log(
          LogLevel::kWarning,
          "a key of resume tokens cannot be used, those before stay",
          {{"file", path}, {"reason", std::string(key.status().message())}});
    }
    keys.push_back(*std::move(key));
  }
  if (keys.empty()) return;
  const bool is_first = keys_ == nullptr;
  keys_ = std::make_unique<const ResumeKeys>(std::move(keys));
  if (!is_first) Log(LogLevel::kInfo, "the keys of resume tokens have changed");
}

}  // namespace headgate
