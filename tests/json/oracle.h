#ifndef TESTS_JSON_ORACLE_H_
#define TESTS_JSON_ORACLE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "gateway/schema/json_type.h"
#include "gateway/schema/schema.h"
#include "google/protobuf/message.h"

namespace headgate {

// The conversion of one type of generated code held against protobuf: its
// parser for bytes, its own conversion for JSON.
class JsonOracle {
 public:
  explicit JsonOracle(const google::protobuf::Message& prototype);

  // "" when what comes of it is right; else what is wrong.
  // Bytes are parsed by protobuf and must be the same message when their JSON
  // is read again.
  std::string CheckBytes(absl::string_view bytes, const JsonOptions& options);
  // Well-formed JSON that is taken must be what protobuf makes of it, where
  // that takes it.
  std::string CheckJson(absl::string_view json);

  // How many of those that were checked had a JSON form, or were taken.
  int converted() const { return converted_; }
  // How many were converted, and have a fault in what does not count: a oneof's
  // overtaken member, a map's overtaken entry.
  int unread() const { return unread_; }
  // How many were refused as malformed and protobuf parses: tags of more than
  // 32 bits.
  int stricter() const { return stricter_; }

 private:
  std::string Describe(const std::string& bytes) const;

  const google::protobuf::Message& prototype_;
  JsonTypes types_;
  int converted_ = 0;
  int unread_ = 0;
  int stricter_ = 0;
};

}  // namespace headgate

#endif  // TESTS_JSON_ORACLE_H_
