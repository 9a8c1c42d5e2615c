#ifndef GATEWAY_SCHEMA_REPAIR_H_
#define GATEWAY_SCHEMA_REPAIR_H_

#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {

// The most fields that a message may have: a conversion begins with a table of
// them, on the worker, at about a microsecond each. There is no message like
// that but a hostile one.
constexpr int kMostFields = 10'000;

// Takes those out of `files` that have a message with more fields, each with a
// line in `warnings` (which may be null).
void DropWideFiles(std::vector<google::protobuf::FileDescriptorProto>& files,
                   std::vector<std::string>* warnings);

// Makes of `files` what protobuf's pool takes, where a server's reflection got
// them wrong. @grpc/reflection makes files up from what protobufjs has parsed:
// one for each package, its own of google.protobuf too, without imports, and
// with map entries named after their fields. Files that are right stay as they
// are.
//
// What is missing is done without, so that the rest of its file can be used:
//   * An import that is neither among `files` nor of `library` is dropped. Most
//     are needed for options only (validate/validate.proto). A type is imported
//     from whichever file defines it, under whatever name that is served.
//   * A field whose type nobody defines becomes bytes, or int32 for an enum:
//     what it is on the wire. A method without its types is dropped.
//   * Of a type, service or extension that two files define the first counts.
// Each of these but the first has a line in `warnings`.
//
// `well_known` are the library's files, which take the place of any other file
// of package google.protobuf. Those of `library` are there for what `files` do
// not define. Safe for any thread.
void RepairFiles(
    const std::vector<const google::protobuf::FileDescriptor*>& well_known,
    const std::vector<const google::protobuf::FileDescriptor*>& library,
    std::vector<google::protobuf::FileDescriptorProto>& files,
    std::vector<std::string>* warnings);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_REPAIR_H_
