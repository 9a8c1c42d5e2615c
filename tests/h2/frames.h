#ifndef TESTS_H2_FRAMES_H_
#define TESTS_H2_FRAMES_H_

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

// HTTP/2 by hand (RFC 9113), for what no server would send.
namespace headgate::h2 {

using Fields = std::vector<std::pair<std::string, std::string>>;

inline std::string Number(std::uint32_t value, int bytes = 4) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    text.push_back(static_cast<char>(value >> shift & 0xFF));
  }
  return text;
}

inline std::string Frame(int type, int flags, int id,
                         const std::string& payload) {
  return absl::StrCat(Number(static_cast<std::uint32_t>(payload.size()), 3),
                      Number(type, 1), Number(flags, 1), Number(id), payload);
}

// HPACK: literals without indexing (RFC 7541 section 6.2.2).
inline std::string Literal(const std::string& text) {
  if (text.size() < 127) {
    return Number(static_cast<std::uint32_t>(text.size()), 1) + text;
  }
  std::string length(1, '\x7F');
  std::size_t rest = text.size() - 127;
  for (; rest >= 128; rest /= 128) length.push_back(rest % 128 + 128);
  length.push_back(static_cast<char>(rest));
  return length + text;
}
inline std::string Encode(const Fields& fields) {
  std::string block;
  for (const auto& [name, value] : fields) {
    absl::StrAppend(&block, std::string(1, '\0'), Literal(name),
                    Literal(value));
  }
  return block;
}

inline std::string Headers(int id, const Fields& fields,
                           bool end_stream = false) {
  return Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | (end_stream ? 1 : 0),
               id, Encode(fields));
}
inline std::string Head(int id) {
  return Headers(id,
                 {{":status", "200"}, {"content-type", "application/grpc"}});
}
inline std::string Trailers(int id, const std::string& status = "0") {
  return Headers(id, {{"grpc-status", status}}, true);
}
inline std::string Data(int id, const std::string& bytes,
                        bool end_stream = false) {
  return Frame(NGHTTP2_DATA, end_stream ? 1 : 0, id, bytes);
}
inline std::string Reset(int id, std::uint32_t code) {
  return Frame(NGHTTP2_RST_STREAM, 0, id, Number(code));
}
inline std::string GoAway(int last_id, std::uint32_t code = 0) {
  return Frame(NGHTTP2_GOAWAY, 0, 0, Number(last_id) + Number(code));
}
inline std::string WindowUpdate(int id, std::uint32_t bytes) {
  return Frame(NGHTTP2_WINDOW_UPDATE, 0, id, Number(bytes));
}
inline std::string Settings(
    const std::vector<std::pair<int, std::uint32_t>>& entries = {}) {
  std::string payload;
  for (const auto& [id, value] : entries) {
    absl::StrAppend(&payload, Number(id, 2), Number(value));
  }
  return Frame(NGHTTP2_SETTINGS, 0, 0, payload);
}

}  // namespace headgate::h2

#endif  // TESTS_H2_FRAMES_H_
