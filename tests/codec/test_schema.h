#ifndef TESTS_CODEC_TEST_SCHEMA_H_
#define TESTS_CODEC_TEST_SCHEMA_H_

#include <memory>

#include "gateway/schema/schema.h"

namespace headgate {

// test.Node {string name; int32 n; repeated Node kids; map<string, Node>
// by_name; Color color; int64 big_number; google.protobuf.Any any} and
// test.Nodes: Unary, Server, Client and Bidi from Node to Node, Words of
// StringValue, Numbers of Int32Value, Values of google.protobuf.Value.
std::shared_ptr<const Schema> TestSchema();

}  // namespace headgate

#endif  // TESTS_CODEC_TEST_SCHEMA_H_
