#ifndef CMD_HEADGATE_GEN_TYPESCRIPT_H_
#define CMD_HEADGATE_GEN_TYPESCRIPT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/descriptor.h"

namespace headgate {

struct TypeScriptModule {
  // "pkg.v1.ts"; a package consists of identifiers and dots, so this is never a
  // path. "no-package.ts" for what has none.
  std::string file_name;
  std::string text;
};

// TypeScript of protobuf definitions, one module per package: a type per
// message and enum in its ProtoJSON form, and a constant per service whose
// members are the methods as @headgate/client takes them.
//
// `files`: names of files in `pool`. `names`: the packages, services, messages
// and enums that are wanted, by their full names, with what they refer to; if
// empty, everything that `files` define but for google.protobuf, google.api and
// the services of gRPC itself, which only come along when something refers to
// them. Fails with NOT_FOUND when one of `names` is not defined, and when there
// is nothing to write.
absl::StatusOr<std::vector<TypeScriptModule>> GenerateTypeScript(
    const google::protobuf::DescriptorPool& pool,
    const std::vector<std::string>& files,
    const std::vector<std::string>& names);

}  // namespace headgate

#endif  // CMD_HEADGATE_GEN_TYPESCRIPT_H_
