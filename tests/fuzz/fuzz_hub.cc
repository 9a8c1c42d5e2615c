// A hub; see FuzzHub.

#include "gateway/route/hub_target.h"
#include "tests/fuzz/hub_steps.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  headgate::FuzzInput input(data, size);
  headgate::FuzzHub(input, headgate::HubTarget().method).Run();
  return 0;
}
