#include "gateway/admin/gateway.h"

#include <algorithm>

namespace headgate {
namespace {

bool Fits(const std::string& wanted, const std::string& value) {
  return wanted.empty() || wanted == value;
}

}  // namespace

bool SessionFilter::Matches(const SessionInfo& session) const {
  return Fits(id, session.id) && Fits(peer, session.peer) &&
         Fits(route, session.route) && Fits(upstream, session.upstream) &&
         Fits(method, session.method) && Fits(codec, session.codec);
}

void KeepOldest(std::size_t limit, std::vector<SessionInfo>& sessions) {
  const auto kept = sessions.begin() + static_cast<std::ptrdiff_t>(
                                           std::min(limit, sessions.size()));
  std::partial_sort(sessions.begin(), kept, sessions.end(),
                    [](const SessionInfo& a, const SessionInfo& b) {
                      return a.opened_at < b.opened_at;
                    });
  sessions.erase(kept, sessions.end());
}

}  // namespace headgate
