#ifndef GATEWAY_UPSTREAM_DESCRIPTOR_FILES_H_
#define GATEWAY_UPSTREAM_DESCRIPTOR_FILES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/base/file_stamp.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {

// A descriptor set, as protoc --descriptor_set_out writes it. The errors begin
// with the file's name. One without any file is an error: it is being written,
// or none at all.
// `digest`: of its bytes, set on success.
absl::StatusOr<google::protobuf::FileDescriptorSet> ReadDescriptorSet(
    const std::string& path, std::string* digest = nullptr);

// The SHA-256 of `bytes`.
std::string Digest(absl::string_view bytes);

// The descriptor sets of one upstream, read by Refresh when they have changed.
// A file that cannot be used any more leaves its last descriptors.
//
// Thread: one at a time.
class DescriptorFiles {
 public:
  explicit DescriptorFiles(const std::vector<std::string>& paths);

  // Looks at the files, and reads those that have changed. True when
  // Descriptors() or faults() may be others now.
  bool Refresh();

  bool empty() const { return files_.empty(); }

  // Those of all files, in the order of the files.
  std::vector<google::protobuf::FileDescriptorProto> Descriptors() const;
  // Why files, as they are now, cannot be used.
  std::vector<std::string> faults() const;
  // Of the bytes that Descriptors() were read from, joined.
  std::string Digests() const;
  // Whether each file could be read at some time.
  bool complete() const;
  // The files' names, without their directories, for those who see the gateway
  // from outside: "a.pb, b.pb".
  static std::string NamesOf(const std::vector<std::string>& paths);

 private:
  struct File {
    std::string path;
    FileStamp stamp;  // When it was read last.
    bool read = false;
    google::protobuf::FileDescriptorSet set;
    std::string digest;  // SHA-256 of its bytes.
    std::string fault;
  };

  std::vector<File> files_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_DESCRIPTOR_FILES_H_
