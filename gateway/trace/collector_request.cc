#include "gateway/trace/collector_request.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/base/version.h"

namespace headgate {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Error = boost::system::error_code;

namespace {

constexpr auto kPatience = std::chrono::seconds(5);
constexpr std::uint32_t kMostHeadBytes = 16 * 1024;
constexpr std::uint64_t kMostBodyBytes = 64 * 1024;

}  // namespace

// A pending operation keeps it alive.
class CollectorRequest::Exchange final
    : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(asio::io_context& control, const CollectorUrl& url, std::string body,
           std::function<void(absl::Status)> done)
      : done_(std::move(done)),
        resolver_(control),
        stream_(control),
        timer_(control),
        request_(http::verb::post, url.target, 11, std::move(body)) {
    request_.set(http::field::host, url.authority);
    request_.set(http::field::user_agent, absl::StrCat("headgate/", kVersion));
    request_.set(http::field::content_type, "application/json");
    request_.keep_alive(false);
    request_.prepare_payload();
    parser_.header_limit(kMostHeadBytes);
    parser_.body_limit(kMostBodyBytes);
  }

  void Start(const CollectorUrl& url) {
    timer_.expires_after(kPatience);
    timer_.async_wait([self = shared_from_this()](Error cancelled) {
      if (!cancelled) self->Finish(absl::DeadlineExceededError("no response"));
    });
    resolver_.async_resolve(
        url.host, url.port,
        [self = shared_from_this()](Error error, auto addresses) {
          if (self->Failed(error)) return;
          self->Connect(std::move(addresses));
        });
  }

  void Abort() {
    done_ = nullptr;
    Close();
  }

 private:
  void Connect(asio::ip::tcp::resolver::results_type addresses) {
    stream_.async_connect(addresses,
                          [self = shared_from_this()](Error error, auto&&) {
                            if (!self->Failed(error)) self->Send();
                          });
  }

  void Send() {
    http::async_write(stream_, request_,
                      [self = shared_from_this()](Error error, std::size_t) {
                        if (!self->Failed(error)) self->Receive();
                      });
  }

  void Receive() {
    http::async_read(stream_, buffer_, parser_,
                     [self = shared_from_this()](Error error, std::size_t) {
                       if (!self->Failed(error)) self->Judge();
                     });
  }

  void Judge() {
    const unsigned status = parser_.get().result_int();
    if (status / 100 == 2) return Finish(absl::OkStatus());
    Finish(absl::UnavailableError(absl::StrCat("HTTP status ", status)));
  }

  // Whether nothing is to follow: an operation failed, or it is over.
  bool Failed(Error error) {
    if (done_ == nullptr) return true;
    if (error) Finish(absl::UnavailableError(error.message()));
    return static_cast<bool>(error);
  }

  void Finish(absl::Status status) {
    if (done_ == nullptr) return;
    const auto done = std::exchange(done_, nullptr);
    Close();
    done(std::move(status));
  }

  void Close() {
    timer_.cancel();
    resolver_.cancel();
    Error ignored;
    stream_.socket().close(ignored);
  }

  std::function<void(absl::Status)> done_;  // Null: it is over.
  asio::ip::tcp::resolver resolver_;
  beast::tcp_stream stream_;
  asio::steady_timer timer_;
  http::request<http::string_body> request_;
  http::response_parser<http::string_body> parser_;
  beast::flat_buffer buffer_{kMostHeadBytes + kMostBodyBytes};
};

CollectorRequest::CollectorRequest(asio::io_context& control,
                                   const CollectorUrl& url, std::string body,
                                   std::function<void(absl::Status)> done)
    : exchange_(std::make_shared<Exchange>(control, url, std::move(body),
                                           std::move(done))) {
  exchange_->Start(url);
}

CollectorRequest::~CollectorRequest() { exchange_->Abort(); }

}  // namespace headgate
