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
  auto pause = std::make_unique<Pause>();
  pause->ticket = schemas.AwaitType(full_name, [this] { End(); });
  if (pause->ticket == nullptr) return false;
  pause->then = std::move(then);
  pause_ = std::move(pause);
  return true;
}

void TypePause::OnTick(absl::Time now) {
  if (!is_active()) return;
  if (!pause_->ends) {
    pause_->ends = now + kPatience;
  } else if (now >= *pause_->ends) {
    End();
  }
}

void TypePause::End() {
  const std::function<void()> then = std::move(pause_->then);
  pause_.reset();
  then();
}

}  // namespace headgate
