#ifndef CMD_HEADGATE_DESCRIPTOR_FLAGS_H_
#define CMD_HEADGATE_DESCRIPTOR_FLAGS_H_

#include <memory>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "absl/status/statusor.h"
#include "gateway/config/settings.h"
#include "gateway/schema/schema.h"

namespace headgate {

// Where a command takes descriptors from: descriptor sets if there are any,
// else a gRPC server by reflection.
struct DescriptorFlags {
  std::string upstream = UpstreamSettings().target;
  std::vector<std::string> descriptors;
  bool tls = false;
  UpstreamTlsSettings tls_files;
  std::string timeout = "5s";
};

// Adds the flags to a command; the result is filled when it is parsed.
std::shared_ptr<const DescriptorFlags> AddDescriptorFlags(CLI::App& command);

struct LoadedDescriptors {
  std::shared_ptr<const Schema> schema;  // Never null.
  std::vector<std::string> files;        // The names of those that were loaded.
};

// Reads or fetches the descriptors; warnings go to stderr.
absl::StatusOr<LoadedDescriptors> LoadDescriptors(const DescriptorFlags& flags);

}  // namespace headgate

#endif  // CMD_HEADGATE_DESCRIPTOR_FLAGS_H_
