#include "gateway/console/schema_cache.h"

#include <algorithm>

namespace headgate {

ConsoleResponse ConsoleSchemaCache::Respond(
    const std::shared_ptr<const Schema>& schema) {
  entries_.erase(
      std::remove_if(entries_.begin(), entries_.end(),
                     [](const Entry& entry) { return entry.schema.expired(); }),
      entries_.end());
  for (const Entry& entry : entries_) {
    if (entry.schema.lock() == schema) return entry.response;
  }
  entries_.push_back({schema, SchemaResponse(*schema)});
  return entries_.back().response;
}

}  // namespace headgate
