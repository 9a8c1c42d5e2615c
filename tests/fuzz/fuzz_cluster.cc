// Records of other gateways, from anybody who may publish on their subjects: a
// cluster takes what is good of them, its questions end, and the names of
// others stay names.

#include "tests/fuzz/input.h"
#include "tests/hub/cluster_link.h"

namespace headgate {
namespace {

void Fuzz(FuzzInput input) {
  FakeBroker broker;
  FakeBroker::Node node(broker, "a");
  FakeBroker::Node other(broker, "b");
  node.cluster().OnInterest(HubScope::kGroup, "h:1", true);
  int asked = 0;
  int answered = 0;
  while (!input.empty()) {
    const std::uint8_t step = input.Byte();
    switch (step % 9) {
      case 0:
        broker.Advance(absl::Milliseconds(50) * (input.Byte() % 40 + 1));
        break;
      case 1:
        ++asked;
        node.cluster().Ask({}, absl::ZeroDuration(), nullptr,
                           [&](HubEngine::Answers) { ++answered; });
        break;
      case 2:
        node.cluster().OnNobodyThere(input.Bytes(input.Byte()), broker.now);
        break;
      case 3:
        node.up = !node.up;
        if (node.up) {
          node.cluster().OnUp(broker.now);
        } else {
          node.cluster().OnDown(broker.now);
        }
        break;
      case 4:
        node.cluster().OnInterest(step & 8 ? HubScope::kGroup : HubScope::kUser,
                                  input.Bytes(input.Byte()), (step & 16) != 0);
        break;
      case 5: {
        StoredRecord record{input.Byte(), input.Byte(), ""};
        record.bytes = input.Bytes(input.Byte());
        node.cluster().OnStored("hg.out.g.h=3A1", std::move(record),
                                broker.now);
        break;
      }
      default:
        node.cluster().OnRecord(input.Bytes(input.Byte()), broker.now);
    }
    broker.Run();
  }
  broker.Advance(absl::Seconds(1));
  FUZZ_CHECK(asked == answered);
  FUZZ_CHECK(node.cluster().replicas() <= Cluster::kMostReplicas);
  for (const std::string& subject : broker.seen) {
    FUZZ_CHECK(subject.find_first_of(" \t\r\n*>") == std::string::npos);
    FUZZ_CHECK(absl::StartsWith(subject, "hg."));
  }
}

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  headgate::Fuzz(headgate::FuzzInput(data, size));
  return 0;
}
