#ifndef GATEWAY_ROUTE_PATH_TEMPLATE_H_
#define GATEWAY_ROUTE_PATH_TEMPLATE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/schema/schema.h"

namespace headgate {

// A path template of google.api.http (google/api/http.proto, "Path template
// syntax"):
//
//   Template  = "/" Segments [ ":" verb ]
//   Segments  = Segment { "/" Segment }
//   Segment   = "*" | "**" | LITERAL | "{" field { "." field } [ "=" Segments ]
//   "}"
//
// "*" is one segment, "**" any number of them, none included; "{x}" is "{x=*}".
// Variables do not nest. Beyond the grammar, as services are annotated:
// segments may follow the one "**", the last segment may be empty ("/",
// "/v1/"), and the verb behind a variable may have colons ("{x}:a:b").
struct PathTemplate {
  enum class Kind { kLiteral, kOne, kAny };
  struct Segment {
    Kind kind = Kind::kLiteral;
    std::string literal;  // Percent-decoded.
  };
  // The template's segments [first, last).
  struct Variable {
    std::string field;  // "book.name"
    std::size_t first = 0;
    std::size_t last = 0;
  };

  std::vector<Segment> segments;
  std::vector<Variable> variables;
  std::string verb;  // After the colon; empty: none.

  // INVALID_ARGUMENT says what is wrong at which byte.
  static absl::StatusOr<PathTemplate> Parse(absl::string_view text);

  // The paths that a template which does not parse was most likely written
  // for, without its variables: what cannot be understood of a segment is "*".
  static PathTemplate Guess(absl::string_view text);
};

// What the template's variables are in a path that fits it. `segments`: of the
// path, still percent-encoded, without the verb. A variable of one segment is
// decoded whole; of several, all but escaped slashes.
std::vector<Parameter> BindVariables(
    const PathTemplate& path_template,
    const std::vector<absl::string_view>& segments);

}  // namespace headgate

#endif  // GATEWAY_ROUTE_PATH_TEMPLATE_H_
