#include "gateway/http/http2_request.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace headgate {

Http2Request::Span Http2Request::Keep(absl::string_view text) {
  const Span span = {text_.size(), text.size()};
  absl::StrAppend(&text_, text);
  return span;
}

void Http2Request::Add(absl::string_view name, absl::string_view value) {
  if (name == ":method") {
    method_ = Keep(value);
  } else if (name == ":path") {
    path_ = Keep(value);
  } else if (name == ":authority") {
    authority_ = Keep(value);
  } else if (name == ":protocol") {
    protocol_ = Keep(value);
  } else if (name == ":scheme") {
    return;  // The connection says whether it is TLS.
  } else if (name == "cookie") {
    absl::StrAppend(&cookie_, cookie_.empty() ? "" : "; ", value);
  } else {
    const Span kept = Keep(name);
    fields_.push_back({kept, Keep(absl::StripAsciiWhitespace(value))});
  }
}

absl::Status Http2Request::Complete() {
  request_.version = 20;
  request_.method = View(method_);
  request_.target = View(path_);
  request_.headers.Reserve(fields_.size() + 4);
  if (authority_.size > 0) {
    request_.headers.Add(":authority", View(authority_));
  }
  for (const Field& field : fields_) {
    request_.headers.Add(View(field.name), View(field.value));
  }
  if (!cookie_.empty()) request_.headers.Add("cookie", cookie_);
  if (protocol_.size == 0) return absl::OkStatus();
  if (View(protocol_) != "websocket") {
    return absl::InvalidArgumentError(
        "the one :protocol that is served is websocket");
  }
  request_.method = "GET";
  request_.headers.Add("Connection", "Upgrade");
  request_.headers.Add("Upgrade", "websocket");
  return absl::OkStatus();
}

// A view of each field stands in the request once more.
std::size_t Http2Request::held_bytes() const {
  return sizeof(*this) + text_.capacity() + cookie_.capacity() +
         fields_.capacity() * (sizeof(Field) + 2 * sizeof(absl::string_view));
}

}  // namespace headgate
