#include "gateway/admin/gateway.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace headgate {
namespace {

bool Fits(const std::string& wanted, absl::string_view value) {
  return wanted.empty() || wanted == value;
}

}  // namespace

bool SessionFilter::Matches(const SessionKeys& session) const {
  return Fits(id, session.id) && Fits(peer, session.peer) &&
         Fits(upstream, session.upstream) && Fits(method, session.method) &&
         Fits(codec, session.codec) &&
         (route.empty() || route == session.route());
}

void SessionList::Merge(SessionList other) {
  std::move(other.sessions.begin(), other.sessions.end(),
            std::back_inserter(sessions));
  matching += other.matching;
  has_more |= other.has_more;
  complete &= other.complete;
}

void SessionList::Cut(std::size_t limit) {
  std::sort(sessions.begin(), sessions.end(),
            [](const SessionInfo& a, const SessionInfo& b) {
              return a.number < b.number;
            });
  if (sessions.size() <= limit) return;
  sessions.resize(limit);
  has_more = true;
}

}  // namespace headgate
