#include "cmd/headgate/descriptor_flags.h"

#include <iostream>
#include <utility>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cmd/headgate/duration_flag.h"
#include "cmd/headgate/live.h"
#include "gateway/base/status.h"
#include "gateway/upstream/descriptor_files.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {

namespace pb = ::google::protobuf;

std::shared_ptr<const DescriptorFlags> AddDescriptorFlags(CLI::App& command) {
  const auto flags = std::make_shared<DescriptorFlags>();
  command
      .add_option("--upstream", flags->upstream,
                  "The gRPC server that is asked by server reflection")
      ->type_name("TARGET")
      ->capture_default_str();
  command
      .add_option("--descriptors", flags->descriptors,
                  "Descriptor set to look into instead; repeatable")
      ->allow_extra_args(false)
      ->type_name("FILE");
  command.add_flag("--upstream-tls", flags->tls, "TLS towards the upstream");
  const auto file = [&](const std::string& flag, std::string& value,
                        const std::string& help) {
    command.add_option(flag, value, help)->type_name("FILE");
  };
  file("--upstream-ca", flags->tls_files.ca,
       "Authorities, PEM, that its certificate may come from");
  file("--upstream-cert", flags->tls_files.certificate,
       "A certificate of our own, PEM");
  file("--upstream-key", flags->tls_files.key, "Its key, PEM");
  command
      .add_option("--upstream-authority", flags->tls_files.authority,
                  "The name that its certificate must be for")
      ->type_name("NAME");
  command
      .add_option("--timeout", flags->timeout, "How long the upstream may take")
      ->type_name("DURATION")
      ->capture_default_str();
  return flags;
}

absl::StatusOr<LoadedDescriptors> LoadDescriptors(
    const DescriptorFlags& flags) {
  std::vector<pb::FileDescriptorProto> files;
  std::vector<std::string> warnings;
  if (!flags.descriptors.empty()) {
    for (const std::string& path : flags.descriptors) {
      const absl::StatusOr<pb::FileDescriptorSet> set = ReadDescriptorSet(path);
      if (!set.ok()) return set.status();
      files.insert(files.end(), set->file().begin(), set->file().end());
    }
  } else {
    const absl::StatusOr<absl::Duration> timeout =
        ParseDurationFlag("--timeout", flags.timeout, absl::Milliseconds(1));
    if (!timeout.ok()) return timeout.status();
    UpstreamSettings upstream;
    upstream.target = flags.upstream;
    if (flags.tls || flags.tls_files != UpstreamTlsSettings()) {
      upstream.tls = flags.tls_files;
    }
    auto fetched = FetchDescriptors(upstream, *timeout, &warnings);
    if (absl::IsUnimplemented(fetched.status())) {
      return absl::UnimplementedError(
          absl::StrCat(flags.upstream,
                       " has no server reflection; name a descriptor set "
                       "(--descriptors)"));
    }
    if (!fetched.ok()) return Annotate(fetched.status(), flags.upstream);
    files = *std::move(fetched);
  }
  LoadedDescriptors loaded;
  for (const pb::FileDescriptorProto& file : files) {
    loaded.files.push_back(file.name());
  }
  loaded.schema = Schema::Build(std::move(files), &warnings);
  for (const std::string& warning : warnings) {
    std::cerr << "headgate: warning: " << warning << "\n";
  }
  return loaded;
}

}  // namespace headgate
