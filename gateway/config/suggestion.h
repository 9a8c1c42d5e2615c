#ifndef GATEWAY_CONFIG_SUGGESTION_H_
#define GATEWAY_CONFIG_SUGGESTION_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace headgate {

// "; did you mean 'upstream'?" for the candidate that `typed` is a slip of the
// pen away from; empty when there is none.
std::string DidYouMean(absl::string_view typed,
                       const std::vector<std::string>& candidates);

}  // namespace headgate

#endif  // GATEWAY_CONFIG_SUGGESTION_H_
