#ifndef TESTS_JSON_RANDOM_MESSAGE_H_
#define TESTS_JSON_RANDOM_MESSAGE_H_

#include <random>

#include "google/protobuf/message.h"

namespace headgate {

// Sets some fields of `message` that have a form in JSON, deeper messages
// included; google.protobuf.Any is left out.
void FillAtRandom(google::protobuf::Message& message, std::mt19937_64& random);

}  // namespace headgate

#endif  // TESTS_JSON_RANDOM_MESSAGE_H_
