#ifndef GATEWAY_CONSOLE_SCHEMA_CACHE_H_
#define GATEWAY_CONSOLE_SCHEMA_CACHE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "gateway/console/console.h"
#include "gateway/schema/schema.h"

namespace headgate {

// What api/schema responds with, made once for each schema: to write megabytes
// of JSON holds up a worker for tens of milliseconds, and anybody may ask for
// it again at once.
//
// Thread: one at a time. Memory: one response for each schema that is in use.
class ConsoleSchemaCache {
 public:
  // SchemaResponse(*schema).
  ConsoleResponse Respond(const std::shared_ptr<const Schema>& schema);

  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::weak_ptr<const Schema> schema;
    ConsoleResponse response;
  };
  std::vector<Entry> entries_;
};

}  // namespace headgate

#endif  // GATEWAY_CONSOLE_SCHEMA_CACHE_H_
