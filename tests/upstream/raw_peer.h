#ifndef TESTS_UPSTREAM_RAW_PEER_H_
#define TESTS_UPSTREAM_RAW_PEER_H_

#include <array>
#include <cstddef>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "absl/strings/str_cat.h"

namespace headgate {

// A server that takes one HTTP/2 connection, sends its SETTINGS (RFC 9113
// section 3.4), and then only takes: it acknowledges nothing and answers
// nothing. On the worker's own thread.
class RawPeer {
 public:
  explicit RawPeer(boost::asio::io_context& worker)
      : acceptor_(worker, {boost::asio::ip::address_v4::loopback(), 0}),
        socket_(worker) {
    acceptor_.async_accept(socket_, [this](auto error) {
      if (error) return;
      static const std::array<char, 9> kSettings = {0, 0, 0, 4, 0, 0, 0, 0, 0};
      boost::asio::write(socket_, boost::asio::buffer(kSettings), error);
      Read();
    });
  }

  std::string address() const {
    return absl::StrCat("127.0.0.1:", acceptor_.local_endpoint().port());
  }

  // What the DATA frames so far hold.
  std::string data() const {
    constexpr std::size_t kPreface = 24;
    constexpr std::size_t kHeader = 9;
    std::string data;
    std::size_t at = kPreface;
    while (at + kHeader <= taken_.size()) {
      const auto byte = [&](std::size_t i) {
        return static_cast<unsigned char>(taken_[at + i]);
      };
      const std::size_t length = byte(0) << 16 | byte(1) << 8 | byte(2);
      if (at + kHeader + length > taken_.size()) break;
      if (byte(3) == 0) data += taken_.substr(at + kHeader, length);
      at += kHeader + length;
    }
    return data;
  }

 private:
  void Read() {
    socket_.async_read_some(boost::asio::buffer(buffer_),
                            [this](auto error, std::size_t size) {
                              if (error) return;
                              taken_.append(buffer_.data(), size);
                              Read();
                            });
  }

  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::ip::tcp::socket socket_;
  std::array<char, 4096> buffer_;
  std::string taken_;
};

}  // namespace headgate

#endif  // TESTS_UPSTREAM_RAW_PEER_H_
