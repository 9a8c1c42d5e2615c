#include "cmd/headgate/known_descriptors.h"

#include <cstddef>
#include <iostream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cmd/headgate/live.h"
#include "gateway/base/status.h"
#include "gateway/config/http_rules_file.h"
#include "gateway/upstream/descriptor_files.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {
namespace {

// Appends what an upstream tells by reflection. False when it cannot be
// reached.
bool AskUpstream(const UpstreamSettings& upstream, absl::Duration timeout,
                 std::vector<google::protobuf::FileDescriptorProto>& files,
                 std::vector<std::string>* warnings) {
  auto fetched = FetchDescriptors(upstream, timeout, warnings);
  if (absl::IsUnimplemented(fetched.status())) {
    if (upstream.descriptors.reflection && files.empty()) {
      warnings->push_back(
          "the upstream has no server reflection: without a descriptor set "
          "(descriptors.files) JSON is not served");
    }
    return true;
  }
  if (!fetched.ok()) {
    std::cerr << "headgate: upstream '" << upstream.name
              << "': " << MessageForLog(fetched.status()) << "\n";
    return false;
  }
  if (!upstream.descriptors.reflection) return true;
  files.insert(files.end(), fetched->begin(), fetched->end());
  return true;
}

}  // namespace

void WarnOfUpstream(const UpstreamSettings& upstream,
                    const std::string& warning) {
  std::cerr << "headgate: warning: upstream '" << upstream.name
            << "': " << warning << "\n";
}

std::shared_ptr<const Schema> KnownDescriptors(const UpstreamSettings& upstream,
                                               const DescriptorsFrom& from,
                                               absl::Duration timeout,
                                               bool* reachable) {
  std::vector<google::protobuf::FileDescriptorProto> files;
  std::vector<std::string> warnings;
  for (const std::string& path : upstream.descriptors.files) {
    if (from.without_files) continue;
    // That it can be read was seen to a moment ago.
    const auto set = ReadDescriptorSet(path);
    if (!set.ok()) continue;
    files.insert(files.end(), set->file().begin(), set->file().end());
  }
  const bool from_files = !files.empty();
  if (from.live && !AskUpstream(upstream, timeout, files, &warnings)) {
    *reachable = false;
  }
  std::shared_ptr<const Schema> schema;
  const std::size_t before = warnings.size();
  HttpRuleOverrides rules;
  for (const std::string& path : upstream.http_rules_files) {
    if (from.without_files) continue;
    const auto read = ReadHttpRulesFile(path);
    if (!read.ok()) continue;
    for (const SelectedHttpRule& rule : *read) rules.Add(rule);
  }
  if (!files.empty()) {
    schema = Schema::Build(std::move(files), &warnings, rules);
  }
  if (from_files && warnings.size() > before) {
    warnings.push_back(
        "a descriptor set needs its imports, write it with protoc "
        "--include_imports");
  }
  if (schema != nullptr && (from.live || !upstream.descriptors.reflection)) {
    for (const std::string& selector : schema->Unmatched(rules)) {
      warnings.push_back(absl::StrCat("http_rules_files: the selector ",
                                      selector, " names no method"));
    }
  }
  for (const std::string& warning : warnings) WarnOfUpstream(upstream, warning);
  return schema;
}

}  // namespace headgate
