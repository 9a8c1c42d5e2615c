#include "gateway/config/load.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "gateway/base/file.h"
#include "gateway/config/check.h"
#include "gateway/config/convert.h"
#include "gateway/config/faults.h"
#include "gateway/config/yaml_document.h"
#include "gateway/config/yaml_reader.h"
#include "google/protobuf/dynamic_message.h"
#include "headgate/config/v1/config.pb.h"

namespace headgate {
namespace {

constexpr std::size_t kMostFileBytes = 1024 * 1024;

std::string LineOf(const std::string& name, const YamlFault& fault) {
  std::string line = name;
  if (fault.position.line != 0) {
    absl::StrAppend(&line, ":", fault.position.line, ":",
                    fault.position.column);
  }
  if (!fault.path.empty()) absl::StrAppend(&line, ": ", fault.path);
  return absl::StrCat(line, ": ", fault.text);
}

// Whether `inner` is `outer`, or a part of it.
bool IsWithin(absl::string_view inner, absl::string_view outer) {
  if (!absl::ConsumePrefix(&inner, outer)) return false;
  return outer.empty() || inner.empty() || inner[0] == '.' || inner[0] == '[';
}

// Whether `fault` may be there only because of one of `earlier`.
bool IsConsequence(const Fault& fault, const std::vector<YamlFault>& earlier) {
  return std::any_of(earlier.begin(), earlier.end(),
                     [&fault](const YamlFault& cause) {
                       return IsWithin(cause.path, fault.field) ||
                              IsWithin(fault.field, cause.path) ||
                              (!fault.contradicts.empty() &&
                               IsWithin(cause.path, fault.contradicts));
                     });
}

// A file's faults, from reading it to judging it.
class FileFaults {
 public:
  FileFaults(const YamlDocument& document, const Environment& environment,
             std::vector<YamlFault> faults)
      : document_(document),
        environment_(environment),
        faults_(std::move(faults)) {}

  // Takes over those of `later` that are not consequences of those so far.
  void Add(const std::vector<Fault>& later) {
    constexpr std::size_t kMostFaults = 1000;
    const std::vector<YamlFault> earlier = faults_;
    for (const Fault& fault : later) {
      if (faults_.size() >= kMostFaults) return;
      if (!IsConsequence(fault, earlier)) faults_.push_back(Place(fault));
    }
  }

  // In the order of their places.
  absl::Status ToStatus(const std::string& name) {
    std::stable_sort(faults_.begin(), faults_.end(),
                     [](const YamlFault& a, const YamlFault& b) {
                       if (a.position.line != b.position.line) {
                         return a.position.line < b.position.line;
                       }
                       return a.position.column < b.position.column;
                     });
    std::vector<std::string> lines;
    for (const YamlFault& fault : faults_) {
      lines.push_back(LineOf(name, fault));
    }
    return JoinLines(lines);
  }

 private:
  YamlFault Place(const Fault& fault) const {
    bool whole = false;
    const YAML::Node node = document_.Find(fault.field, whole);
    std::string text = fault.text;
    // What was meant may be what a variable holds.
    if (document_.has_variables()) {
      text = text.substr(0, text.find("; did you mean '"));
    }
    if (whole) text = WithoutVariables(node, std::move(text));
    return {PositionOf(node.Mark()), fault.field, std::move(text)};
  }

  // What a variable holds may be a secret: instead of the value, as the
  // settings have it, the text names the variable.
  std::string WithoutVariables(const YAML::Node& node, std::string text) const {
    try {
      if (!node.IsScalar() || !absl::StrContains(node.Scalar(), "${")) {
        return text;
      }
      const std::string& written = node.Scalar();
      const absl::StatusOr<std::string> value =
          Substitute(written, environment_);
      if (!value.ok() || value->empty()) return text;
      const std::string lower = absl::AsciiStrToLower(*value);
      for (const absl::string_view form :
           {absl::string_view(*value), absl::StripPrefix(*value, "/"),
            absl::string_view(lower)}) {
        if (!form.empty()) text = absl::StrReplaceAll(text, {{form, written}});
      }
      return text;
    } catch (const std::exception&) {
      return "is not valid";
    }
  }

  const YamlDocument& document_;
  const Environment& environment_;
  std::vector<YamlFault> faults_;
};

// "" for a file of the working directory.
std::string DirectoryOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return "";
  return path.substr(0, std::max<std::size_t>(slash, 1));
}

}  // namespace

absl::StatusOr<Settings> ParseSettings(absl::string_view text,
                                       const std::string& name,
                                       const Environment& environment,
                                       Faults::Files files) {
  if (text.size() > kMostFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": is longer than ", kMostFileBytes / 1024, "KiB"));
  }
  YamlError error;
  const absl::StatusOr<YamlDocument> document =
      YamlDocument::Parse(std::string(text), error);
  if (!document.ok()) {
    return absl::InvalidArgumentError(
        LineOf(name, {error.position, "", error.text}));
  }
  // A dynamic message, whose maps nobody but the library touches: those of
  // generated code are laid out differently under the thread sanitizer.
  google::protobuf::DynamicMessageFactory factory;
  const std::unique_ptr<google::protobuf::Message> read(
      factory.GetPrototype(config::v1::Config::descriptor())->New());
  FileFaults faults(*document, environment,
                    ReadYaml(*document, environment, *read));
  config::v1::Config config;
  if (!config.ParseFromString(read->SerializeAsString())) {
    return absl::InternalError(absl::StrCat(name, ": cannot be read"));
  }
  Faults found;
  Settings settings = ConvertConfig(config, DirectoryOf(name), found);
  faults.Add(found.list());
  Faults judged(files);
  CheckSettings(settings, judged);
  faults.Add(judged.list());
  absl::Status status = faults.ToStatus(name);
  if (!status.ok()) return status;
  return settings;
}

absl::StatusOr<Settings> LoadSettings(const std::string& path,
                                      Faults::Files files) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMostFileBytes);
  if (!text.ok()) {
    return absl::Status(text.status().code(),
                        absl::StrCat(path, ": ", text.status().message()));
  }
  return ParseSettings(*text, path, ProcessEnvironment(), files);
}

}  // namespace headgate
