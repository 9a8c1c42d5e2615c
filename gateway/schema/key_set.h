#ifndef GATEWAY_SCHEMA_KEY_SET_H_
#define GATEWAY_SCHEMA_KEY_SET_H_

#include <algorithm>
#include <cstddef>

#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"

namespace headgate {

// The keys of one object that are not fields. Views of them are kept.
class KeySet {
 public:
  // False if it is there already.
  bool Insert(absl::string_view key) {
    if (many_.empty()) {
      if (std::find(few_.begin(), few_.end(), key) != few_.end()) return false;
      few_.push_back(key);
      if (few_.size() == kFew) many_.insert(few_.begin(), few_.end());
      return true;
    }
    return many_.insert(key).second;
  }

 private:
  static constexpr std::size_t kFew = 8;
  absl::InlinedVector<absl::string_view, kFew> few_;
  absl::flat_hash_set<absl::string_view> many_;
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_KEY_SET_H_
