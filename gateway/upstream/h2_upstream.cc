#include "gateway/upstream/h2_upstream.h"

#include <utility>

#include "gateway/upstream/h2/pool.h"

namespace headgate {

H2Upstream::H2Upstream(UpstreamOptions options, boost::asio::io_context& worker,
                       Turn& turn, const H2Timing& timing)
    : pool_(
          std::make_shared<H2Pool>(std::move(options), worker, turn, timing)) {}
H2Upstream::~H2Upstream() = default;

std::unique_ptr<UpstreamCall> H2Upstream::StartCall(
    CallRequest request, UpstreamCallObserver& observer) {
  return pool_->StartCall(std::move(request), observer);
}

void H2Upstream::OnTick(absl::Time now) { pool_->OnTick(now); }

std::size_t H2Upstream::channel_count() const {
  return pool_->connection_count();
}

void H2Upstream::KeepConnected() { pool_->KeepConnected(); }

bool H2Upstream::is_up() const { return pool_->is_up(); }

bool H2Upstream::is_failing() const { return pool_->is_failing(); }

absl::Status H2Upstream::tls_status() const { return pool_->tls_status(); }

}  // namespace headgate
