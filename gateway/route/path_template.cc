#include "gateway/route/path_template.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gateway/route/path_segments.h"

namespace headgate {
namespace {

absl::Status Fault(absl::string_view text, std::size_t at,
                   absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("path template \"", text, "\", byte ", at, ": ", what));
}

bool IsFieldPath(absl::string_view text) {
  bool at_start = true;
  for (const char c : text) {
    if (c == '.') {
      if (at_start) return false;
      at_start = true;
    } else if (absl::ascii_isalpha(c) || c == '_' ||
               (absl::ascii_isdigit(c) && !at_start)) {
      at_start = false;
    } else {
      return false;
    }
  }
  return !at_start;
}

class Parser {
 public:
  explicit Parser(absl::string_view text) : text_(text) {}

  absl::StatusOr<PathTemplate> Parse() {
    if (text_.empty() || text_[0] != '/') {
      return Fault(text_, 0, "must begin with /");
    }
    end_ = text_.size();
    if (absl::Status status = TakeVerb(); !status.ok()) return status;
    at_ = 1;
    for (;;) {
      absl::Status status = Peek() == '{' ? Variable() : Segment();
      if (!status.ok()) return status;
      if (at_ == end_) break;
      if (text_[at_] != '/') return Fault(text_, at_, "expected / here");
      ++at_;
    }
    return std::move(result_);
  }

 private:
  char Peek() const { return at_ < end_ ? text_[at_] : '\0'; }

  // The verb is what follows the last colon of the last segment; of a variable
  // the first one, as nothing else may stand there.
  absl::Status TakeVerb() {
    int depth = 0;
    std::size_t colon = 0;
    bool is_variable = false;
    for (std::size_t i = 1; i < text_.size(); ++i) {
      const char c = text_[i];
      if (c == '{') ++depth;
      if (c == '}') {
        --depth;
        is_variable = true;
        colon = 0;
      }
      if (depth > 0) continue;
      if (c == ':' && (!is_variable || colon == 0)) colon = i;
      if (c == '/') {
        colon = 0;
        is_variable = false;
      }
    }
    if (colon == 0) return absl::OkStatus();
    result_.verb = std::string(text_.substr(colon + 1));
    end_ = colon;
    if (result_.verb.empty()) {
      return Fault(text_, colon, "a verb must follow the colon");
    }
    if (result_.verb.find_first_of("{}*%") != std::string::npos) {
      return Fault(text_, colon, "the verb must be plain text");
    }
    return absl::OkStatus();
  }

  absl::Status Segment() {
    const std::size_t start = at_;
    while (at_ < end_ && text_[at_] != '/' && text_[at_] != '}' &&
           text_[at_] != '{') {
      ++at_;
    }
    const absl::string_view text = text_.substr(start, at_ - start);
    if (at_ < end_ && text_[at_] == '{') {
      return Fault(text_, at_, "a variable must be a segment of its own");
    }
    if (text.empty() && (in_variable_ || at_ != end_)) {
      return Fault(text_, start, "a segment is empty");
    }
    PathTemplate::Segment segment;
    if (text == "*") {
      segment.kind = PathTemplate::Kind::kOne;
    } else if (text == "**") {
      if (has_any_) return Fault(text_, start, "only one ** is allowed");
      has_any_ = true;
      segment.kind = PathTemplate::Kind::kAny;
    } else if (text.find('*') != absl::string_view::npos) {
      return Fault(text_, start, "* must be a segment of its own");
    } else {
      std::optional<std::string> literal = DecodeSegment(text);
      if (!literal) return Fault(text_, start, "a bad percent escape");
      segment.literal = *std::move(literal);
    }
    result_.segments.push_back(std::move(segment));
    return absl::OkStatus();
  }

  absl::Status Variable() {
    const std::size_t start = ++at_;
    const std::size_t stop = text_.find_first_of("=}", at_);
    if (stop == absl::string_view::npos || stop >= end_) {
      return Fault(text_, start, "} is missing");
    }
    PathTemplate::Variable variable;
    variable.field = std::string(text_.substr(start, stop - start));
    if (!IsFieldPath(variable.field)) {
      return Fault(text_, start, "must be names of fields joined by dots");
    }
    if (!fields_.insert(variable.field).second) {
      return Fault(text_, start,
                   absl::StrCat("there are two ", variable.field));
    }
    variable.first = result_.segments.size();
    at_ = stop;
    if (text_[at_] == '}') {
      result_.segments.push_back({PathTemplate::Kind::kOne, ""});
    } else {
      in_variable_ = true;
      do {
        ++at_;
        if (Peek() == '{') return Fault(text_, at_, "variables do not nest");
        if (absl::Status status = Segment(); !status.ok()) return status;
      } while (Peek() == '/');
      in_variable_ = false;
    }
    if (Peek() != '}') return Fault(text_, at_, "} is missing");
    ++at_;
    variable.last = result_.segments.size();
    result_.variables.push_back(std::move(variable));
    return absl::OkStatus();
  }

  const absl::string_view text_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;  // Where the verb's colon is, or the end.
  bool in_variable_ = false;
  bool has_any_ = false;
  absl::flat_hash_set<std::string> fields_;
  PathTemplate result_;
};

}  // namespace

absl::StatusOr<PathTemplate> PathTemplate::Parse(absl::string_view text) {
  return Parser(text).Parse();
}

PathTemplate PathTemplate::Guess(absl::string_view text) {
  // "{name=shelves/*}" is what is behind its equals sign, "{name}" is "*".
  std::string flat;
  bool in_name = false;
  for (const char c : text) {
    switch (c) {
      case '{':
        in_name = true;
        break;
      case '=':
        if (!in_name) flat.push_back(c);
        in_name = false;
        break;
      case '}':
        if (in_name) flat.push_back('*');
        in_name = false;
        break;
      default:
        if (!in_name) flat.push_back(c);
    }
  }
  if (in_name) flat.push_back('*');
  absl::string_view rest = flat;
  absl::ConsumePrefix(&rest, "/");
  PathTemplate guess;
  const std::size_t last = rest.rfind('/') + 1;  // 0 if there is none.
  const std::size_t colon = rest.find(':', last);
  if (colon != absl::string_view::npos) {
    guess.verb = std::string(rest.substr(colon + 1));
    rest = rest.substr(0, colon);
  }
  for (const absl::string_view segment : absl::StrSplit(rest, '/')) {
    const std::optional<std::string> literal = DecodeSegment(segment);
    if (segment == "**") {
      guess.segments.push_back({Kind::kAny, ""});
    } else if (!literal || absl::StrContains(segment, '*')) {
      guess.segments.push_back({Kind::kOne, ""});
    } else {
      guess.segments.push_back({Kind::kLiteral, *literal});
    }
  }
  return guess;
}

std::vector<Parameter> BindVariables(
    const PathTemplate& path_template,
    const std::vector<absl::string_view>& segments) {
  const std::vector<PathTemplate::Segment>& wanted = path_template.segments;
  const std::size_t any = static_cast<std::size_t>(
      std::find_if(wanted.begin(), wanted.end(),
                   [](const PathTemplate::Segment& segment) {
                     return segment.kind == PathTemplate::Kind::kAny;
                   }) -
      wanted.begin());
  // Where the border before the template's segment `i` is in the path: what
  // stands behind "**" is counted from the end.
  const auto place = [&](std::size_t i) {
    return i <= any ? i : segments.size() - (wanted.size() - i);
  };
  std::vector<Parameter> parameters;
  for (const PathTemplate::Variable& variable : path_template.variables) {
    const bool open = variable.first <= any && any < variable.last;
    const std::size_t first = place(variable.first);
    const std::size_t last = place(variable.last);
    Parameter parameter{variable.field, ""};
    if (!open && last - first == 1) {
      parameter.value = DecodeSegment(segments[first]).value_or("");
    } else {
      for (std::size_t i = first; i < last; ++i) {
        if (i > first) parameter.value += '/';
        parameter.value += DecodeKeepingSlashes(segments[i]);
      }
    }
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

}  // namespace headgate
