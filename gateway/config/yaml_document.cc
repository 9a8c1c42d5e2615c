#include "gateway/config/yaml_document.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/base/utf8.h"
#include "gateway/config/units.h"
#include "yaml-cpp/depthguard.h"
#include "yaml-cpp/eventhandler.h"

namespace headgate {
namespace {

absl::Status Refuse(YamlError& error, TextPosition position, std::string text) {
  error = {position, std::move(text)};
  return absl::InvalidArgumentError(error.text);
}

// The place of the byte `offset`.
TextPosition PositionAt(absl::string_view text, std::size_t offset) {
  TextPosition position{1, 1};
  for (std::size_t i = 0; i < offset; ++i) {
    if (text[i] == '\n') {
      ++position.line;
      position.column = 1;
    } else {
      ++position.column;
    }
  }
  return position;
}

// "routes[2].packet" -> "routes", "2", "packet".
std::vector<std::string> Steps(absl::string_view path) {
  std::vector<std::string> steps(1);
  for (const char c : path) {
    if (c == '.' || c == '[') {
      steps.emplace_back();
    } else if (c != ']') {
      steps.back() += c;
    }
  }
  return steps;
}

bool SameKey(const std::string& key, const std::string& step) {
  if (key == step) return true;
  const std::optional<std::uint32_t> number = ParseUint32(key);
  return number && absl::StrCat(*number) == step;
}

// A node of yaml-cpp's is a handle, and assigning to it would change what it
// stands for: the child is returned instead.
std::optional<YAML::Node> Child(const YAML::Node& node,
                                const std::string& step) {
  if (node.IsSequence()) {
    std::size_t index = 0;
    if (absl::SimpleAtoi(step, &index)) {
      if (index >= node.size()) return std::nullopt;
      return node[index];
    }
    // Settings name the only element of some lists without an index.
    if (node.size() == 1) return Child(node[0], step);
    return std::nullopt;
  }
  if (!node.IsMap()) return std::nullopt;
  for (const auto& entry : node) {
    if (entry.first.IsScalar() && SameKey(entry.first.Scalar(), step)) {
      return entry.second;
    }
  }
  return std::nullopt;
}

// Notes where documents begin, and nothing else.
class DocumentStarts final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    starts_.push_back(mark);
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  const std::vector<YAML::Mark>& starts() const { return starts_; }

 private:
  std::vector<YAML::Mark> starts_;
};

// Where the first two documents begin. (yaml-cpp's LoadAll takes a text such as
// ",a" for documents without end.)
std::vector<YAML::Mark> FirstDocuments(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentStarts documents;
  for (int i = 0; i < 2 && parser.HandleNextDocument(documents); ++i) {
  }
  return documents.starts();
}

}  // namespace

TextPosition PositionOf(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {mark.line + 1, mark.column + 1};
}

absl::StatusOr<YamlDocument> YamlDocument::Parse(const std::string& text,
                                                 YamlError& error) {
  if (const std::size_t valid = ValidUtf8Prefix(text); valid < text.size()) {
    return Refuse(error, PositionAt(text, valid), "is not UTF-8");
  }
  try {
    const std::vector<YAML::Mark> starts = FirstDocuments(text);
    if (starts.size() > 1) {
      return Refuse(error, PositionOf(starts[1]),
                    "a second document begins here; there must be one");
    }
    const YAML::Node document = YAML::Load(text);
    if (starts.empty() || document.IsNull()) {
      return Refuse(error, {}, "there is nothing in it");
    }
    return YamlDocument(document, text.find("${") != text.npos);
  } catch (const YAML::DeepRecursion& exception) {
    return Refuse(error, PositionOf(exception.mark), "nests too deep");
  } catch (const YAML::Exception& exception) {
    return Refuse(error, PositionOf(exception.mark),
                  absl::StrCat("is not YAML: ", exception.msg));
  } catch (const std::exception& exception) {
    return Refuse(error, {}, absl::StrCat("is not YAML: ", exception.what()));
  }
}

YAML::Node YamlDocument::Find(absl::string_view path, bool& whole) const {
  YAML::Node node;
  node.reset(root_);
  whole = false;
  try {
    for (const std::string& step : Steps(path)) {
      const std::optional<YAML::Node> child = Child(node, step);
      if (!child) return node;
      node.reset(*child);
    }
    whole = true;
  } catch (const std::exception&) {
    // The last node that could be reached will do.
  }
  return node;
}

}  // namespace headgate
