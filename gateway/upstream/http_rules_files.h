#ifndef GATEWAY_UPSTREAM_HTTP_RULES_FILES_H_
#define GATEWAY_UPSTREAM_HTTP_RULES_FILES_H_

#include <string>
#include <vector>

#include "gateway/base/file_stamp.h"
#include "gateway/schema/http_rule.h"

namespace headgate {

// The service configurations of one upstream (config/http_rules_file.h), read
// by Refresh when they have changed. A file that cannot be used any more leaves
// its last rules.
//
// Thread: one at a time.
class HttpRulesFiles {
 public:
  explicit HttpRulesFiles(const std::vector<std::string>& paths);

  // Looks at the files, and reads those that have changed. True when Rules() or
  // faults() may be others now.
  bool Refresh();

  // Those of all files, in the order of the files.
  HttpRuleOverrides Rules() const;
  // Changes whenever Rules() does.
  std::string Digests() const;
  // Why files, as they are now, cannot be used.
  std::vector<std::string> faults() const;

 private:
  struct File {
    std::string path;
    FileStamp stamp;  // When it was read last.
    std::vector<SelectedHttpRule> rules;
    std::string fault;
  };

  std::vector<File> files_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_HTTP_RULES_FILES_H_
