#include "gateway/schema/message_merge.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "gateway/base/varint.h"
#include "gateway/schema/wire_input.h"

namespace headgate {
namespace {

constexpr int kMaxGroups = 100;

// A field of the bytes that are added.
struct Added {
  absl::string_view whole;    // With its tag.
  absl::string_view payload;  // Of a singular message; else empty.
  const JsonField* field;     // Null: it is no such message.
};

bool ReadAdded(const JsonType& type, absl::string_view more,
               std::vector<Added>& added) {
  WireInput input(more);
  while (!input.done()) {
    const char* const start = input.at();
    std::uint32_t tag = 0;
    Added one{};
    if (!input.Tag(tag) || !input.Payload(tag, kMaxGroups, one.payload)) {
      return false;
    }
    one.whole =
        absl::string_view(start, static_cast<std::size_t>(input.at() - start));
    const JsonField* const field =
        type.FindByNumber(static_cast<int>(tag >> 3), 0);
    if (field != nullptr && !field->is_repeated && field->tag == tag &&
        field->descriptor->message_type() != nullptr &&
        field->wire_type == WireType::kBytes) {
      one.field = field;
    }
    added.push_back(one);
  }
  return true;
}

}  // namespace

std::string MergeMessages(JsonTypes& types, const JsonType& type,
                          std::string message, absl::string_view more) {
  const auto concatenated = [&] {
    message.append(more.data(), more.size());
    return std::move(message);
  };
  std::vector<Added> added;
  if (!ReadAdded(type, more, added)) return concatenated();
  absl::flat_hash_map<std::uint32_t, std::size_t> sought;  // By tag.
  for (std::size_t i = 0; i < added.size(); ++i) {
    if (added[i].field != nullptr) sought[added[i].field->tag] = i;
  }
  if (sought.empty()) return concatenated();

  std::string merged;
  merged.reserve(message.size() + more.size() + 16);
  WireInput input(message);
  while (!input.done()) {
    const char* const start = input.at();
    std::uint32_t tag = 0;
    absl::string_view payload;
    if (!input.Tag(tag) || !input.Payload(tag, kMaxGroups, payload)) {
      return concatenated();
    }
    const auto found = sought.find(tag);
    if (found == sought.end()) {
      merged.append(start, static_cast<std::size_t>(input.at() - start));
      continue;
    }
    Added& one = added[found->second];
    const std::string both = MergeMessages(types, types.MessageOf(*one.field),
                                           std::string(payload), one.payload);
    AppendVarint(tag, merged);
    AppendVarint(both.size(), merged);
    merged += both;
    one.whole = {};
    sought.erase(found);
  }
  for (const Added& one : added)
    merged.append(one.whole.data(), one.whole.size());
  return merged;
}

}  // namespace headgate
