#ifndef CMD_HEADGATE_DIAL_TEXT_H_
#define CMD_HEADGATE_DIAL_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace headgate {

// What a peer said, made harmless for a terminal: control characters and
// those of writing direction become "\x1b", "\u202e" and the like, tabs and
// newlines stay, what is not UTF-8 becomes '?'.
std::string ForTerminal(absl::string_view text);

// The same without newlines either.
std::string OneLine(absl::string_view text);

// Whether `bytes` is UTF-8 without any ControlCharacter but tabs: what can
// stand in a line as it is.
bool IsPrintableLine(absl::string_view bytes);

}  // namespace headgate

#endif  // CMD_HEADGATE_DIAL_TEXT_H_
