#include "gateway/ws/deflate.h"

#include <zlib.h>

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace headgate::ws {
namespace {

constexpr int kMaxWindowBits = 15;
// zlib can inflate with a window of 8 bits, but not deflate.
constexpr int kMinOurWindowBits = 9;
constexpr int kMinTheirWindowBits = 8;
// zlib's memLevel: 5 takes 16 KiB. The default, 8, takes 128 KiB and makes
// messages less than 0.1 % smaller.
constexpr int kMemoryLevel = 5;
// What zlib's streams take beside the window, and beside the chains of
// positions that deflate has for it (2 bytes for each of its bytes); with the
// pages of these that are used in part.
constexpr std::size_t kDeflateBytes = 32 * 1024;
constexpr std::size_t kInflateBytes = 8 * 1024;
// The end of a sync flush, which senders leave out.
constexpr absl::string_view kTail("\x00\x00\xFF\xFF", 4);

Bytef* In(absl::string_view bytes) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
}

// One offer (section 7.1).
struct Offer {
  std::optional<int> server_window_bits;
  // Present: the client accepts a window size; 15 if it has named no limit.
  std::optional<int> client_window_bits;
  bool server_no_context_takeover = false;
  bool client_no_context_takeover = false;
};

// "8" to "15", without leading zeros.
std::optional<int> ParseWindowBits(absl::string_view value) {
  int bits = 0;
  if (value.empty() || value[0] == '0' || value.size() > 2 ||
      !std::all_of(value.begin(), value.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(value, &bits) || bits < kMinTheirWindowBits ||
      bits > kMaxWindowBits) {
    return std::nullopt;
  }
  return bits;
}

absl::string_view Unquoted(absl::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    return value.substr(1, value.size() - 2);
  }
  return value;
}

// Absent: not permessage-deflate, or an offer that must be declined.
std::optional<Offer> ParseOffer(absl::string_view text) {
  Offer offer;
  bool is_name = true;
  bool has_server_bits = false;
  for (absl::string_view part : absl::StrSplit(text, ';')) {
    part = absl::StripAsciiWhitespace(part);
    if (is_name) {
      if (!absl::EqualsIgnoreCase(part, "permessage-deflate")) {
        return std::nullopt;
      }
      is_name = false;
      continue;
    }
    const std::size_t equals = part.find('=');
    const bool has_value = equals != absl::string_view::npos;
    const absl::string_view name =
        absl::StripAsciiWhitespace(part.substr(0, equals));
    const absl::string_view value =
        has_value
            ? Unquoted(absl::StripAsciiWhitespace(part.substr(equals + 1)))
            : absl::string_view();
    const auto set_flag = [&](bool& flag) {
      return !has_value && !std::exchange(flag, true);
    };
    bool good = false;
    if (absl::EqualsIgnoreCase(name, "server_no_context_takeover")) {
      good = set_flag(offer.server_no_context_takeover);
    } else if (absl::EqualsIgnoreCase(name, "client_no_context_takeover")) {
      good = set_flag(offer.client_no_context_takeover);
    } else if (absl::EqualsIgnoreCase(name, "server_max_window_bits")) {
      offer.server_window_bits = ParseWindowBits(value);
      good = !std::exchange(has_server_bits, true) && offer.server_window_bits;
    } else if (absl::EqualsIgnoreCase(name, "client_max_window_bits")) {
      good = !offer.client_window_bits;
      offer.client_window_bits =
          has_value ? ParseWindowBits(value) : kMaxWindowBits;
      good = good && offer.client_window_bits;
    }
    if (!good) return std::nullopt;
  }
  if (offer.server_window_bits.value_or(kMaxWindowBits) < kMinOurWindowBits) {
    return std::nullopt;
  }
  return offer;
}

DeflateAgreement Accept(const Offer& offer,
                        const CompressionSettings& settings) {
  DeflateAgreement agreement;
  agreement.header = "permessage-deflate";
  agreement.server.window_bits =
      std::min(settings.server_max_window_bits,
               offer.server_window_bits.value_or(kMaxWindowBits));
  if (offer.server_window_bits ||
      agreement.server.window_bits < kMaxWindowBits) {
    absl::StrAppend(&agreement.header,
                    "; server_max_window_bits=", agreement.server.window_bits);
  }
  if (offer.client_window_bits) {
    agreement.client.window_bits =
        std::min(settings.client_max_window_bits, *offer.client_window_bits);
    if (agreement.client.window_bits < kMaxWindowBits) {
      absl::StrAppend(&agreement.header, "; client_max_window_bits=",
                      agreement.client.window_bits);
    }
  }
  agreement.server.no_context_takeover =
      settings.server_no_context_takeover || offer.server_no_context_takeover;
  if (agreement.server.no_context_takeover) {
    absl::StrAppend(&agreement.header, "; server_no_context_takeover");
  }
  agreement.client.no_context_takeover =
      settings.client_no_context_takeover || offer.client_no_context_takeover;
  if (agreement.client.no_context_takeover) {
    absl::StrAppend(&agreement.header, "; client_no_context_takeover");
  }
  return agreement;
}

}  // namespace

std::optional<DeflateAgreement> AgreeOnDeflate(
    const std::vector<absl::string_view>& offers,
    const CompressionSettings& settings) {
  for (const absl::string_view line : offers) {
    for (const absl::string_view text : absl::StrSplit(line, ',')) {
      const std::optional<Offer> offer = ParseOffer(text);
      if (!offer) continue;
      // A client that does not accept a window size uses 15 bits (section
      // 7.1.2.2), which the setting forbids.
      if (!offer->client_window_bits &&
          settings.client_max_window_bits < kMaxWindowBits) {
        continue;
      }
      return Accept(*offer, settings);
    }
  }
  return std::nullopt;
}

struct Deflater::Stream : z_stream {
  Stream() : z_stream() {}
  ~Stream() { deflateEnd(this); }
};

Deflater::Deflater(const DeflateSide& side, int level)
    : window_bits_(side.window_bits),
      level_(level),
      resets_(side.no_context_takeover) {}
Deflater::~Deflater() = default;

std::optional<std::string> Deflater::Deflate(absl::string_view message) {
  if (message.empty()) return std::nullopt;
  if (stream_ == nullptr) {
    auto stream = std::make_unique<Stream>();
    // Negative: no zlib header.
    if (deflateInit2(stream.get(), level_, Z_DEFLATED, -window_bits_,
                     kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK) {
      return std::nullopt;
    }
    stream_ = std::move(stream);
  }
  std::string out;
  // A flush adds at most 5 bytes; with one byte to spare zlib knows that it has
  // written all.
  out.resize(deflateBound(stream_.get(), message.size()) + 16);
  stream_->next_in = In(message);
  stream_->avail_in = static_cast<uInt>(message.size());
  stream_->next_out = reinterpret_cast<Bytef*>(out.data());
  stream_->avail_out = static_cast<uInt>(out.size());
  const int result = deflate(stream_.get(), Z_SYNC_FLUSH);
  out.resize(out.size() - stream_->avail_out);
  if (result != Z_OK || stream_->avail_in > 0 || !absl::EndsWith(out, kTail)) {
    // The peer never sees this message, so later ones must not refer to it.
    Release();
    return std::nullopt;
  }
  out.resize(out.size() - kTail.size());
  most_in_ = std::max<std::size_t>(most_in_, stream_->total_in);
  if (resets_) deflateReset(stream_.get());
  return out;
}

void Deflater::Release() {
  stream_.reset();
  most_in_ = 0;
}

// The window is kept twice, so that it need not be moved for each byte.
std::size_t Deflater::held_bytes() const {
  if (stream_ == nullptr) return 0;
  const std::size_t window = std::size_t{1} << window_bits_;
  return kDeflateBytes + std::min(most_in_, 2 * window) +
         2 * std::min(most_in_, window);
}

struct Inflater::Stream : z_stream {
  Stream() : z_stream() {}
  ~Stream() { inflateEnd(this); }
};

Inflater::Inflater(const DeflateSide& side)
    : window_bits_(side.window_bits), resets_(side.no_context_takeover) {}
Inflater::~Inflater() = default;

Inflater::Outcome Inflater::Inflate(absl::string_view bytes,
                                    std::size_t max_bytes, std::string& to) {
  if (stream_ == nullptr) {
    stream_ = std::make_unique<Stream>();
    if (inflateInit2(stream_.get(), -window_bits_) != Z_OK) {
      return Outcome::kBroken;
    }
  }
  stream_->next_in = In(bytes);
  stream_->avail_in = static_cast<uInt>(bytes.size());
  std::array<char, 16 * 1024> piece;
  for (;;) {
    stream_->next_out = reinterpret_cast<Bytef*>(piece.data());
    stream_->avail_out = piece.size();
    const int result = inflate(stream_.get(), Z_SYNC_FLUSH);
    // Z_BUF_ERROR: nothing was left to do.
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      return Outcome::kBroken;
    }
    const std::size_t size = piece.size() - stream_->avail_out;
    if (size > max_bytes - to.size()) return Outcome::kTooBig;
    to.append(piece.data(), size);
    most_out_ = std::max<std::size_t>(most_out_, stream_->total_out);
    if (result == Z_STREAM_END) {
      // Section 7.2.3.4: a block may have BFINAL set. The next block may still
      // refer to what came before it.
      std::array<Bytef, 1 << kMaxWindowBits> window;
      uInt window_bytes = 0;
      inflateGetDictionary(stream_.get(), window.data(), &window_bytes);
      inflateReset(stream_.get());
      inflateSetDictionary(stream_.get(), window.data(), window_bytes);
    } else if (stream_->avail_out > 0) {
      return stream_->avail_in == 0 ? Outcome::kOk : Outcome::kBroken;
    }
  }
}

void Inflater::Release() { stream_.reset(); }

std::size_t Inflater::held_bytes() const {
  if (stream_ == nullptr) return 0;
  return kInflateBytes + std::min(most_out_, std::size_t{1} << window_bits_);
}

Inflater::Outcome Inflater::End(std::size_t max_bytes, std::string& to) {
  const Outcome outcome = Inflate(kTail, max_bytes, to);
  if (outcome != Outcome::kOk) return outcome;
  // zlib.h: 128 at the end of a block.
  constexpr int kAtEndOfBlock = 128;
  if ((stream_->data_type & kAtEndOfBlock) == 0) return Outcome::kBroken;
  if (resets_) inflateReset(stream_.get());
  return Outcome::kOk;
}

}  // namespace headgate::ws
