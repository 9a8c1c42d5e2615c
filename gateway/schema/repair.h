#ifndef GATEWAY_SCHEMA_REPAIR_H_
#define GATEWAY_SCHEMA_REPAIR_H_

#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {

// Makes of `files` what protobuf's pool takes, where a server's reflection got
// them wrong. @grpc/reflection makes files up from what protobufjs has parsed:
// one for each package, its own of google.protobuf too, without imports, and
// with map entries named after their fields. Files that are right stay as they
// are.
//
// `well_known` are the library's files, which take the place of any other file
// of package google.protobuf. Safe for any thread.
void RepairFiles(
    const std::vector<const google::protobuf::FileDescriptor*>& well_known,
    std::vector<google::protobuf::FileDescriptorProto>& files);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_REPAIR_H_
