#ifndef CMD_HEADGATE_DIAL_OUTPUT_H_
#define CMD_HEADGATE_DIAL_OUTPUT_H_

#include "absl/strings/string_view.h"

namespace headgate {

// Writes all of `text` to the descriptor, at once and unbuffered; control
// characters are escaped when it is a terminal. Blocks until it is written;
// false when nobody takes it any more. SIGPIPE must be ignored.
bool WriteOut(int fd, absl::string_view text);

// One line to standard error: "headgate dial: `text`".
void Tell(absl::string_view text);

}  // namespace headgate

#endif  // CMD_HEADGATE_DIAL_OUTPUT_H_
