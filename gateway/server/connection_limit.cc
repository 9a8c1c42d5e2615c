#include "gateway/server/connection_limit.h"

#include <algorithm>

namespace headgate {
namespace {

// As many as the admin listeners serve at a time, and the files that a reload,
// name resolution and the log have open for a moment.
constexpr std::uint64_t kAdminDescriptors = 64;
constexpr std::uint64_t kFileDescriptors = 32;
constexpr std::uint64_t kMostOverflow = 32;
// To each upstream: one connection, and one that takes its place.
constexpr std::uint64_t kUpstreamDescriptors = 2;

}  // namespace

std::size_t AdminConnectionsFor(std::uint64_t descriptor_limit,
                                std::size_t listeners) {
  const std::uint64_t all = std::min(kAdminDescriptors, descriptor_limit / 8);
  return std::max<std::size_t>(2, all / std::max<std::size_t>(1, listeners));
}

std::uint64_t LeastDescriptorsFor(const Settings& settings,
                                  std::uint64_t workers) {
  // The control thread's event loop (3) and signals (2), the figures of the
  // process, a file that is read, and 4 clients.
  constexpr std::uint64_t kForAll = 3 + 2 + 1 + 1 + 4;
  constexpr std::uint64_t kPerWorker = 3;  // Its event loop.
  constexpr std::uint64_t kPerAdmin = 3;
  std::uint64_t admins = 0;
  for (const AdminSettings& admin : settings.admin) admins += admin.enabled;
  return kForAll + settings.listeners.size() + kPerAdmin * admins +
         workers * (kPerWorker + settings.upstreams.size());
}

ConnectionLimit ConnectionLimitFor(const Settings& settings,
                                   const DescriptorUse& descriptors,
                                   std::uint64_t workers) {
  const std::uint64_t spare =
      descriptors.limit - std::min(descriptors.limit, descriptors.in_use);
  const std::uint64_t wanted =
      kAdminDescriptors + kFileDescriptors + kMostOverflow +
      kUpstreamDescriptors * workers * settings.upstreams.size();
  const std::uint64_t kept = std::min(wanted, spare / 2);
  // Each session may have a call, and a connection to an upstream carries only
  // so many.
  std::uint64_t streams = std::uint64_t{1} << 20;
  for (const UpstreamSettings& upstream : settings.upstreams) {
    streams = std::min(streams, static_cast<std::uint64_t>(std::max(
                                    1, upstream.max_streams_per_channel)));
  }
  const std::uint64_t left = spare - kept;
  const std::uint64_t for_upstreams = std::max(left / (streams + 1), left / 4);
  const std::uint64_t possible =
      std::max<std::uint64_t>(1, left - for_upstreams);

  const int configured = settings.limits.connections();
  ConnectionLimit limit;
  limit.by_descriptors = possible < static_cast<std::uint64_t>(configured);
  limit.most = limit.by_descriptors ? static_cast<int>(possible) : configured;
  limit.upstream_connections = static_cast<std::size_t>(
      1 + for_upstreams /
              std::max<std::uint64_t>(1, workers * settings.upstreams.size()));
  limit.overflow =
      static_cast<int>(std::clamp<std::uint64_t>(kept / 4, 1, kMostOverflow));
  return limit;
}

}  // namespace headgate
