#ifndef CLIENT_FAILURE_H_
#define CLIENT_FAILURE_H_

#include <string>
#include <variant>

namespace headgate {

// Why a client has no WebSocket, or has it no longer.
struct Refused {  // By an HTTP response other than 101.
  int http = 0;
  std::string body;
  std::string retry_after = {};  // The header of that name.
};
struct Unreachable {  // Before there was a WebSocket.
  std::string why;
};
struct Lost {  // Without a Close frame.
  std::string why;
};
using ClientFailure = std::variant<Refused, Unreachable, Lost>;

}  // namespace headgate

#endif  // CLIENT_FAILURE_H_
