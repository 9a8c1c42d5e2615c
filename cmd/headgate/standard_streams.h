#ifndef CMD_HEADGATE_STANDARD_STREAMS_H_
#define CMD_HEADGATE_STANDARD_STREAMS_H_

namespace headgate {

// Opens /dev/null in the place of stdin, stdout and stderr where the process
// was started without them. Otherwise the next descriptor that it opens, a
// socket say, would be one of the three, and lines of the log would be written
// to it. Safe before main: calls nothing but the system.
void OpenStandardStreams();

}  // namespace headgate

#endif  // CMD_HEADGATE_STANDARD_STREAMS_H_
