#ifndef GATEWAY_CONFIG_YAML_DOCUMENT_H_
#define GATEWAY_CONFIG_YAML_DOCUMENT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "yaml-cpp/yaml.h"

namespace headgate {

// A place in a text, both counted from 1; 0: not known.
struct TextPosition {
  int line = 0;
  int column = 0;
};

TextPosition PositionOf(const YAML::Mark& mark);

// What a YAML text says is wrong with it.
struct YamlError {
  TextPosition position;
  std::string text;
};

// One YAML document. Aliases are nodes that several places share: who walks the
// document must count its steps, for a few lines can mean a billion of them.
//
// yaml-cpp throws: reading a node as what it is not must stay inside a `try`.
class YamlDocument {
 public:
  // Refuses what is no YAML, no UTF-8, empty, more than one document, or nests
  // deeper than yaml-cpp does (500). Throws nothing.
  static absl::StatusOr<YamlDocument> Parse(const std::string& text,
                                            YamlError& error);

  const YAML::Node& root() const { return root_; }

  // Whether "${" is anywhere in the text.
  bool has_variables() const { return has_variables_; }

  // The node at a path such as "routes[2].packet.methods[7]", or the closest
  // one around it that there is; `whole` says which. Throws nothing.
  YAML::Node Find(absl::string_view path, bool& whole) const;

 private:
  YamlDocument(const YAML::Node& root, bool has_variables)
      : root_(root), has_variables_(has_variables) {}

  YAML::Node root_;
  bool has_variables_;
};

}  // namespace headgate

#endif  // GATEWAY_CONFIG_YAML_DOCUMENT_H_
