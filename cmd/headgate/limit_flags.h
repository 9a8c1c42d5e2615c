#ifndef CMD_HEADGATE_LIMIT_FLAGS_H_
#define CMD_HEADGATE_LIMIT_FLAGS_H_

#include "cmd/headgate/settings_flags.h"

namespace headgate {

// Flags of how much, how often and how long.
void AddLimitFlags(SettingsFlags& add);

}  // namespace headgate

#endif  // CMD_HEADGATE_LIMIT_FLAGS_H_
