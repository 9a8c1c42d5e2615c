#ifndef CMD_HEADGATE_BENCH_ONE_MASK_H_
#define CMD_HEADGATE_BENCH_ONE_MASK_H_

#include <random>

#include "gateway/ws/endpoint.h"

namespace headgate {

// All frames have the same mask, as all messages are the same.
struct OneMask final : ws::MaskSource {
  OneMask() {
    std::random_device random;
    for (char& byte : key) byte = static_cast<char>(random());
  }
  ws::MaskKey NextMask() override { return key; }

  ws::MaskKey key;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_ONE_MASK_H_
