#include "cmd/headgate/dial/output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "cmd/headgate/dial/text.h"

namespace headgate {

bool WriteOut(int fd, absl::string_view text) {
  std::string escaped;
  if (isatty(fd) != 0) {
    escaped = ForTerminal(text);
    text = escaped;
  }
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(written);
    } else if (errno == EAGAIN) {
      // Somebody has made the descriptor non-blocking.
      pollfd writable = {fd, POLLOUT, 0};
      poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

void Tell(absl::string_view text) {
  WriteOut(STDERR_FILENO, absl::StrCat("headgate dial: ", text, "\n"));
}

}  // namespace headgate
