// Configuration files: any text is settings or faults. What are settings can be
// served, and no fault shows what a variable holds.

#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "gateway/config/load.h"
#include "gateway/route/route.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace headgate;
  constexpr absl::string_view kSecret = "hunter2-hunter2";
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<Settings> settings = ParseSettings(
      text, "f", [&](const std::string& name) -> std::optional<std::string> {
        if (name == "S") return std::string(kSecret);
        return std::nullopt;
      });
  if (!settings.ok()) {
    const absl::string_view faults = settings.status().message();
    FUZZ_CHECK(!faults.empty() && faults.size() < 1024 * 1024);
    FUZZ_CHECK(absl::StrContains(absl::AsciiStrToLower(text), kSecret) ||
               !absl::StrContains(faults, kSecret));
    return 0;
  }
  FUZZ_CHECK(Validate(*settings).ok());
  const Router router(settings->routes);
  for (const Route& route : settings->routes) {
    router.Find(route.hosts.empty() ? "" : route.hosts[0],
                route.path.empty() ? "/a.B/C" : route.path);
  }
  return 0;
}
