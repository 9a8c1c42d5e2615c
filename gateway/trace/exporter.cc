#include "gateway/trace/exporter.h"

#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/trace/otlp_json.h"

namespace headgate {
namespace {

constexpr auto kPause = std::chrono::milliseconds(250);
// Between two lines in the log about a collector that takes nothing.
constexpr absl::Duration kLogPause = absl::Minutes(1);

}  // namespace

SpanExporter::SpanExporter(boost::asio::io_context& control,
                           std::shared_ptr<SpanQueue> spans)
    : control_(control), spans_(std::move(spans)), timer_(control) {}

void SpanExporter::Configure(const std::optional<TracingSettings>& settings) {
  if (settings == settings_) return;
  const bool was_off = !settings_;
  settings_ = settings;
  if (!settings_) {
    timer_.cancel();
    failed_ += std::exchange(sending_, 0);
    request_.reset();
    return spans_->Clear();
  }
  // Validate has accepted it.
  if (auto url = ParseCollectorUrl(settings_->endpoint); url.ok()) {
    url_ = *std::move(url);
  }
  if (was_off) Wait();
}

void SpanExporter::Wait() {
  timer_.expires_after(kPause);
  timer_.async_wait([this](boost::system::error_code cancelled) {
    if (cancelled || !settings_) return;
    SendSome();
    Wait();
  });
}

void SpanExporter::SendSome() {
  if (sending_ > 0) return;
  const std::vector<Span> batch = spans_->Take(SteadyNow());
  if (batch.empty()) return;
  sending_ = batch.size();
  request_ = std::make_unique<CollectorRequest>(
      control_, url_, OtlpJson(batch, settings_->service_name),
      [this](const absl::Status& status) {
        OnSent(std::exchange(sending_, 0), status);
      });
}

void SpanExporter::OnSent(std::size_t spans, const absl::Status& status) {
  if (status.ok()) {
    exported_ += spans;
    return SendSome();
  }
  failed_ += spans;
  LogFailure(status);
}

void SpanExporter::LogFailure(const absl::Status& status) {
  const absl::Time now = SteadyNow();
  if (now - last_logged_ < kLogPause) return;
  last_logged_ = now;
  Log(LogLevel::kWarning, "the collector does not take spans",
      {{"endpoint", settings_->endpoint},
       {"reason", std::string(status.message())},
       {"failed", absl::StrCat(failed_)}});
}

}  // namespace headgate
