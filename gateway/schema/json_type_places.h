#ifndef GATEWAY_SCHEMA_JSON_TYPE_PLACES_H_
#define GATEWAY_SCHEMA_JSON_TYPE_PLACES_H_

#include <cstddef>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace headgate {

// Where the members "@type" of a JSON text are, found in one pass over it
// however the objects nest.
class JsonTypePlaces {
 public:
  explicit JsonTypePlaces(absl::string_view json);

  // The offset of the value of the first "@type" of the object that begins at
  // `object`; 0 if it has none.
  std::size_t ValueOf(std::size_t object) const {
    const auto found = value_of_.find(object);
    return found == value_of_.end() ? 0 : found->second;
  }

 private:
  absl::flat_hash_map<std::size_t, std::size_t> value_of_;
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_JSON_TYPE_PLACES_H_
