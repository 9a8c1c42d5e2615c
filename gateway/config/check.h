#ifndef GATEWAY_CONFIG_CHECK_H_
#define GATEWAY_CONFIG_CHECK_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "gateway/config/faults.h"
#include "gateway/config/settings.h"

namespace headgate {

// What Validate is made of. Each adds the faults of its part; their fields are
// those of Settings. Files that settings name are looked at.
void CheckSettings(const Settings& settings, Faults& faults);

void CheckListeners(const Settings& settings, Faults& faults);
void CheckAdmin(const Settings& settings, Faults& faults);
void CheckHubEngine(const Settings& settings, Faults& faults);
void CheckHubApi(const Settings& settings, Faults& faults);
void CheckTracing(const Settings& settings, Faults& faults);
void CheckUpstreams(const Settings& settings, Faults& faults);
void CheckRoutes(const Settings& settings, Faults& faults);
// Routes that an earlier one leaves no request to.
void CheckReach(const Settings& settings, Faults& faults);

// Whether it is a host without a port, or "*." and a domain; in lower case.
bool IsHostPattern(absl::string_view host);

// That a file is there and may be PEM; "" is none.
void CheckPem(const std::string& field, const std::string& path,
              Faults& faults);

// That it can be a pattern of FitsGroupPattern.
void CheckGroupPattern(const std::string& field, const std::string& pattern,
                       Faults& faults);

// protobuf's own limit, and so gRPC's, on one message.
inline constexpr std::size_t kMostMessageBytes = 0x7fffffff;

}  // namespace headgate

#endif  // GATEWAY_CONFIG_CHECK_H_
