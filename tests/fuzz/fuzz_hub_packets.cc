// A hub whose stream is one of packets; see FuzzHub.

#include "gateway/route/plan.h"
#include "tests/fuzz/hub_steps.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  headgate::FuzzInput input(data, size);
  headgate::FuzzHub(input, headgate::kPacketMethod).Run();
  return 0;
}
