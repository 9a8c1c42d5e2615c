#ifndef GATEWAY_HUB_TIMESTAMP_H_
#define GATEWAY_HUB_TIMESTAMP_H_

#include <cstdint>

#include <google/protobuf/timestamp.pb.h>

#include "absl/time/time.h"

namespace headgate {

// `time`: of the wall clock, neither of the infinite ones.
inline void SetTimestamp(absl::Time time, google::protobuf::Timestamp& to) {
  const std::int64_t nanos = absl::ToUnixNanos(time);
  to.set_seconds(nanos / 1'000'000'000);
  to.set_nanos(static_cast<std::int32_t>(nanos % 1'000'000'000));
}

}  // namespace headgate

#endif  // GATEWAY_HUB_TIMESTAMP_H_
