#include "gateway/upstream/descriptor_files.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <openssl/evp.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/base/file.h"

namespace headgate {
namespace {

using ::google::protobuf::FileDescriptorProto;
using ::google::protobuf::FileDescriptorSet;

// The descriptors of ten thousand services are some MiB.
constexpr std::size_t kMaxSetBytes = 64 * 1024 * 1024;

}  // namespace

std::string Digest(absl::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  return std::string(reinterpret_cast<char*>(digest), size);
}

absl::StatusOr<FileDescriptorSet> ReadDescriptorSet(const std::string& path,
                                                    std::string* digest) {
  const absl::StatusOr<std::string> bytes = ReadFile(path, kMaxSetBytes);
  if (!bytes.ok()) {
    return absl::Status(bytes.status().code(),
                        absl::StrCat(path, " ", bytes.status().message()));
  }
  FileDescriptorSet set;
  const bool usable =
      set.ParseFromString(*bytes) && set.file_size() > 0 &&
      std::all_of(set.file().begin(), set.file().end(),
                  [](const auto& file) { return !file.name().empty(); });
  if (usable) {
    if (digest != nullptr) *digest = Digest(*bytes);
    return set;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path,
                   " is no descriptor set, as protoc --descriptor_set_out "
                   "writes it"));
}

DescriptorFiles::DescriptorFiles(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    files_.emplace_back().path = path;
    // So that the first look finds a change also where there is no file.
    files_.back().stamp.size = -1;
  }
}

bool DescriptorFiles::Refresh() {
  bool changed = false;
  for (File& file : files_) {
    const FileStamp stamp = StampOf(file.path);
    if (stamp == file.stamp) continue;
    file.stamp = stamp;
    absl::StatusOr<FileDescriptorSet> set =
        ReadDescriptorSet(file.path, &file.digest);
    changed = true;
    if (set.ok()) {
      file.set = *std::move(set);
      file.read = true;
      file.fault.clear();
    } else {
      file.fault = std::string(set.status().message());
    }
  }
  return changed;
}

std::vector<FileDescriptorProto> DescriptorFiles::Descriptors() const {
  std::vector<FileDescriptorProto> all;
  for (const File& file : files_) {
    all.insert(all.end(), file.set.file().begin(), file.set.file().end());
  }
  return all;
}

std::string DescriptorFiles::Digests() const {
  std::string digests;
  for (const File& file : files_) digests += file.digest;
  return digests;
}

std::vector<std::string> DescriptorFiles::faults() const {
  std::vector<std::string> faults;
  for (const File& file : files_) {
    if (!file.fault.empty()) faults.push_back(file.fault);
  }
  return faults;
}

bool DescriptorFiles::complete() const {
  return std::all_of(files_.begin(), files_.end(),
                     [](const File& file) { return file.read; });
}

std::string DescriptorFiles::NamesOf(const std::vector<std::string>& paths) {
  return absl::StrJoin(
      paths, ", ", [](std::string* out, const std::string& path) {
        const std::size_t slash = path.rfind('/');
        absl::StrAppend(
            out, slash == std::string::npos ? path : path.substr(slash + 1));
      });
}

}  // namespace headgate
