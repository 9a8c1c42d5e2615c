#ifndef CLIENT_HTTP_RESPONSES_H_
#define CLIENT_HTTP_RESPONSES_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headgate {

// The responses on a connection of HTTP/1.1 to requests (other than HEAD) that
// were sent one after the other.
//
// Thread: not thread-safe. No I/O.
class HttpResponses {
 public:
  struct Response {
    int http_status = 0;
    std::string grpc_status;  // The header of that name; empty: none.
    std::string body;
  };

  HttpResponses();
  ~HttpResponses();

  void Feed(absl::string_view bytes);
  // The next one; nullopt while it is incomplete. INVALID_ARGUMENT: that is not
  // HTTP/1.1; then no more may be asked for.
  absl::StatusOr<std::optional<Response>> Next();

 private:
  struct Parser;

  std::string bytes_;  // Not parsed yet.
  std::unique_ptr<Parser> parser_;
};

}  // namespace headgate

#endif  // CLIENT_HTTP_RESPONSES_H_
