#include "gateway/route/path_tree.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "gateway/route/path_segments.h"

namespace headgate {

struct PathTree::Node {
  absl::flat_hash_map<std::string, Node*> literals;
  Node* one = nullptr;               // "*"
  std::vector<std::size_t> ends;     // Templates that end here.
  std::vector<std::size_t> any_end;  // Those that have "**" from here on.
  Node* any = nullptr;               // What is behind a "**" that is not last.
  bool loops = false;                // It is such a node: it takes any segment.
};

PathTree::PathTree() = default;
PathTree::~PathTree() = default;
PathTree::PathTree(PathTree&&) noexcept = default;
PathTree& PathTree::operator=(PathTree&&) noexcept = default;

PathTree::Node* PathTree::NewNode() {
  nodes_.push_back(std::make_unique<Node>());
  return nodes_.back().get();
}

void PathTree::Add(const PathTemplate& path_template, std::size_t id) {
  Node*& root = roots_[path_template.verb];
  if (root == nullptr) root = NewNode();
  most_verb_colons_ =
      std::max(most_verb_colons_,
               static_cast<std::size_t>(std::count(
                   path_template.verb.begin(), path_template.verb.end(), ':')));
  Node* node = root;
  for (const PathTemplate::Segment& segment : path_template.segments) {
    if (segment.kind == PathTemplate::Kind::kAny) {
      if (&segment == &path_template.segments.back()) {
        node->any_end.push_back(id);
        return;
      }
      if (node->any == nullptr) {
        node->any = NewNode();
        node->any->loops = has_loops_ = true;
      }
      node = node->any;
      continue;
    }
    Node*& next = segment.kind == PathTemplate::Kind::kOne
                      ? node->one
                      : node->literals[segment.literal];
    if (next == nullptr) next = NewNode();
    node = next;
  }
  node->ends.push_back(id);
}

void PathTree::Collect(const Node& root,
                       const std::vector<std::string>& segments,
                       std::size_t verb_bytes, std::vector<Found>& found,
                       std::size_t* nodes_visited) const {
  const auto add = [&](const std::vector<std::size_t>& ids) {
    for (const std::size_t id : ids) found.push_back({id, verb_bytes});
  };
  // All nodes that the segments so far lead to, each once.
  std::vector<const Node*> nodes;
  std::vector<const Node*> next;
  const auto reach = [&next](const Node* node) {
    next.push_back(node);
    if (node->any != nullptr) next.push_back(node->any);  // "**" may be none.
  };
  reach(&root);
  nodes.swap(next);
  for (const std::string& segment : segments) {
    if (nodes_visited != nullptr) *nodes_visited += nodes.size();
    next.clear();
    for (const Node* node : nodes) {
      add(node->any_end);
      const auto literal = node->literals.find(segment);
      if (literal != node->literals.end()) reach(literal->second);
      if (node->one != nullptr && !segment.empty()) reach(node->one);
      if (node->loops) next.push_back(node);
    }
    if (has_loops_) {
      std::sort(next.begin(), next.end());
      next.erase(std::unique(next.begin(), next.end()), next.end());
    }
    nodes.swap(next);
    if (nodes.empty()) return;
  }
  if (nodes_visited != nullptr) *nodes_visited += nodes.size();
  for (const Node* node : nodes) {
    add(node->any_end);
    add(node->ends);
  }
}

std::vector<PathTree::Found> PathTree::Find(
    const std::vector<absl::string_view>& segments,
    std::size_t* nodes_visited) const {
  std::vector<Found> found;
  std::vector<std::string> decoded;
  decoded.reserve(segments.size());
  for (const absl::string_view segment : segments) {
    std::optional<std::string> text = DecodeSegment(segment);
    if (!text) return found;
    decoded.push_back(*std::move(text));
  }
  if (const auto root = roots_.find(""); root != roots_.end()) {
    Collect(*root->second, decoded, 0, found, nodes_visited);
  }
  const absl::string_view last = segments.back();
  std::size_t colon = last.rfind(':');
  for (std::size_t i = 0; i <= most_verb_colons_ && colon != last.npos; ++i) {
    // Both halves are decodable, for no escape has a colon inside.
    const auto root = roots_.find(*DecodeSegment(last.substr(colon + 1)));
    if (root != roots_.end() && !root->first.empty()) {
      decoded.back() = *DecodeSegment(last.substr(0, colon));
      Collect(*root->second, decoded, last.size() - colon, found,
              nodes_visited);
    }
    if (colon == 0) break;
    colon = last.rfind(':', colon - 1);
  }
  std::sort(found.begin(), found.end(),
            [](const Found& a, const Found& b) { return a.id < b.id; });
  return found;
}

std::vector<absl::string_view> WithoutVerb(
    std::vector<absl::string_view> segments, std::size_t verb_bytes) {
  segments.back().remove_suffix(verb_bytes);
  return segments;
}

}  // namespace headgate
