#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/file.h"
#include "gateway/config/address.h"
#include "gateway/config/check.h"
#include "gateway/config/http_rules_file.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {
namespace {

// A file of descriptors of ten thousand services has some MiB.
constexpr std::size_t kMostDescriptorBytes = 64 * 1024 * 1024;
constexpr std::size_t kMostPemBytes = 4 * 1024 * 1024;
constexpr int kMostStreams = 1000 * 1000;

// It stands in the log, and as a label of metrics.
void CheckName(const std::string& field, const std::string& name,
               Faults& faults) {
  const bool fits = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
  if (name.empty() || name.size() > 128 || !fits) {
    faults.Add(field, absl::StrCat("must be letters, digits, '.', '_' and '-', "
                                   "is \"",
                                   name, "\""));
  }
}

// grpc/grpc doc/naming.md. gRPC itself takes any text for the name of a host,
// and says so only when it cannot be found.
void CheckTarget(const std::string& field, const std::string& target,
                 Faults& faults) {
  static constexpr absl::string_view kSchemes[] = {
      "dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "xds:"};
  for (const absl::string_view scheme : kSchemes) {
    if (!absl::StartsWith(target, scheme)) continue;
    if (target.find_first_not_of('/', scheme.size()) == std::string::npos) {
      break;
    }
    return;
  }
  const absl::StatusOr<Address> address = ParseAddress(target);
  if (address.ok() && !address->host.empty() && address->port != 0 &&
      !absl::StrContains(target, '/')) {
    return;
  }
  faults.Add(field, absl::StrCat("must be host:port or a gRPC name such as "
                                 "dns:///host:port or unix:/path, is \"",
                                 target, "\""));
}

void CheckDescriptorFile(const std::string& field, const std::string& path,
                         Faults& faults) {
  if (!faults.reads_files()) return;
  const absl::StatusOr<std::string> bytes =
      ReadFile(path, kMostDescriptorBytes);
  if (!bytes.ok()) {
    return faults.Add(field, absl::StrCat(path, " ", bytes.status().message()));
  }
  google::protobuf::FileDescriptorSet set;
  if (!set.ParseFromString(*bytes) || set.file().empty()) {
    faults.Add(field, absl::StrCat(path,
                                   " is no descriptor set, as protoc "
                                   "--descriptor_set_out writes it"));
  }
}

void CheckTls(const std::string& field, const UpstreamTlsSettings& tls,
              Faults& faults) {
  CheckPem(field + ".ca", tls.ca, faults);
  CheckPem(field + ".certificate", tls.certificate, faults);
  CheckPem(field + ".key", tls.key, faults);
  if (tls.certificate.empty() && !tls.key.empty()) {
    faults.Add(field + ".certificate", "is missing, while there is a key");
  }
  if (tls.key.empty() && !tls.certificate.empty()) {
    faults.Add(field + ".key", "is missing, while there is a certificate");
  }
}

void CheckUpstream(const std::string& field, const UpstreamSettings& upstream,
                   Faults& faults) {
  CheckName(field + ".name", upstream.name, faults);
  CheckTarget(field + ".target", upstream.target, faults);
  const DescriptorSettings& descriptors = upstream.descriptors;
  for (std::size_t i = 0; i < descriptors.files.size(); ++i) {
    CheckDescriptorFile(absl::StrCat(field, ".descriptors.files[", i, "]"),
                        descriptors.files[i], faults);
  }
  faults.AtLeast(field + ".descriptors.refresh", descriptors.refresh,
                 absl::Milliseconds(100));
  for (std::size_t i = 0;
       i < upstream.http_rules_files.size() && faults.reads_files(); ++i) {
    const absl::Status read =
        ReadHttpRulesFile(upstream.http_rules_files[i]).status();
    if (read.ok()) continue;
    faults.Add(absl::StrCat(field, ".http_rules_files[", i, "]"),
               read.message());
  }
  if (upstream.tls) CheckTls(field + ".tls", *upstream.tls, faults);
  if (upstream.deadline <= absl::ZeroDuration()) {
    faults.Add(field + ".deadline",
               absl::StrCat("must be more than 0, is ",
                            absl::FormatDuration(upstream.deadline)));
  }
  faults.Range(field + ".max_streams_per_channel",
               upstream.max_streams_per_channel, 1, kMostStreams);
  if (upstream.health_check &&
      upstream.load_balancing == UpstreamSettings::LoadBalancing::kPickFirst) {
    faults.Add(field + ".health_check",
               "needs load_balancing: round-robin, which chooses among the "
               "addresses by their health");
  }
  const absl::string_view needs_grpc = upstream.needs_grpc();
  if (upstream.transport == UpstreamSettings::Transport::kH2 &&
      !needs_grpc.empty()) {
    faults.Add(field + ".transport",
               absl::StrCat("must be grpc or auto with this ", needs_grpc));
  }
  if (upstream.keepalive_interval) {
    faults.AtLeast(field + ".keepalive.interval", *upstream.keepalive_interval,
                   absl::Seconds(1));
  }
  faults.AtLeast(field + ".keepalive.timeout", upstream.keepalive_timeout,
                 absl::Milliseconds(10));
}

}  // namespace

void CheckPem(const std::string& field, const std::string& path,
              Faults& faults) {
  if (path.empty() || !faults.reads_files()) return;
  const absl::StatusOr<std::string> bytes = ReadFile(path, kMostPemBytes);
  if (!bytes.ok()) {
    return faults.Add(field, absl::StrCat(path, " ", bytes.status().message()));
  }
  if (!absl::StrContains(*bytes, "-----BEGIN ")) {
    faults.Add(field, absl::StrCat(path, " is no PEM file"));
  }
}

void CheckUpstreams(const Settings& settings, Faults& faults) {
  absl::flat_hash_map<absl::string_view, std::size_t> by_name;
  for (std::size_t i = 0; i < settings.upstreams.size(); ++i) {
    const UpstreamSettings& upstream = settings.upstreams[i];
    const std::string field = absl::StrCat("upstreams[", i, "]");
    CheckUpstream(field, upstream, faults);
    const auto [first, is_new] = by_name.emplace(upstream.name, i);
    if (!is_new) {
      faults.Add(field + ".name",
                 absl::StrCat("upstreams[", first->second, "] has the name '",
                              upstream.name, "' too"));
    }
  }
}

}  // namespace headgate
