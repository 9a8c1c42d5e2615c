#ifndef TESTS_UPSTREAM_BLACK_HOLE_H_
#define TESTS_UPSTREAM_BLACK_HOLE_H_

#include <poll.h>
#include <sys/socket.h>

#include <deque>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "absl/strings/str_cat.h"

namespace headgate {

// An address that answers nothing, as a machine does that is switched off: a
// listener that takes no connection and has room for no other to wait.
class BlackHole {
 public:
  explicit BlackHole(boost::asio::io_context& worker) : acceptor_(worker) {
    using boost::asio::ip::tcp;
    acceptor_.open(tcp::v4());
    acceptor_.bind({boost::asio::ip::address_v4::loopback(), 0});
    acceptor_.listen(0);
    // Over loopback a connection is made within the call, or not at all.
    constexpr int kMost = 20;
    bool taken = true;
    while (taken && waiting_.size() < kMost) {
      tcp::socket& socket = waiting_.emplace_back(worker, tcp::v4());
      socket.native_non_blocking(true);
      const tcp::endpoint to = acceptor_.local_endpoint();
      taken = connect(socket.native_handle(), to.data(),
                      static_cast<socklen_t>(to.size())) == 0;
      if (taken) continue;
      pollfd state = {socket.native_handle(), POLLOUT, 0};
      taken = poll(&state, 1, 0) > 0;
    }
  }

  std::string address() const {
    return absl::StrCat("127.0.0.1:", acceptor_.local_endpoint().port());
  }

 private:
  boost::asio::ip::tcp::acceptor acceptor_;
  std::deque<boost::asio::ip::tcp::socket> waiting_;
};

}  // namespace headgate

#endif  // TESTS_UPSTREAM_BLACK_HOLE_H_
