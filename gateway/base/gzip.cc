#include "gateway/base/gzip.h"

#include <zlib.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

// zlib's window bits: 15, and 16 more for gzip's header and trailer.
constexpr int kGzipWindowBits = 15 + 16;
constexpr std::size_t kMinChunkBytes = 1024;

Bytef* In(absl::string_view bytes) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
}
Bytef* Out(std::string& bytes, std::size_t from) {
  return reinterpret_cast<Bytef*>(bytes.data() + from);
}

}  // namespace

std::string GzipCompress(absl::string_view bytes) {
  z_stream stream = {};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindowBits,
                   8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return "";
  }
  std::string compressed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = In(bytes);
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = Out(compressed, 0);
  stream.avail_out = static_cast<uInt>(compressed.size());
  const int result = deflate(&stream, Z_FINISH);
  compressed.resize(result == Z_STREAM_END ? stream.total_out : 0);
  deflateEnd(&stream);
  return compressed;
}

absl::StatusOr<std::string> GzipDecompress(absl::string_view bytes,
                                           std::size_t max_bytes) {
  z_stream stream = {};
  if (inflateInit2(&stream, kGzipWindowBits) != Z_OK) {
    return absl::InternalError("zlib cannot be set up");
  }
  stream.next_in = In(bytes);
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string plain;
  std::size_t size = 0;
  int result = Z_OK;
  // One byte beyond the limit is asked for, so that it shows.
  while (result == Z_OK && size <= max_bytes) {
    plain.resize(std::min(
        max_bytes + 1, std::max({2 * size, 2 * bytes.size(), kMinChunkBytes})));
    stream.next_out = Out(plain, size);
    stream.avail_out = static_cast<uInt>(plain.size() - size);
    result = inflate(&stream, Z_NO_FLUSH);
    size = plain.size() - stream.avail_out;
  }
  const bool whole = result == Z_STREAM_END && stream.avail_in == 0;
  inflateEnd(&stream);
  if (size > max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "Received message larger than max (more than ", max_bytes, " bytes)"));
  }
  if (!whole) {
    return absl::InternalError("message that is not gzip");
  }
  plain.resize(size);
  return plain;
}

}  // namespace headgate
