#ifndef GATEWAY_ROUTE_HTTP_RULES_H_
#define GATEWAY_ROUTE_HTTP_RULES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/schema/schema.h"

namespace headgate {

// The google.api.http annotations of one schema, as a table of requests.
//
// Where several rules fit a path, a literal segment is better than "*" and "*"
// better than "**", from left to right, a template that ends better than one
// whose "**" has no segment there; a template with a verb of its own
// (":move") is better than all without, and a longer verb than a shorter one;
// of equal templates a rule for the
// request's verb is better than one for any; of equal rules the first of its
// method, and of several methods' the one whose path comes first, wins.
//
// Thread: any, it is immutable. Lifetime: keeps its schema alive.
class HttpRules {
 public:
  // Rules that cannot be used have a line in `warnings`: their template is not
  // well formed, or names no field, as their body or response_body may. They
  // still keep their paths from other methods (PathTemplate::Guess).
  static std::shared_ptr<const HttpRules> Build(
      std::shared_ptr<const Schema> schema, std::vector<std::string>* warnings);

  ~HttpRules();
  HttpRules(const HttpRules&) = delete;
  HttpRules& operator=(const HttpRules&) = delete;

  struct Match {
    const Schema::Method* method = nullptr;  // The schema's.
    const HttpRule* rule = nullptr;          // The method's.
    std::vector<Parameter> variables;
  };

  // The rule of an HTTP request. `path`: percent-encoded, without the query.
  // HEAD is GET where no rule is for HEAD itself. NOT_FOUND: no template fits;
  // UNIMPLEMENTED: only rules of other verbs do (VerbsAt names them);
  // FAILED_PRECONDITION: the rule cannot be used.
  absl::StatusOr<Match> Find(absl::string_view verb,
                             absl::string_view path) const;

  // The rule of a WebSocket, whose handshake is always a GET: that of the best
  // template; of several that share it one whose method streams, the client's
  // stream before the backend's, then the first of GET, POST, PUT, PATCH,
  // DELETE, then any other. With a `verb_override` (any case) only rules for
  // that verb count. NOT_FOUND: no template fits, or none for that verb;
  // FAILED_PRECONDITION as above.
  absl::StatusOr<Match> FindForWebSocket(absl::string_view path,
                                         absl::string_view verb_override) const;

  // The verbs that Find would take at `path`, sorted; for Allow. Of a rule for
  // any verb the usual ones.
  std::vector<std::string> VerbsAt(absl::string_view path) const;

  // Whether any method has an annotation.
  bool annotated() const { return annotated_; }

  const std::shared_ptr<const Schema>& schema() const { return schema_; }

 private:
  class Table;
  explicit HttpRules(std::shared_ptr<const Schema> schema);

  std::shared_ptr<const Schema> schema_;
  bool annotated_ = false;
  std::unique_ptr<const Table> table_;
};

}  // namespace headgate

#endif  // GATEWAY_ROUTE_HTTP_RULES_H_
