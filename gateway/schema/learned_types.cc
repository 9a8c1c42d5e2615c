#include "gateway/schema/learned_types.h"

#include <deque>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "gateway/schema/editions.h"
#include "gateway/schema/repair.h"

namespace headgate {
namespace {

namespace pb = ::google::protobuf;

constexpr std::size_t kMaxPools = 1000;
constexpr std::size_t kMaxBytes = 16 << 20;

// What cannot be built is nobody's fault: the type stays unknown.
class NoErrors final : public pb::DescriptorPool::ErrorCollector {
 public:
#if GOOGLE_PROTOBUF_VERSION < 4022000
  void AddError(const std::string& /*file*/, const std::string& /*element*/,
                const pb::Message* /*descriptor*/, ErrorLocation /*location*/,
                const std::string& /*message*/) override {}
#else
  void RecordError(absl::string_view /*file*/, absl::string_view /*element*/,
                   const pb::Message* /*descriptor*/,
                   ErrorLocation /*location*/,
                   absl::string_view /*message*/) override {}
#endif
};

// Drops the imports for which `is_missing`. That others were public or weak
// does not matter to what is in the file.
template <typename Predicate>
void DropLostImports(pb::FileDescriptorProto& file, Predicate is_missing) {
  std::vector<std::string> kept;
  for (const std::string& import : file.dependency()) {
    if (!is_missing(import)) kept.push_back(import);
  }
  if (static_cast<int>(kept.size()) == file.dependency_size()) return;
  file.clear_public_dependency();
  file.clear_weak_dependency();
  file.mutable_dependency()->Assign(kept.begin(), kept.end());
}

}  // namespace

const pb::Descriptor* LearnedTypes::Find(const std::string& full_name) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& pool : learned_) {
    const pb::Descriptor* const type = pool->FindMessageTypeByName(full_name);
    if (type != nullptr) return type;
  }
  return nullptr;
}

void LearnedTypes::Learn(std::vector<pb::FileDescriptorProto> files) {
  // Only one thread learns; the lock is for those that look something up.
  std::size_t bytes = 0;
  for (const pb::FileDescriptorProto& file : files)
    bytes += file.ByteSizeLong();
  if (learned_.size() >= kMaxPools || bytes_ + bytes > kMaxBytes) return;
  DropWideFiles(files, nullptr);
  TranslateEditions(files);

  std::deque<pb::FileDescriptorProto> waiting;
  absl::flat_hash_set<std::string> names;
  const auto add = [&](pb::FileDescriptorProto file) {
    if (pool_.FindFileByName(file.name()) == nullptr &&
        names.insert(file.name()).second) {
      waiting.push_back(std::move(file));
    }
  };
  for (pb::FileDescriptorProto& file : files) add(std::move(file));
  for (const pb::FileDescriptor* file : library_) {
    pb::FileDescriptorProto proto;
    file->CopyTo(&proto);
    add(std::move(proto));
  }
  auto learned = std::make_unique<pb::DescriptorPool>(&pool_);
  for (pb::FileDescriptorProto& file : waiting) {
    DropLostImports(file, [&](const std::string& import) {
      return !names.contains(import) && pool_.FindFileByName(import) == nullptr;
    });
  }
  // Each after what it imports.
  for (std::size_t rest = waiting.size() + 1; rest > waiting.size();) {
    rest = waiting.size();
    for (std::size_t i = 0; i < rest; ++i) {
      pb::FileDescriptorProto file = std::move(waiting.front());
      waiting.pop_front();
      bool ready = true;
      for (const std::string& import : file.dependency()) {
        ready = ready && learned->FindFileByName(import) != nullptr;
      }
      if (!ready) {
        waiting.push_back(std::move(file));
        continue;
      }
      NoErrors errors;
      learned->BuildFileCollectingErrors(file, &errors);
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  learned_.push_back(std::move(learned));
  bytes_ += bytes;
}

}  // namespace headgate
