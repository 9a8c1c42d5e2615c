#ifndef GATEWAY_HUB_SUBJECTS_H_
#define GATEWAY_HUB_SUBJECTS_H_

#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace headgate {

// The subjects of NATS that gateways with one prefix use.
//
// A subject is tokens between dots; "*" and ">" are wildcards, and white space
// ends it on the wire. A name in it is escaped byte by byte outside
// [A-Za-z0-9_-], as "=2E", so that it is always exactly one token: nobody's
// name reaches a subject as anything else.
class HubSubjects {
 public:
  explicit HubSubjects(std::string prefix) : prefix_(std::move(prefix)) {}

  // Publications to members of one group, or sessions of one user, alone.
  std::string Group(absl::string_view name) const;
  std::string User(absl::string_view name) const;
  // Publications to one group that are stored, and the same as they come back,
  // with their offsets.
  std::string Stored(absl::string_view group) const;
  std::string Restored(absl::string_view group) const;
  // Publications and questions to all gateways.
  std::string All() const;
  // To one process: replies to its questions.
  std::string Instance(absl::string_view instance) const;
  std::string Beat() const;

  // "": the empty name, which is one token too, is "=".
  static std::string Escape(absl::string_view name);

 private:
  const std::string prefix_;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_SUBJECTS_H_
