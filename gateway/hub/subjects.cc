#include "gateway/hub/subjects.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace headgate {

std::string HubSubjects::Escape(absl::string_view name) {
  constexpr absl::string_view kHex = "0123456789ABCDEF";
  if (name.empty()) return "=";
  std::string token;
  token.reserve(name.size());
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '_' || c == '-') {
      token += c;
    } else {
      token += {'=', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return token;
}

std::string HubSubjects::Group(absl::string_view name) const {
  return absl::StrCat(prefix_, ".now.g.", Escape(name));
}

std::string HubSubjects::User(absl::string_view name) const {
  return absl::StrCat(prefix_, ".now.u.", Escape(name));
}

std::string HubSubjects::Stored(absl::string_view group) const {
  return absl::StrCat(prefix_, ".in.g.", Escape(group));
}

std::string HubSubjects::Restored(absl::string_view group) const {
  return absl::StrCat(prefix_, ".out.g.", Escape(group));
}

std::string HubSubjects::All() const { return absl::StrCat(prefix_, ".cmd"); }

std::string HubSubjects::Instance(absl::string_view instance) const {
  return absl::StrCat(prefix_, ".r.", Escape(instance));
}

std::string HubSubjects::Beat() const { return absl::StrCat(prefix_, ".hb"); }

}  // namespace headgate
