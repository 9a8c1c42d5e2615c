#include "gateway/session/type_pause.h"

#include <utility>

namespace headgate {
namespace {

// Many types may be asked for before this one, and each may take
// SchemaSourceOptions::fetch_timeout.
constexpr absl::Duration kPatience = absl::Seconds(5);

}  // namespace

bool TypePause::Begin(SchemaSource& schemas, const std::string& full_name,
                      std::function<void()> then) {
  ticket_ = schemas.AwaitType(full_name, [this] { End(); });
  if (ticket_ == nullptr) return false;
  then_ = std::move(then);
  return true;
}

void TypePause::OnTick(absl::Time now) {
  if (!is_active()) return;
  if (!ends_) {
    ends_ = now + kPatience;
  } else if (now >= *ends_) {
    End();
  }
}

void TypePause::Cancel() {
  ticket_.reset();
  then_ = nullptr;
  ends_.reset();
}

void TypePause::End() {
  const std::function<void()> then = std::move(then_);
  Cancel();
  then();
}

}  // namespace headgate
