#ifndef TESTS_FUZZ_HTTP2_CLIENT_FRAMES_H_
#define TESTS_FUZZ_HTTP2_CLIENT_FRAMES_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/fuzz/client_frame.h"
#include "tests/fuzz/input.h"

namespace headgate {

// What a client of HTTP/2 sends: well-formed requests, WebSockets and data,
// which a fuzzer would not find by itself, and frames of any bytes.
class Http2ClientFrames {
 public:
  static constexpr absl::string_view kPreface =
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

  static std::string Frame(int type, int flags, std::uint32_t stream,
                           absl::string_view payload) {
    std::string frame = Number(payload.size(), 3);
    frame += static_cast<char>(type);
    frame += static_cast<char>(flags);
    return absl::StrCat(frame, Number(stream, 4), payload);
  }

  // The first byte says which of them, and the next of what stream.
  std::string Next(FuzzInput& input) {
    const int kind = input.Byte();
    const std::uint32_t stream = input.Byte() % 16;
    const int end = kind & 0x80 ? kEndStream : 0;
    switch (kind & 7) {
      case 0: {
        const int type = input.Byte() % 12;
        const int flags = input.Byte();
        return Frame(type, flags, stream, input.Bytes(input.Byte()));
      }
      case 1:
        return Request(input.Byte(), end);
      case 2:
        return Open({{":method", "CONNECT"},
                     {":protocol", "websocket"},
                     {":scheme", "https"},
                     {":authority", "h"},
                     {":path", Path(input.Byte())},
                     {"sec-websocket-version", "13"}},
                    end);
      case 3:
        return Frame(kData, end, stream, NextClientFrame(input));
      case 4:
        return Frame(kData, end, stream, input.Bytes(input.Byte()));
      case 5:
        return Frame(kRstStream, 0, stream, Number(input.Byte(), 4));
      case 6:
        return Frame(kWindowUpdate, 0, stream,
                     Number(std::size_t{1} << (input.Byte() % 31), 4));
      default:  // The window of a stream at first.
        return Frame(kSettings, 0, 0,
                     Number(4, 2) + Number(input.Byte() * 16u, 4));
    }
  }

 private:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  static constexpr int kData = 0;
  static constexpr int kHeaders = 1;
  static constexpr int kRstStream = 3;
  static constexpr int kSettings = 4;
  static constexpr int kWindowUpdate = 8;
  static constexpr int kEndStream = 1;
  static constexpr int kEndHeaders = 4;

  static std::string Number(std::size_t value, int bytes) {
    std::string number;
    for (int i = bytes - 1; i >= 0; --i) {
      number += static_cast<char>(value >> (8 * i) & 0xFF);
    }
    return number;
  }

  static std::string Path(int which) {
    constexpr const char* kPaths[] = {
        "/raw",    "/packets", "/game", "/told", "/v1/shelves/a/books/b",
        "/nothing"};
    return kPaths[which % std::size(kPaths)];
  }

  std::string Request(int which, int end) {
    constexpr const char* kMethods[] = {"GET", "POST", "HEAD", "OPTIONS"};
    return Open(
        {{":method", kMethods[which >> 4 & 3]},
         {":scheme", "http"},
         {":authority", "h"},
         {":path", Path(which & 15)},
         {"content-type", which & 64 ? "application/grpc" : "application/json"},
         {"te", "trailers"}},
        end);
  }

  // Fields as literals without an index (RFC 7541 section 6.2.2).
  std::string Open(const Fields& fields, int end) {
    std::string block;
    for (const auto& [name, value] : fields) {
      block += '\0';
      for (const std::string& text : {name, value}) {
        absl::StrAppend(&block, Number(text.size(), 1), text);
      }
    }
    const std::uint32_t stream = std::exchange(next_stream_, next_stream_ + 2);
    return Frame(kHeaders, kEndHeaders | end, stream, block);
  }

  std::uint32_t next_stream_ = 1;
};

}  // namespace headgate

#endif  // TESTS_FUZZ_HTTP2_CLIENT_FRAMES_H_
