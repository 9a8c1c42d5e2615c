#ifndef GATEWAY_SCHEMA_EDITIONS_H_
#define GATEWAY_SCHEMA_EDITIONS_H_

#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {

// Translates files of an edition (protobuf.dev/editions), which versions of the
// library before 27 do not know, to proto2: required fields, packed lists and
// delimited messages (groups) are what their features say. What proto2 cannot
// express, implicit presence and open enums, is noted in the options of the
// field or enum, for the functions below. proto3 files that import them are
// translated too, as a proto3 message cannot have a proto2 enum.
//
// Does nothing where the library knows editions. Safe for any thread.
void TranslateEditions(
    std::vector<google::protobuf::FileDescriptorProto>& files);

// Whether a singular field is either set or has its default.
bool HasPresence(const google::protobuf::FieldDescriptor& field);

// Whether only numbers with a name are values of the enum.
bool IsClosed(const google::protobuf::EnumDescriptor& type);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_EDITIONS_H_
