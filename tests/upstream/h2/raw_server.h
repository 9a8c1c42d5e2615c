#ifndef TESTS_UPSTREAM_H2_RAW_SERVER_H_
#define TESTS_UPSTREAM_H2_RAW_SERVER_H_

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/message_framing.h"
#include "gateway/upstream/h2/target.h"
#include "tests/h2/frames.h"
#include "tests/testing/tls_server.h"

namespace headgate {

namespace h2 {

inline std::string Framed(const std::string& message, bool compressed = false) {
  const MessagePrefix prefix = MakeMessagePrefix(compressed, message.size());
  return std::string(prefix.begin(), prefix.end()) + message;
}
inline std::string Message(int id, const std::string& message) {
  return Data(id, Framed(message));
}

}  // namespace h2

// A server that takes connections, in plaintext or with TLS, greets each with
// the same bytes, acknowledges SETTINGS (unless it has no greeting) and notes
// what comes; what else it says is the test's to choose. On the worker's own
// thread.
class RawServer {
 public:
  struct Frame {
    int type = 0;
    int flags = 0;
    int id = 0;
    std::string payload;
    h2::Fields fields;  // Of HEADERS.
  };

  // A connection that says so many bytes, on the wire, and no more.
  struct Limit {
    std::size_t bytes = 0;
    bool closes = true;  // Then it closes; else it is silent.
  };

  class Connection {
   public:
    Connection(boost::asio::generic::stream_protocol::socket socket,
               bool silent, std::unique_ptr<TlsServer> tls,
               std::optional<Limit> limit)
        : socket_(std::move(socket)),
          silent_(silent),
          tls_(std::move(tls)),
          limit_(limit) {
      nghttp2_hd_inflate_new(&inflater_);
      boost::system::error_code ignored;  // A file has none.
      socket_.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
      Read();
    }
    ~Connection() { nghttp2_hd_inflate_del(inflater_); }

    void Send(const std::string& bytes) {
      if (tls_ == nullptr) return SendRaw(bytes);
      to_send_ += bytes;
      if (!tls_->established()) return;
      tls_->Write(std::exchange(to_send_, std::string()));
      SendRaw(tls_->TakeOutput());
    }
    // Past TLS.
    void SendRaw(const std::string& bytes) {
      const std::size_t size =
          limit_ ? std::min(limit_->bytes, bytes.size()) : bytes.size();
      boost::system::error_code ignored;
      boost::asio::write(socket_, boost::asio::buffer(bytes, size), ignored);
      if (!limit_) return;
      limit_->bytes -= size;
      if (limit_->bytes == 0 && limit_->closes) Close();
    }
    void Close() {
      boost::system::error_code ignored;
      socket_.close(ignored);
    }

    // It takes nothing more, and its other side stays open.
    void StopReading() { socket_.shutdown(socket_.shutdown_receive); }

    const std::deque<Frame>& frames() const { return frames_; }
    bool ended() const { return ended_; }
    // Null in plaintext.
    TlsServer* tls() { return tls_.get(); }

    int Count(int type, int id = -1) const {
      int count = 0;
      for (const Frame& frame : frames_) {
        count += frame.type == type && (id == -1 || frame.id == id);
      }
      return count;
    }
    // What the DATA of a stream holds.
    std::string DataOf(int id) const {
      std::string data;
      for (const Frame& frame : frames_) {
        if (frame.type == NGHTTP2_DATA && frame.id == id) data += frame.payload;
      }
      return data;
    }
    bool HalfClosed(int id) const {
      for (const Frame& frame : frames_) {
        if (frame.id == id && frame.type <= 1 && (frame.flags & 1) != 0) {
          return true;
        }
      }
      return false;
    }
    // The code of a stream's RST_STREAM; -1 when there is none.
    std::int64_t ResetOf(int id) const {
      for (const Frame& frame : frames_) {
        if (frame.type == NGHTTP2_RST_STREAM && frame.id == id) {
          return NumberAt(frame.payload);
        }
      }
      return -1;
    }
    // The bytes that all WINDOW_UPDATEs of a stream have given.
    std::int64_t WindowGiven(int id) const {
      std::int64_t sum = 0;
      for (const Frame& frame : frames_) {
        if (frame.type == NGHTTP2_WINDOW_UPDATE && frame.id == id) {
          sum += NumberAt(frame.payload);
        }
      }
      return sum;
    }

   private:
    static std::int64_t NumberAt(const std::string& payload) {
      std::int64_t number = 0;
      for (const char c : payload.substr(0, 4)) {
        number = number << 8 | static_cast<unsigned char>(c);
      }
      return number;
    }

    void Read() {
      socket_.async_read_some(
          boost::asio::buffer(buffer_),
          [this, alive = std::weak_ptr<void>(alive_)](auto error,
                                                      std::size_t size) {
            // Also what had come before is of no use to one that is gone.
            if (alive.expired()) return;
            if (error == boost::asio::error::operation_aborted) return;
            if (error) {
              ended_ = true;
              return;
            }
            Take({buffer_.data(), size});
            Parse();
            Read();
          });
    }
    void Take(const std::string& bytes) {
      if (tls_ == nullptr) {
        taken_ += bytes;
        return;
      }
      tls_->Feed(bytes);
      taken_ += tls_->TakeReceived();
      SendRaw(tls_->TakeOutput());
      Send("");  // What waited for the end of the handshake.
    }
    void Parse() {
      constexpr std::size_t kHead = 9;
      if (!preface_seen_) {
        if (taken_.size() < NGHTTP2_CLIENT_MAGIC_LEN) return;
        taken_.erase(0, NGHTTP2_CLIENT_MAGIC_LEN);
        preface_seen_ = true;
      }
      while (taken_.size() >= kHead) {
        const auto size = static_cast<std::size_t>(NumberAt(taken_) >> 8);
        if (taken_.size() < kHead + size) return;
        Frame frame;
        frame.type = static_cast<unsigned char>(taken_[3]);
        frame.flags = static_cast<unsigned char>(taken_[4]);
        frame.id = static_cast<int>(NumberAt(taken_.substr(5, 4)));
        frame.payload = taken_.substr(kHead, size);
        taken_.erase(0, kHead + size);
        if (frame.type == NGHTTP2_HEADERS) Inflate(frame);
        if (frame.type == NGHTTP2_SETTINGS && frame.flags == 0 && !silent_) {
          Send(h2::Frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, ""));
        }
        frames_.push_back(std::move(frame));
      }
    }
    void Inflate(Frame& frame) {
      const auto* in =
          reinterpret_cast<const std::uint8_t*>(frame.payload.data());
      std::size_t left = frame.payload.size();
      for (;;) {
        nghttp2_nv field;
        int flags = 0;
        const ssize_t used =
            nghttp2_hd_inflate_hd2(inflater_, &field, &flags, in, left, 1);
        if (used < 0) return;
        in += used;
        left -= static_cast<std::size_t>(used);
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
          frame.fields.emplace_back(
              std::string(reinterpret_cast<char*>(field.name), field.namelen),
              std::string(reinterpret_cast<char*>(field.value),
                          field.valuelen));
        }
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
          nghttp2_hd_inflate_end_headers(inflater_);
          return;
        }
      }
    }

    boost::asio::generic::stream_protocol::socket socket_;
    const bool silent_;
    std::unique_ptr<TlsServer> tls_;
    std::optional<Limit> limit_;
    std::string to_send_;
    nghttp2_hd_inflater* inflater_ = nullptr;
    std::array<char, 16'384> buffer_;
    std::string taken_;
    bool preface_seen_ = false;
    bool ended_ = false;
    std::deque<Frame> frames_;
    const std::shared_ptr<void> alive_ = std::make_shared<bool>();
  };

  explicit RawServer(boost::asio::io_context& worker,
                     std::string greeting = h2::Settings(),
                     const H2Endpoint& at = boost::asio::ip::tcp::endpoint(
                         boost::asio::ip::address_v4::loopback(), 0))
      : acceptor_(worker, at), greeting_(std::move(greeting)) {
    Accept();
  }

  std::string address() const {
    return FormatEndpoint(acceptor_.local_endpoint());
  }
  // Whether connections to come acknowledge SETTINGS by themselves.
  void set_acknowledges(bool acknowledges) { acknowledges_ = acknowledges; }
  void set_greeting(std::string greeting) { greeting_ = std::move(greeting); }
  // From now on connections speak TLS.
  void set_tls(TlsTestServerOptions options) {
    tls_options_ = std::move(options);
  }
  void set_limit(std::optional<Limit> limit) { limit_ = limit; }
  std::deque<Connection>& connections() { return connections_; }
  // How many streams were opened on all connections.
  int StreamsOpened() const {
    int count = 0;
    for (const Connection& one : connections_) {
      count += one.Count(NGHTTP2_HEADERS);
    }
    return count;
  }
  void Close() { acceptor_.close(); }

 private:
  void Accept() {
    acceptor_.async_accept([this, alive = std::weak_ptr<void>(alive_)](
                               auto error, auto socket) {
      if (error || alive.expired()) return;
      connections_.emplace_back(
          std::move(socket), greeting_.empty() || !acknowledges_,
          tls_options_ ? std::make_unique<TlsServer>(*tls_options_) : nullptr,
          limit_);
      connections_.back().Send(greeting_);
      Accept();
    });
  }

  boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>
      acceptor_;
  std::string greeting_;
  bool acknowledges_ = true;
  std::optional<TlsTestServerOptions> tls_options_;
  std::optional<Limit> limit_;
  std::deque<Connection> connections_;
  const std::shared_ptr<void> alive_ = std::make_shared<bool>();
};

}  // namespace headgate

#endif  // TESTS_UPSTREAM_H2_RAW_SERVER_H_
