#ifndef GATEWAY_CONSOLE_ASSETS_H_
#define GATEWAY_CONSOLE_ASSETS_H_

#include "absl/strings/string_view.h"

namespace headgate {

// The file of web/console with that name ("console.js"), as it was when the
// gateway was built; null when there is none.
struct ConsoleAsset {
  absl::string_view name;
  absl::string_view text;
};
const ConsoleAsset* FindConsoleAsset(absl::string_view name);

}  // namespace headgate

#endif  // GATEWAY_CONSOLE_ASSETS_H_
