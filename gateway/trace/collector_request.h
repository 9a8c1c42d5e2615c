#ifndef GATEWAY_TRACE_COLLECTOR_REQUEST_H_
#define GATEWAY_TRACE_COLLECTOR_REQUEST_H_

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "absl/status/status.h"
#include "gateway/config/collector_url.h"

namespace headgate {

// One POST to a collector, on a connection of its own, within 5 s.
//
// Thread: the control thread's.
class CollectorRequest {
 public:
  // `done`: OK for a response of class 2xx; else why not. Comes once, from the
  // event loop, unless the request was destroyed before.
  CollectorRequest(boost::asio::io_context& control, const CollectorUrl& url,
                   std::string body, std::function<void(absl::Status)> done);
  // Closes the connection.
  ~CollectorRequest();

 private:
  class Exchange;
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace headgate

#endif  // GATEWAY_TRACE_COLLECTOR_REQUEST_H_
