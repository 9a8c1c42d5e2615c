#ifndef GATEWAY_SERVER_RESUME_KEY_FILES_H_
#define GATEWAY_SERVER_RESUME_KEY_FILES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gateway/base/file_stamp.h"
#include "gateway/hub/resume_token.h"

namespace headgate {

// The keys of resume tokens, read when made and again when a file has changed.
// While one of the files cannot be used the keys before stay in use, which the
// log reports.
//
// Thread: one at a time.
class ResumeKeyFiles {
 public:
  explicit ResumeKeyFiles(std::vector<std::string> paths);

  // To be called more often than kFileCheckInterval passes.
  void OnTick(absl::Time now);

  // Null as long as the files have never been usable.
  const ResumeKeys* keys() const { return keys_.get(); }

 private:
  void Read();

  const std::vector<std::string> paths_;
  std::vector<FileStamp> stamps_;
  absl::Time checked_at_ = absl::InfinitePast();
  std::unique_ptr<const ResumeKeys> keys_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_RESUME_KEY_FILES_H_
