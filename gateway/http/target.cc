#include "gateway/http/target.h"

#include <boost/url/authority_view.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace headgate {
namespace {

using UrlResult = boost::urls::result<boost::urls::url_view>;

UrlResult ParseUrl(boost::core::string_view target) {
  const UrlResult path = boost::urls::parse_origin_form(target);
  if (path) return path;
  const UrlResult address = boost::urls::parse_uri(target);
  if (!address || !address->has_authority() || address->has_userinfo() ||
      address->encoded_host().empty()) {
    return path;
  }
  for (const char* scheme : {"http", "https", "ws", "wss"}) {
    if (address->scheme() == scheme) return address;
  }
  return path;
}

// `target` with what a query should not have but browsers leave in it
// ("copies[a]=2"; the URL standard, "query percent-encode set") encoded.
std::string WithEncodedQuery(absl::string_view target) {
  constexpr absl::string_view kMarks = "-._~!$&'()*+,;=:@/?%#";
  const std::size_t query = target.find('?');
  std::string encoded(target.substr(0, query));
  if (query == absl::string_view::npos) return encoded;
  for (const char c : target.substr(query)) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || kMarks.find(c) != kMarks.npos) {
      encoded.push_back(c);
    } else {
      absl::StrAppend(&encoded, "%", absl::Hex(byte, absl::kZeroPad2));
    }
  }
  return encoded;
}

}  // namespace

std::optional<HttpTarget> ParseTarget(const HttpRequest& request) {
  const std::string text = WithEncodedQuery(request.target);
  const UrlResult url = ParseUrl(text);
  if (!url) return std::nullopt;
  HttpTarget target;
  if (url->has_authority()) {
    const auto host = url->encoded_host_and_port();
    target.host.assign(host.data(), host.size());
  } else {
    target.host = std::string(HostOf(request.headers));
  }
  const boost::core::string_view encoded = url->encoded_path();
  target.encoded_path.assign(encoded.data(), encoded.size());
  target.path = url->path();
  // Of "http://host" (RFC 9110 section 4.2.3).
  if (target.encoded_path.empty()) target.encoded_path = target.path = "/";
  for (const auto& parameter : url->params()) {
    target.query.push_back({parameter.key, parameter.value});
  }
  return target;
}

bool IsHost(absl::string_view value) {
  const auto host = boost::urls::parse_authority({value.data(), value.size()});
  return host && !host->has_userinfo() && !host->encoded_host().empty();
}

std::optional<std::string> QueryValue(const HttpTarget& target,
                                      absl::string_view name) {
  std::optional<std::string> value;
  if (name.empty()) return value;
  for (const Parameter& parameter : target.query) {
    if (parameter.field == name) value = parameter.value;
  }
  return value;
}

}  // namespace headgate
