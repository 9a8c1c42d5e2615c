#ifndef TESTS_SCHEMA_AS_EDITION_H_
#define TESTS_SCHEMA_AS_EDITION_H_

#include "google/protobuf/descriptor.pb.h"

namespace headgate::testing {

// The file in edition 2023, with the features that proto2 or proto3 stand for
// (protobuf.dev/editions/features): its messages are the same in JSON and on
// the wire.
google::protobuf::FileDescriptorProto AsEdition2023(
    google::protobuf::FileDescriptorProto file);

}  // namespace headgate::testing

#endif  // TESTS_SCHEMA_AS_EDITION_H_
