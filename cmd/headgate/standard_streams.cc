#include "cmd/headgate/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

namespace headgate {

void OpenStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) != -1) continue;
    // Gets the lowest number that is free, which is this one.
    open("/dev/null", O_RDWR);
  }
}

}  // namespace headgate
