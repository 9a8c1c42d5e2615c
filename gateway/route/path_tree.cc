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
  Node* node = root;
  for (const PathTemplate::Segment& segment : path_template.segments) {
    if (segment.kind == PathTemplate::Kind::kAny) {
      node->any_end.push_back(id);
      return;  // It is the last one.
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
                       const std::vector<std::string>& segments, bool has_verb,
                       std::vector<Found>& found,
                       std::size_t* nodes_visited) const {
  const auto add = [&](const std::vector<std::size_t>& ids) {
    for (const std::size_t id : ids) found.push_back({id, has_verb});
  };
  // All nodes that the segments so far lead to. They are distinct, for each is
  // reached in one way, and no more than there are templates.
  std::vector<const Node*> nodes = {&root};
  std::vector<const Node*> next;
  for (const std::string& segment : segments) {
    if (nodes_visited != nullptr) *nodes_visited += nodes.size();
    next.clear();
    for (const Node* node : nodes) {
      add(node->any_end);
      const auto literal = node->literals.find(segment);
      if (literal != node->literals.end()) {
        next.push_back(literal->second);
      }
      if (node->one != nullptr && !segment.empty()) {
        next.push_back(node->one);
      }
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
    Collect(*root->second, decoded, false, found, nodes_visited);
  }
  const absl::string_view last = segments.back();
  const std::size_t colon = last.rfind(':');
  if (colon != absl::string_view::npos && colon + 1 < last.size()) {
    // Both halves are decodable, for no escape has a colon inside.
    const auto root = roots_.find(*DecodeSegment(last.substr(colon + 1)));
    if (root != roots_.end()) {
      decoded.back() = *DecodeSegment(last.substr(0, colon));
      Collect(*root->second, decoded, true, found, nodes_visited);
    }
  }
  std::sort(found.begin(), found.end(),
            [](const Found& a, const Found& b) { return a.id < b.id; });
  return found;
}

std::vector<absl::string_view> WithoutVerb(
    std::vector<absl::string_view> segments) {
  segments.back() = segments.back().substr(0, segments.back().rfind(':'));
  return segments;
}

}  // namespace headgate
