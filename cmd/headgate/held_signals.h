#ifndef CMD_HEADGATE_HELD_SIGNALS_H_
#define CMD_HEADGATE_HELD_SIGNALS_H_

namespace headgate {

// SIGTERM, SIGINT and SIGHUP are held, so that those which arrive while a
// command starts are pending until it can handle them, and do not end the
// process by their default action.
//
// Thread: the main thread. Threads that it starts in between inherit the mask,
// so that the kernel delivers these signals to the main thread alone.

// Blocks the signals. Safe before main: calls nothing but the system.
void HoldSignals();

// Unblocks them. Those that are pending are delivered at once.
void ReleaseSignals();

// Whether SIGTERM or SIGINT has arrived since HoldSignals, and is pending.
bool IsStopPending();

}  // namespace headgate

#endif  // CMD_HEADGATE_HELD_SIGNALS_H_
