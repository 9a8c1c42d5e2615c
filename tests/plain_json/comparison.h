#ifndef TESTS_PLAIN_JSON_COMPARISON_H_
#define TESTS_PLAIN_JSON_COMPARISON_H_

#include <string>

#include "absl/strings/string_view.h"
#include "gateway/schema/json_converter.h"
#include "gateway/schema/plain_type.h"
#include "gateway/schema/schema.h"
#include "google/protobuf/descriptor.h"

namespace headgate {

// The plain conversion of one type held against protobuf's. The type is one of
// generated code.
class PlainJsonComparison {
 public:
  explicit PlainJsonComparison(const google::protobuf::Descriptor& type);

  enum class Outcome {
    kLeft,       // The plain conversion does not take it.
    kSame,       // It does, and so does protobuf's, to the same end.
    kDifferent,  // difference() says how.
  };

  // `json` is well-formed. The same end: the same message.
  Outcome FromJson(absl::string_view json);

  // The same end: the same text.
  Outcome ToJson(absl::string_view message, const JsonOptions& options);

  const std::string& difference() const { return difference_; }

  // What the plain conversion makes of it; "(left)" if it does not take it.
  std::string PlainText(absl::string_view message, const JsonOptions& options);

 private:
  Outcome Differ(absl::string_view input, absl::string_view plain,
                 absl::string_view converter);

  const google::protobuf::Descriptor& type_;
  PlainTypes types_;
  JsonConverter converter_;
  std::string difference_;
};

}  // namespace headgate

#endif  // TESTS_PLAIN_JSON_COMPARISON_H_
