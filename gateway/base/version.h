#ifndef GATEWAY_BASE_VERSION_H_
#define GATEWAY_BASE_VERSION_H_

namespace headgate {

// The project's version, as CMake has it.
inline constexpr char kVersion[] = HEADGATE_VERSION;

}  // namespace headgate

#endif  // GATEWAY_BASE_VERSION_H_
