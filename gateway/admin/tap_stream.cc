#include "gateway/admin/tap_stream.h"

#include <cstddef>
#include <utility>

#include <boost/json/serialize.hpp>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

constexpr std::size_t kLinesAtOnce = 256;
// Descriptors are looked at again after it, as reflection may have told more.
constexpr absl::Duration kKnownFor = absl::Seconds(2);

}  // namespace

TapStream::TapStream(const TapRequest& request, Gateway& gateway,
                     Executor executor, std::function<void()> ready)
    : content_(request.content), gateway_(gateway) {
  const auto notify = [alive = std::weak_ptr<int>(alive_), ready] {
    if (!alive.expired()) ready();
  };
  queue_ = std::make_shared<TapQueue>(
      request.filter, request.limits,
      [executor = std::move(executor), notify] { executor(notify); });
  gateway_.AddTap(queue_, [this, notify, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired()) return;
    greeting_ = "{\"event\":\"tapping\"}\n";
    notify();
  });
}

TapStream::~TapStream() { gateway_.RemoveTap(queue_); }

std::string TapStream::Take(absl::Time now) {
  std::string lines = std::exchange(greeting_, "");
  const TapQueue::Batch batch = queue_->Take(kLinesAtOnce);
  for (const TapEvent& event : batch.events) {
    absl::StrAppend(
        &lines,
        boost::json::serialize(TapJson(event, content_, SchemaFor(event, now))),
        "\n");
  }
  if (batch.dropped != dropped_) {
    dropped_ = batch.dropped;
    absl::StrAppend(&lines, "{\"event\":\"dropped\",\"count\":", dropped_,
                    "}\n");
  }
  return lines;
}

const Schema* TapStream::SchemaFor(const TapEvent& event, absl::Time now) {
  const bool is_message = event.kind == TapEvent::Kind::kRequest ||
                          event.kind == TapEvent::Kind::kResponse;
  const bool is_needed =
      content_ != TapContent::kRaw || event.form == TapEvent::Form::kMessage;
  if (!is_message || !is_needed) return nullptr;
  Known& known = known_[event.session->route->upstream];
  // As long as nothing is known it may be at any moment.
  if (known.schema == nullptr || now - known.at > kKnownFor) {
    known = {gateway_.GetKnownSchema(event.session->route->upstream).schema,
             now};
  }
  return known.schema.get();
}

}  // namespace headgate
