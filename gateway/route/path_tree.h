#ifndef GATEWAY_ROUTE_PATH_TREE_H_
#define GATEWAY_ROUTE_PATH_TREE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "gateway/route/path_template.h"

namespace headgate {

// Path templates, found by a path. Looking a path up costs a few hash lookups
// for each of its segments, whatever the number of templates that do not fit;
// one for each segment of those that have segments behind "**".
//
// Immutable once filled, then safe for any thread.
class PathTree {
 public:
  PathTree();
  ~PathTree();
  PathTree(PathTree&&) noexcept;
  PathTree& operator=(PathTree&&) noexcept;

  // `id` is what Find gives back.
  void Add(const PathTemplate& path_template, std::size_t id);

  struct Found {
    std::size_t id;
    // How many bytes of the last segment's end, its colon among them, were the
    // template's verb.
    std::size_t verb_bytes;
  };
  // Every template that fits, in ascending order of their ids. `segments`: as
  // SplitPath gives them. None when a segment has a bad escape. Adds to
  // `nodes_visited`, if given, what the lookup has cost.
  std::vector<Found> Find(const std::vector<absl::string_view>& segments,
                          std::size_t* nodes_visited = nullptr) const;

 private:
  struct Node;
  Node* NewNode();
  void Collect(const Node& root, const std::vector<std::string>& segments,
               std::size_t verb_bytes, std::vector<Found>& found,
               std::size_t* nodes_visited) const;

  // All nodes, side by side: if each owned those below it, a template of many
  // segments would be destroyed by as deep a recursion.
  std::vector<std::unique_ptr<Node>> nodes_;
  // By verb, decoded; "": those without.
  absl::flat_hash_map<std::string, Node*> roots_;
  std::size_t most_verb_colons_ = 0;  // Of one verb.
  bool has_loops_ = false;            // "**" with something behind it.
};

// `segments` as a template sees them of which Found says so: without the verb.
std::vector<absl::string_view> WithoutVerb(
    std::vector<absl::string_view> segments, std::size_t verb_bytes);

}  // namespace headgate

#endif  // GATEWAY_ROUTE_PATH_TREE_H_
