#ifndef CLIENT_RANDOM_MASKS_H_
#define CLIENT_RANDOM_MASKS_H_

#include <random>

#include "gateway/ws/endpoint.h"

namespace headgate {

// Masking keys that cannot be predicted (RFC 6455 section 5.3).
class RandomMasks final : public ws::MaskSource {
 public:
  ws::MaskKey NextMask() override {
    ws::MaskKey key;
    for (char& byte : key) byte = static_cast<char>(random_());
    return key;
  }

 private:
  std::random_device random_;
};

}  // namespace headgate

#endif  // CLIENT_RANDOM_MASKS_H_
