#ifndef GATEWAY_H2_TIME_H_
#define GATEWAY_H2_TIME_H_

#include <chrono>

namespace headgate::h2 {

// Time is an argument and never goes back; nothing here reads a clock.
using Time = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

}  // namespace headgate::h2

#endif  // GATEWAY_H2_TIME_H_
