#ifndef GATEWAY_SCHEMA_LEARNED_TYPES_H_
#define GATEWAY_SCHEMA_LEARNED_TYPES_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {

// Message types beside those of an immutable pool: what is in an Any need not
// be imported by any service, so it is asked for when one comes. Up to 1000
// times and 16 MiB of descriptors; nothing is learned beyond that.
//
// Thread:   any.
// Lifetime: not longer than the pool; descriptors live as long as this.
class LearnedTypes {
 public:
  // `library`: files that are there for what the others import.
  LearnedTypes(const google::protobuf::DescriptorPool& pool,
               std::vector<const google::protobuf::FileDescriptor*> library)
      : pool_(pool), library_(std::move(library)) {}

  // Null when it was not learned.
  const google::protobuf::Descriptor* Find(const std::string& full_name) const;

  // Builds what can be built of `files`, in any order. Imports that are nowhere
  // are dropped, as most are needed for options only.
  void Learn(std::vector<google::protobuf::FileDescriptorProto> files);

 private:
  const google::protobuf::DescriptorPool& pool_;
  const std::vector<const google::protobuf::FileDescriptor*> library_;

  mutable std::mutex mutex_;
  // Each on top of pool_; of those that have a type the first counts.
  std::vector<std::unique_ptr<const google::protobuf::DescriptorPool>> learned_;
  std::size_t bytes_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_LEARNED_TYPES_H_
